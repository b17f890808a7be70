//! What is measured: a node of ours, and what is measured beside it, each with a directory of its own and with the configuration that stands
//! in `cluster-tests/peers`.

use std::{
    fs,
    path::{Path, PathBuf},
    process::{Child, Command},
    thread,
    time::{Duration, Instant},
};

use anyhow::{Context, Result, ensure};
use clap::ValueEnum;

use super::{HOST, Size};
use crate::{
    process::{free_port, pinned, stop},
    servers::{Ncore, Server, wait_for_port},
};

/// What a node is measured beside.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Program {
    Nginx,
    Varnish,
    Trafficserver,
    /// hyper with nothing behind it: what any server over it costs at least. HTTP/1.1 only, and nothing is a miss
    Hyper,
}

/// A server that runs, until it is dropped.
pub(crate) enum Peer {
    Ours(Ncore),
    Other { program: Program, child: Child, http: u16, https: Option<u16> },
}

/// What stands in the configurations for what is known only now.
struct Place<'a> {
    dir: &'a Path,
    certificates: &'a Path,
    origin: u16,
    http: u16,
    https: u16,
}

impl Peer {
    /// A cluster of one node, with a zone.
    pub(crate) async fn ncore(binary: &Path, dir: &Path, origin: u16) -> Result<Self> {
        let ncore = Ncore::start(binary, dir, include_str!("../../../../peers/ncore.toml")).await?;
        let client = ncore.client().await?;
        let client = client["client_id"].as_str().context("no client")?;
        let origin = format!("http://127.0.0.1:{origin}");
        ncore.run(&["zone", "create", client, "--origin", &origin, "--host", HOST]).await?;
        Ok(Self::Ours(ncore))
    }

    pub(crate) fn start(program: Program, certificates: &Path, origin: u16) -> Result<Self> {
        let dir = certificates.join(program.name());
        fs::create_dir_all(dir.join("cache"))?;
        let place = Place { dir: &dir, certificates, origin, http: free_port()?, https: free_port()? };
        let mut command = program.command(&place)?;
        // Some tell much of their start.
        let child = command.stderr(fs::File::create(dir.join("stderr"))?).spawn()?;
        let https = matches!(program, Program::Nginx | Program::Trafficserver).then_some(place.https);
        let peer = Self::Other { program, child, http: place.http, https };
        wait_for_port(place.http)?;
        Ok(peer)
    }

    pub(crate) fn name(&self) -> &'static str {
        match self {
            Self::Ours(_) => "ncore",
            Self::Other { program, .. } => program.name(),
        }
    }

    /// Its first process.
    pub(crate) fn pid(&self) -> u32 {
        match self {
            Self::Ours(ncore) => ncore.pid(),
            Self::Other { child, .. } => child.id(),
        }
    }

    /// The port that it listens on; `None` for what it does not speak.
    pub(crate) fn port(&self, tls: bool) -> Option<u16> {
        match self {
            Self::Ours(ncore) => Some(ncore.port(tls)),
            Self::Other { http, https, .. } => {
                if tls {
                    *https
                } else {
                    Some(*http)
                }
            }
        }
    }

    /// Asks for a content, as the load will, until it comes from the cache.
    pub(crate) async fn check(&self, tls: bool, size: Size) -> Result<()> {
        let (scheme, port) = (if tls { "https" } else { "http" }, self.port(tls).context("a way that it speaks")?);
        let client = reqwest::Client::builder()
            .tls_danger_accept_invalid_certs(true)
            .resolve(HOST, ([127, 0, 0, 1], port).into())
            .timeout(DEADLINE)
            .build()?;
        let end = Instant::now() + DEADLINE;
        loop {
            let asked = client.get(format!("{scheme}://{HOST}:{port}{}", size.path())).send().await;
            let answer = asked.and_then(reqwest::Response::error_for_status);
            if let Ok(answer) = answer {
                let is_hit = self.is_hit(answer.headers());
                let length = answer.bytes().await?.len();
                ensure!(length == size.bytes(), "{length} bytes of {}", size.name());
                if is_hit {
                    return Ok(());
                }
            } else if Instant::now() > end {
                answer?;
            }
            ensure!(Instant::now() < end, "{} does not come from the cache", size.name());
            thread::sleep(Duration::from_millis(100));
        }
    }

    /// Whether it answers without an origin.
    pub(crate) fn is_alone(&self) -> bool {
        matches!(self, Self::Other { program: Program::Hyper, .. })
    }

    /// Each says it in its own way; Traffic Server by an `Age` alone.
    fn is_hit(&self, headers: &http::HeaderMap) -> bool {
        match self {
            _ if self.is_alone() => true,
            Self::Other { program: Program::Trafficserver, .. } => headers.get("age").is_some_and(|age| age != "0"),
            _ => headers.get("x-cache").is_some_and(|word| word == "HIT"),
        }
    }
}

