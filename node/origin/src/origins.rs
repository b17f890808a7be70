//! All origins that this node speaks to.

use std::collections::HashMap;
use std::fmt;
use std::sync::{Arc, Weak};
use std::time::Duration;

use http::header::UPGRADE;
use http::{Request, Response};
use parking_lot::Mutex;
use rustls::RootCertStore;
use tokio::time::{Instant, MissedTickBehavior, interval};

use crate::address::AddressPolicy;
use crate::body::OriginBody;
use crate::check::Watched;
use crate::error::{ErrorKind, OriginError, Retry};
use crate::exchange::{Answer, Answered, exchange};
use crate::figures::{Figures, add};
use crate::link::Driver;
use crate::node::Node;
use crate::origin::{Origin, OriginKey, Ticket};
use crate::pool::Wanted;
use crate::request::{Outgoing, Purpose, RequestBody};
use crate::resolve::{Resolve, SystemResolver};
use crate::set::{Member, OriginSet};
use crate::settings::{SetSettings, SettingsError, Timeouts};
use crate::tls::system_authorities;
use crate::tunnel::UpgradeAnswer;

/// How often connections that nobody uses are looked through.
const SWEEP: Duration = Duration::from_secs(5);

/// What the operator says of all origins.
pub struct OriginsSettings {
    /// Connections to all origins together, at most.
    pub connections: usize,
    /// The addresses that origins may have.
    pub addresses: AddressPolicy,
    /// Who says which addresses names have.
    pub resolver: Arc<dyn Resolve>,
    /// The authorities that sign for origins whose set has none of its own.
    pub authorities: RootCertStore,
    /// How long what may take, of origins whose set says nothing else.
    pub timeouts: Timeouts,
}

impl OriginsSettings {
    /// The system's names and authorities, and the addresses of the public internet.
    #[must_use]
    pub fn of_system() -> Self {
        Self {
            connections: 4096,
            addresses: AddressPolicy::default(),
            resolver: Arc::new(SystemResolver::new()),
            authorities: system_authorities(),
            timeouts: Timeouts::default(),
        }
    }
}

impl fmt::Debug for OriginsSettings {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("OriginsSettings")
            .field("connections", &self.connections)
            .field("addresses", &self.addresses)
            .finish_non_exhaustive()
    }
}

/// All origins that this node speaks to. Cheap to clone.
#[derive(Clone)]
pub struct Origins {
    shared: Arc<Shared>,
}

struct Shared {
    node: Arc<Node>,
    timeouts: Timeouts,
    origins: Mutex<HashMap<OriginKey, Weak<Watched>>>,
    _sweep: Driver,
}

impl fmt::Debug for Origins {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Origins").finish_non_exhaustive()
    }
}

impl Origins {
    /// None yet. Within a Tokio runtime, on which a task then looks through the connections from time to time.
    #[must_use]
    pub fn new(settings: OriginsSettings) -> Self {
        let OriginsSettings { connections, addresses, resolver, authorities, timeouts } = settings;
        let node = Arc::new(Node::new(connections, resolver, addresses, authorities));
        let sweep = Driver::spawn(sweep(Arc::clone(&node)));
        Self { shared: Arc::new(Shared { node, timeouts, origins: Mutex::default(), _sweep: sweep }) }
    }

    /// A set of origins. Origins that another set has with the same settings are the same, connections and all; so the new set of a
    /// zone is made before the old one is dropped. Within a Tokio runtime, on which health checks then run until the set is dropped.
    ///
    /// # Errors
    /// The settings make no sense.
    pub fn set(&self, settings: &SetSettings) -> Result<Arc<OriginSet>, SettingsError> {
        settings.check()?;
        let mut origins = self.shared.origins.lock();
        origins.retain(|_, origin| origin.strong_count() > 0);
        let mut members = Vec::with_capacity(settings.origins.len());
        for of in &settings.origins {
            let key = OriginKey::new(&of.url, settings);
            let watched = match origins.get(&key).and_then(Weak::upgrade) {
                Some(watched) => watched,
                None => {
                    let watched = Arc::new(Watched::new(Origin::new(key.clone(), &settings.tls, &self.shared.node)?));
                    origins.insert(key, Arc::downgrade(&watched));
                    watched
                }
            };
            members.push(Member { watched, weight: of.weight, backup: of.backup });
        }
        Ok(Arc::new(OriginSet::new(members, settings.retries)))
    }

    /// How long what may take, where a set has no times of its own.
    #[must_use]
    pub fn timeouts(&self) -> Timeouts {
        self.shared.timeouts
    }

    /// What is counted.
    #[must_use]
    pub fn figures(&self) -> &Figures {
        &self.shared.node.figures
    }

    /// Connections to origins that are open or being made.
    #[must_use]
    pub fn connections(&self) -> usize {
        self.shared.node.connections()
    }

