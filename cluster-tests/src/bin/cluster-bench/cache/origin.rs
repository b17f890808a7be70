//! The origin behind all that are measured: a thread of this process, on the core of the load. The same alone, in a process of its own, is the least that a
//! server can do.

use std::{
    convert::Infallible,
    net::TcpListener,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    thread,
};

use anyhow::{Context, Result};
use bytes::Bytes;
use http::{
    HeaderValue, Request, Response, StatusCode,
    header::{CACHE_CONTROL, CONTENT_TYPE, ETAG, LAST_MODIFIED},
};
use http_body_util::Full;
use hyper::{body::Incoming, server::conn::http1, service::service_fn};
use hyper_util::rt::TokioIo;
use rand::{Rng, SeedableRng, rngs::SmallRng};

use super::Size;

/// An origin that answers until the process ends.
pub(super) struct Origin {
    port: u16,
    asked: Arc<AtomicU64>,
}

impl Origin {
    pub(super) fn start() -> Result<Self> {
        let listener = TcpListener::bind("127.0.0.1:0")?;
        listener.set_nonblocking(true)?;
        let (port, asked) = (listener.local_addr()?.port(), Arc::<AtomicU64>::default());
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        let answers = Answers::new(Arc::clone(&asked));
        thread::Builder::new().name("origin".to_owned()).spawn(move || runtime.block_on(serve(listener, answers))).context("a thread")?;
        Ok(Self { port, asked })
    }

    pub(super) fn port(&self) -> u16 {
        self.port
    }

    /// How many requests it has answered.
    pub(super) fn asked(&self) -> u64 {
        self.asked.load(Ordering::Relaxed)
    }
}

/// Answers on a port of loopback until the process ends.
pub(crate) async fn answer(port: u16) -> Result<()> {
    let listener = TcpListener::bind(("127.0.0.1", port))?;
    listener.set_nonblocking(true)?;
    Ok(serve(listener, Answers::new(Arc::default())).await?)
}

/// What it answers with: by the first segment of the path.
#[derive(Clone)]
struct Answers {
    sizes: [(Size, Bytes); 3],
    asked: Arc<AtomicU64>,
}

async fn serve(listener: TcpListener, answers: Answers) -> std::io::Result<()> {
    let listener = tokio::net::TcpListener::from_std(listener)?;
    loop {
        let (stream, _) = listener.accept().await?;
        stream.set_nodelay(true)?;
        let answers = answers.clone();
        let service = service_fn(move |request: Request<Incoming>| {
            let response = answers.to(&request);
            async move { Ok::<_, Infallible>(response) }
        });
        // Of what a server breaks off its figures tell.
        tokio::spawn(http1::Builder::new().serve_connection(TokioIo::new(stream), service));
    }
}

impl Answers {
    fn new(asked: Arc<AtomicU64>) -> Self {
        Self { sizes: [Size::Small, Size::Middle, Size::Large].map(content), asked }
    }

    fn to(&self, request: &Request<Incoming>) -> Response<Full<Bytes>> {
        self.asked.fetch_add(1, Ordering::Relaxed);
        let wanted = request.uri().path().split('/').nth(1).unwrap_or_default();
        let Some((size, content)) = self.sizes.iter().find(|(size, _)| size.name() == wanted) else {
            let mut response = Response::new(Full::default());
            *response.status_mut() = StatusCode::NOT_FOUND;
            return response;
        };
        let mut response = Response::new(Full::new(content.clone()));
        let headers = response.headers_mut();
        headers.insert(CACHE_CONTROL, HeaderValue::from_static("public, max-age=86400"));
        headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/octet-stream"));
        headers.insert(LAST_MODIFIED, HeaderValue::from_static("Sun, 01 Nov 2026 00:00:00 GMT"));
        headers.insert(
            ETAG,
            HeaderValue::from_static(match size {
                Size::Small => "\"small\"",
                Size::Middle => "\"middle\"",
                Size::Large => "\"large\"",
            }),
        );
        response
    }
}

fn content(size: Size) -> (Size, Bytes) {
    let mut content = vec![0; size.bytes()];
    SmallRng::seed_from_u64(1).fill_bytes(&mut content);
    (size, content.into())
}
