//! Commands about administrators.

use super::{Moment, Ruled, client, rows::Rows};
use crate::{
    administrator::{Administrator, MAX_ADMINISTRATORS},
    command::AddAdministrator,
    id::{AdministratorId, RequestId},
    outcome::{Outcome, Rejection},
    table::{Table, Tables},
};

pub(super) fn add(rows: &mut Rows<'_, impl Tables>, now: Moment, request: RequestId, add: &AddAdministrator) -> Ruled {
    if add.name.len() > client::MAX_FIELD_BYTES {
        return Ok(Err(Rejection::FieldTooLong));
    }
    if rows.first_raw(Table::Administrators, MAX_ADMINISTRATORS)?.len() >= MAX_ADMINISTRATORS {
        return Ok(Err(Rejection::TooManyAdministrators));
    }
    let administrator = Administrator {
        id: AdministratorId::from_request(request),
        name: add.name.clone(),
        token_hash: add.token_hash,
        created_at_ms: now.log_time_ms,
        expires_at_ms: add.lifetime_ms.map(|lifetime| now.log_time_ms.saturating_add(lifetime)),
    };
    rows.put(Table::Administrators, &administrator.token_hash, &administrator)?;
    Ok(Ok(Outcome::AdministratorAdded(administrator.id)))
}

pub(super) fn remove(rows: &mut Rows<'_, impl Tables>, id: &AdministratorId) -> Ruled {
    let known = rows.first::<Administrator>(Table::Administrators, usize::MAX)?;
    let Some(administrator) = known.iter().find(|administrator| administrator.id == *id) else {
        return Ok(Err(Rejection::AdministratorUnknown));
    };
    rows.delete(Table::Administrators, &administrator.token_hash);
    Ok(Ok(Outcome::Done))
}
