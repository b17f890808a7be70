//! Health checks: a request that is made again and again for as long as anybody has the origin in a set.

use std::sync::Arc;

use http::{Request, header};
use http_body_util::{BodyExt, Limited};
use tokio::time::{Instant, sleep, timeout};

use crate::error::Fault;
use crate::exchange::{Answer, exchange};
use crate::link::Driver;
use crate::origin::{Origin, Ticket};
use crate::pool::Wanted;
use crate::request::{Outgoing, Purpose, RequestBody};
use crate::settings::ActiveCheck;

/// The body of an answer that is read, at most, so that the connection can be kept.
const LONGEST_BODY: usize = 64 * 1024;

/// An origin, and the task that checks it.
#[derive(Debug)]
pub(crate) struct Watched {
    pub(crate) origin: Arc<Origin>,
    _checks: Option<Driver>,
}

impl Watched {
    pub(crate) fn new(origin: Arc<Origin>) -> Self {
        let checks = origin.health_settings().check.clone().map(|check| Driver::spawn(run(Arc::clone(&origin), check)));
        Self { origin, _checks: checks }
    }
}

async fn run(origin: Arc<Origin>, check: ActiveCheck) {
    loop {
        if let Some(passed) = timeout(check.timeout, passes(&origin, &check)).await.unwrap_or(Some(false)) {
            origin.checked(passed);
        }
        // Not all nodes at the same moment.
        let more = check.interval.mul_f64(rand::random_range(0.0..0.1));
        sleep(check.interval + more).await;
    }
}

/// Whether an origin answers as it should. Nothing, if this node has no turn or no connection for the question: that is no fault of the
/// origin, and comes out before the question times out.
async fn passes(origin: &Arc<Origin>, check: &ActiveCheck) -> Option<bool> {
    let request = Request::builder().uri(&check.path).header(header::USER_AGENT, "ncore-health-check").body(RequestBody::empty()).ok()?;
    let mut outgoing = Outgoing::new(request, Purpose::Exchange).ok()?;
    let until = Instant::now() + check.timeout / 2;
    match exchange(origin, &mut outgoing, Wanted::Any, Ticket::silent(origin), until).await {
        Ok(Answer::Response(response)) => {
            let well = matches!(response.status().as_u16(), 200..=399);
            Some(well && Limited::new(response.into_body(), LONGEST_BODY).collect().await.is_ok())
        }
        Ok(Answer::Switched(_)) => Some(false),
        Err(error) if error.fault() == Fault::Here => None,
        Err(_) => Some(false),
    }
}