impl Program {
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Nginx => "nginx",
            Self::Varnish => "varnish",
            Self::Trafficserver => "trafficserver",
            Self::Hyper => "hyper, empty",
        }
    }

    /// How it is started, with its configuration written.
    fn command(self, place: &Place<'_>) -> Result<Command> {
        let file = |name: &str, text: &str| -> Result<PathBuf> {
            let path = place.dir.join(name);
            fs::write(&path, place.fill(text)).with_context(|| format!("write {}", path.display()))?;
            Ok(path)
        };
        Ok(match self {
            Self::Hyper => {
                let mut command = pinned(&std::env::current_exe()?.display().to_string());
                command.args(["answer", &place.http.to_string()]);
                command
            }
            Self::Nginx => {
                let config = file("nginx.conf", include_str!("../../../../peers/nginx.conf"))?;
                let mut command = pinned("nginx");
                command.arg("-c").arg(config).arg("-p").arg(place.dir);
                command
            }
            Self::Varnish => {
                let config = file("varnish.vcl", include_str!("../../../../peers/varnish.vcl"))?;
                let mut command = pinned("varnishd");
                command.args(["-F", "-j", "none", "-s", "malloc,256m", "-p", "thread_pools=1"]);
                // Room for one content may be that of any number of shorter ones, of which it takes 50 away otherwise, and then answers 503.
                command.args(["-p", "nuke_limit=1000000", "-a", &format!("127.0.0.1:{}", place.http)]);
                command.arg("-n").arg(place.dir.join("work")).arg("-f").arg(config);
                command
            }
            Self::Trafficserver => {
                file("records.config", include_str!("../../../../peers/trafficserver/records.config"))?;
                file("remap.config", include_str!("../../../../peers/trafficserver/remap.config"))?;
                file("storage.config", include_str!("../../../../peers/trafficserver/storage.config"))?;
                file("ssl_multicert.config", include_str!("../../../../peers/trafficserver/ssl_multicert.config"))?;
                file("ip_allow.yaml", include_str!("../../../../peers/trafficserver/ip_allow.yaml"))?;
                let root = file("runroot.yaml", include_str!("../../../../peers/trafficserver/runroot.yaml"))?;
                let mut command =
                    if rustix::process::geteuid().is_root() { self.as_own_user(place.dir)? } else { pinned("traffic_server") };
                command.arg(format!("--run-root={}", root.display()));
                command
            }
        })
    }
}

impl Program {
    /// Traffic Server refuses to serve as root: it is started as the user that its package makes, who has the directory then.
    fn as_own_user(self, dir: &Path) -> Result<Command> {
        let user = self.name();
        let given = Command::new("chown").args(["-R", user]).arg(dir).status().context("chown")?;
        ensure!(given.success(), "the directory cannot be given to {user}");
        let mut command = pinned("setpriv");
        command.args([&format!("--reuid={user}"), &format!("--regid={user}"), "--clear-groups", "traffic_server"]);
        Ok(command)
    }
}

impl Place<'_> {
    fn fill(&self, text: &str) -> String {
        let Self { dir, certificates, origin, http, https } = self;
        // A server that changes its user is to stay the one who started it: what is in the directory is that one's.
        let user = std::env::var("USER").unwrap_or_else(|_| "root".to_owned());
        let known = [
            ("@dir@", dir.display().to_string()),
            ("@certificates@", certificates.display().to_string()),
            ("@origin@", origin.to_string()),
            ("@http@", http.to_string()),
            ("@https@", https.to_string()),
            ("@user@", user),
        ];
        known.iter().fold(text.to_owned(), |text, (name, value)| text.replace(name, value))
    }
}

impl Drop for Peer {
    fn drop(&mut self) {
        if let Self::Other { child, .. } = self {
            stop(child);
        }
    }
}

/// How long a content may take to come from a cache.
const DEADLINE: Duration = Duration::from_secs(20);
