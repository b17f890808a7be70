//! The parts, put together.

use std::{sync::Arc, time::Duration};

use ncore_control::ControlPlane;
use ncore_freshness::Fences;
use ncore_identity::ClusterKey;
use ncore_model::Revision;
use ncore_store::BlobStore;

use crate::{
    asset::Assets,
    clock::Clock,
    cluster::{Cluster, Seen},
    copies::Copies,
    credentials::{Administrators, Clients, Denials, Gate, Sessions, Signer, SigningKeys, Tokens},
    error::{RevisionError, StateError},
    placement::PlacementRules,
    public::Public,
    settings::Settings,
    status::{self, NodeStatus},
    upload::Uploads,
    usage::UsageRecords,
    zones::Zones,
};

/// What a [`Domain`] stands on.
pub struct DomainParts {
    /// What the cluster agrees on.
    pub plane: Arc<dyn ControlPlane>,
    /// What this node does while it is fenced.
    pub fences: Arc<Fences>,
    /// The bytes of this machine.
    pub store: BlobStore,
    /// The bytes of other machines.
    pub copies: Arc<dyn Copies>,
    /// What secrets in the replicated state are sealed with.
    pub cluster_key: ClusterKey,
    /// What time it is.
    pub clock: Arc<dyn Clock>,
    /// What the operator decided.
    pub settings: Settings,
}

/// What can be done with a node.
pub struct Domain {
    cluster: Cluster,
    clock: Arc<dyn Clock>,
    settings: Settings,
    clients: Clients,
    tokens: Tokens,
    signer: Signer,
    signing_keys: SigningKeys,
    administrators: Administrators,
    sessions: Arc<Sessions>,
    denials: Arc<Denials>,
    placement: PlacementRules,
    assets: Assets,
    uploads: Uploads,
    public: Public,
    usage: UsageRecords,
    zones: Zones,
}

impl Domain {
    /// Puts the parts together. Nothing is read or written yet.
    #[must_use]
    pub fn new(parts: DomainParts) -> Self {
        let DomainParts { plane, fences, store, copies, cluster_key, clock, settings } = parts;
        let gate = Gate::new(Arc::clone(&plane), Arc::clone(&fences));
        let cluster = Cluster::new(plane, settings.request_deadline);
        let public_url: Arc<str> = settings.public_url.trim_end_matches('/').into();
        let issuer = settings.issuer.as_deref().map_or_else(|| Arc::clone(&public_url), |issuer| issuer.trim_end_matches('/').into());
        let signing_keys = SigningKeys::new(cluster.clone(), cluster_key.clone(), Arc::clone(&clock));
        Self {
            clients: Clients::new(cluster.clone(), gate.clone()),
            signer: Signer::new(cluster.clone(), gate.clone(), cluster_key, Arc::clone(&clock), Arc::clone(&public_url)),
            administrators: Administrators::new(cluster.clone(), gate.clone(), Arc::clone(&clock)),
            tokens: Tokens::new(cluster.clone(), gate, signing_keys.clone(), Arc::clone(&clock), issuer),
            signing_keys,
            sessions: Arc::default(),
            denials: Arc::default(),
            placement: PlacementRules::new(cluster.clone()),
            public: Public::new(cluster.clone(), store.clone(), Arc::clone(&public_url)),
            assets: Assets::new(cluster.clone(), fences, store.clone(), Arc::clone(&copies), Arc::clone(&public_url)),
            usage: UsageRecords::new(cluster.clone()),
            zones: Zones::new(cluster.clone(), &settings.zone_suffix),
            uploads: Uploads::new(cluster.clone(), store, copies, Arc::clone(&clock), &settings, public_url),
            cluster,
            clock,
            settings,
        }
    }

    /// The clients of the cluster.
    #[must_use]
    pub fn clients(&self) -> &Clients {
        &self.clients
    }

    /// Their access tokens.
    #[must_use]
    pub fn tokens(&self) -> &Tokens {
        &self.tokens
    }

    /// The addresses that they sign.
    #[must_use]
    pub fn signer(&self) -> &Signer {
        &self.signer
    }

    /// The keys that sign access tokens.
    #[must_use]
    pub fn signing_keys(&self) -> &SigningKeys {
        &self.signing_keys
    }

    /// Who manages clients over the API.
    #[must_use]
    pub fn administrators(&self) -> &Administrators {
        &self.administrators
    }

    /// Those of them who look at this node with a browser.
    #[must_use]
    pub fn sessions(&self) -> &Arc<Sessions> {
        &self.sessions
    }

    /// How often somebody was not let in.
    #[must_use]
    pub fn denials(&self) -> &Arc<Denials> {
        &self.denials
    }

    /// Where this node is reached, without a slash at its end.
    #[must_use]
    pub fn public_url(&self) -> &str {
        self.settings.public_url.trim_end_matches('/')
    }

    /// Where their assets are held.
    #[must_use]
    pub fn placement(&self) -> &PlacementRules {
        &self.placement
    }

    /// Their assets.
    #[must_use]
    pub fn assets(&self) -> &Assets {
        &self.assets
    }

    /// How assets come in.
    #[must_use]
    pub fn uploads(&self) -> &Uploads {
        &self.uploads
    }

    /// What anybody may know.
    #[must_use]
    pub fn public(&self) -> &Public {
        &self.public
    }

    /// What clients used.
    #[must_use]
    pub fn usage(&self) -> &UsageRecords {
        &self.usage
    }

    /// The zones of clients.
    #[must_use]
    pub fn zones(&self) -> &Zones {
        &self.zones
    }

    /// What time it is here, in Unix seconds.
    #[must_use]
    pub fn now_s(&self) -> u64 {
        self.clock.now_ms() / 1_000
    }

    /// What this node says of itself.
    ///
    /// # Errors
    /// [`StateError`].
    pub async fn status(&self) -> Result<Seen<NodeStatus>, StateError> {
        status::of_this_node(&self.cluster, &self.settings, &*self.clock).await
    }

    /// How long a wait for the cluster may take.
    #[must_use]
    pub fn request_deadline(&self) -> Duration {
        self.settings.request_deadline
    }

    /// What this node has applied.
    #[must_use]
    pub fn revision(&self) -> Revision {
        self.cluster.revision()
    }

    /// Waits until this node has applied a revision that a caller has seen elsewhere.
    ///
    /// # Errors
    /// [`RevisionError`].
    pub async fn wait_for(&self, revision: Revision) -> Result<(), RevisionError> {
        self.cluster.wait_for(revision).await
    }
}
