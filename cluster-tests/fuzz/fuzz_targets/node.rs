//! A node to send requests to: the API over a real replica and real stores, without a cluster.

use std::time::Duration;

use axum::{Router, body::Body};
use bytes::Bytes;
use http::{Request, Response};
use http_body_util::BodyExt;
use ncore_api::router;
use ncore_control::ControlPlane;
use ncore_domain::Domain;
use ncore_model::{ClientId, Query};
use ncore_limits::LimitSettings;
use tokio::runtime::{Builder, Runtime};
use tower::ServiceExt;

use crate::{
    rig::{Plan, Rig},
    site,
};

pub struct Node {
    runtime: Runtime,
    router: Router,
    rig: Rig,
    pub client: ClientId,
    /// A token of the client with every scope.
    pub token: String,
}

impl Node {
    pub fn new() -> Self {
        let runtime = Builder::new_current_thread().enable_all().build().expect("a runtime");
        let mut plan = Plan::default();
        // Who presents a revision that is not there yet waits for so long.
        plan.settings.request_deadline = Duration::from_millis(20);
        plan.settings.max_upload_bytes = 64 << 10;
        let (rig, router, client, token) = runtime.block_on(async {
            let rig = Rig::with(plan);
            rig.raise_schema();
            let limits = LimitSettings { per_token: 0, purges: 0, anonymous: 0, ..LimitSettings::default() };
            let router = router(site::parts(&rig, limits));
            let id = rig.bare_client();
            let client = rig.plane.replica().client(&id).expect("a state").expect("a client");
            let token = rig.domain.tokens().issue(&client, None).await.expect("a token").token;
            (rig, router, id, token)
        });
        Self { runtime, router, rig, client, token }
    }

    pub fn domain(&self) -> &Domain {
        &self.rig.domain
    }

    pub fn block_on<T>(&self, work: impl Future<Output = T>) -> T {
        self.runtime.block_on(work)
    }

    pub fn send(&self, request: Request<Body>) -> Response<Bytes> {
        self.block_on(async {
            let response = self.router.clone().oneshot(request).await.expect("an answer");
            let (head, body) = response.into_parts();
            let body = body.collect().await.expect("a body").to_bytes();
            Response::from_parts(head, body)
        })
    }
}