    /// Origins that are left out at this time.
    #[must_use]
    pub fn ejected(&self) -> usize {
        let origins: Vec<_> = self.shared.origins.lock().values().filter_map(Weak::upgrade).collect();
        origins.iter().filter(|watched| watched.origin.is_ejected()).count()
    }

    /// Sends a request to an origin of a set, and again where that is safe, and returns once the head of a response is there. Only the path
    /// and query of its URI are used. Of its extensions, [`ViewerInfo`](crate::ViewerInfo) and
    /// [`OnInformational`](crate::OnInformational) are. Fields for one connection only are removed both ways. Redirects are responses like
    /// any other.
    ///
    /// Dropping the future, or the body of the response, ends the request.
    ///
    /// # Errors
    /// There is no response: the error says why, whose fault it is, and what the viewer is answered.
    pub async fn send(&self, set: &Arc<OriginSet>, request: Request<RequestBody>) -> Result<Response<OriginBody>, OriginError> {
        let outgoing = self.begin(request, Purpose::Exchange)?;
        match self.deliver(set, outgoing, Wanted::Any).await? {
            Answer::Response(response) => Ok(response),
            Answer::Switched(_) => Err(OriginError::new(ErrorKind::Malformed)),
        }
    }

    /// Sends a request that wants to change the protocol, as its field `Upgrade` says, over a connection of its own. Its body is empty.
    ///
    /// # Errors
    /// As with [`send`](Self::send).
    pub async fn upgrade(&self, set: &Arc<OriginSet>, request: Request<()>) -> Result<UpgradeAnswer, OriginError> {
        let Some(protocol) = request.headers().get(UPGRADE).cloned() else {
            return Err(OriginError::new(ErrorKind::Unsendable));
        };
        let outgoing = self.begin(request.map(|()| RequestBody::empty()), Purpose::Upgrade(protocol))?;
        match self.deliver(set, outgoing, Wanted::Upgrade).await? {
            Answer::Response(response) => Ok(UpgradeAnswer::Refused(response)),
            Answer::Switched(switched) => Ok(UpgradeAnswer::Switched(switched)),
        }
    }

    fn begin(&self, request: Request<RequestBody>, purpose: Purpose) -> Result<Outgoing, OriginError> {
        add(&self.figures().requests);
        Outgoing::new(request, purpose).inspect_err(|error| self.figures().count_error(error.kind()))
    }

    async fn deliver(&self, set: &OriginSet, mut outgoing: Outgoing, wanted: Wanted) -> Result<Answer, OriginError> {
        set.budget().earn();
        let mut tried: Vec<Arc<Origin>> = Vec::new();
        let mut next = set.choose(&tried).map(|chosen| (chosen, wanted));
        let mut retries = 0;
        loop {
            let Some(((origin, ticket), wanted_now)) = next else { return Err(OriginError::new(ErrorKind::Unreachable)) };
            let until = Instant::now() + origin.timeouts().queue;
            let error = match exchange(&origin, &mut outgoing, wanted_now, ticket, until).await {
                Ok(answer) => return Ok(with_retries(answer, retries)),
                Err(error) => error,
            };
            next = match plan(&error, &outgoing) {
                Plan::GiveUp => None,
                Plan::SameOrigin => {
                    let ticket = Ticket::new(&origin);
                    let wanted_new = if wanted == Wanted::Upgrade { wanted } else { Wanted::New };
                    Some(((origin, ticket), wanted_new))
                }
                Plan::NextOrigin => {
                    tried.push(origin);
                    set.choose(&tried).map(|chosen| (chosen, wanted))
                }
            };
            if next.is_none() || retries >= set.most_retries() {
                return Err(error);
            }
            if !set.budget().spend() {
                add(&self.figures().retries_denied);
                return Err(error);
            }
            retries += 1;
            add(&self.figures().retries);
        }
    }
}

/// What is done after an error.
enum Plan {
    GiveUp,
    SameOrigin,
    NextOrigin,
}

fn plan(error: &OriginError, outgoing: &Outgoing) -> Plan {
    let may = match error.retry() {
        Retry::Unsent => outgoing.is_whole(),
        Retry::IfIdempotent => outgoing.is_repeatable(),
        Retry::Never => false,
    };
    match error.kind() {
        _ if !may => Plan::GiveUp,
        // The connection was at fault, not the origin.
        ErrorKind::Stale | ErrorKind::Unprocessed => Plan::SameOrigin,
        _ => Plan::NextOrigin,
    }
}

fn with_retries(mut answer: Answer, retries: u32) -> Answer {
    if let Answer::Response(response) = &mut answer
        && let Some(answered) = response.extensions_mut().get_mut::<Answered>()
    {
        answered.retries = retries;
    }
    answer
}

async fn sweep(node: Arc<Node>) {
    let mut ticks = interval(SWEEP);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        ticks.tick().await;
        node.sweep();
    }
}
