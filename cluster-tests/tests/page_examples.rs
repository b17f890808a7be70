//! What the page of the node shows to do, done with curl as it stands there: a client that was written against the page works, at any node.
//!
//! The lines keep the host name of the page, its scheme, and all of their words. curl's own configuration leads that host to a node of
//! the cluster, each line to another one than the line before, and says which certificate is to be trusted; `$TOKEN` is the shell's.
//! Where the page has a method, a path and a body, the line is what these are for curl.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context as _, Result, bail, ensure};
use cluster_tests::client::Tenant;
use cluster_tests::cluster::{Ports, binary};
use cluster_tests::run::{Limit, Run, property};
use cluster_tests::{Cluster, wait};
use serde_json::{Value, json};
use tokio::process::Command;

/// Whose page it is.
const HOST: &str = "srv-cdn-eu-03.netcore-sys.net";

const STATUS: &str = r#"curl "https://srv-cdn-eu-03.netcore-sys.net/api/v2/status""#;
const TOKEN: &str = r#"curl -X POST "https://srv-cdn-eu-03.netcore-sys.net/api/v2/auth/token" -H "Content-Type: application/json" -d '{
"client_id": "your-client-id",
"secret": "your-client-secret",
"scope": "assets:read assets:write cache:purge"
}'"#;
const UPLOAD: &str = r#"curl -H "Authorization: Bearer $TOKEN" -F file=@my-asset.webm -F path=video-bg/my-asset.webm -F cache_ttl=3600 \
"https://srv-cdn-eu-03.netcore-sys.net/api/v2/assets/upload""#;
/// The one that the page has as a line of curl.
const LIST: &str = r#"curl -H "Authorization: Bearer $TOKEN" \
"https://srv-cdn-eu-03.netcore-sys.net/api/v2/assets?prefix=video-bg/""#;
const READ: &str = r#"curl "https://srv-cdn-eu-03.netcore-sys.net/assets/video-bg/my-asset.webm""#;
const PURGE: &str = r#"curl -X POST -H "Authorization: Bearer $TOKEN" -H "Content-Type: application/json" \
"https://srv-cdn-eu-03.netcore-sys.net/api/v2/cache/purge" -d '{
"pattern": "images/hero/*"
}'"#;
const METRICS: &str = r#"curl -H "Authorization: Bearer $TOKEN" \
"https://srv-cdn-eu-03.netcore-sys.net/api/v2/metrics?from=1748293841&to=1748297441&granularity=hour""#;
const DELETE: &str = r#"curl -X DELETE -H "Authorization: Bearer $TOKEN" "https://srv-cdn-eu-03.netcore-sys.net/api/v2/assets/{id}""#;
const RESTRICTED: &str = r#"curl "https://srv-cdn-eu-03.netcore-sys.net/restricted/...""#;

#[tokio::test(flavor = "multi_thread")]
async fn the_lines_of_the_page_do_what_it_says() -> Result<()> {
    property("page_examples", Limit::minutes(2, 2), page_examples).await
}

async fn page_examples(run: Run) -> Result<()> {
    let builder = Cluster::builder().seed(run.seed()).setting("listen", "stop_delay", "0s");
    let cluster = builder.setting("advertise", "http", format!("https://{HOST}")).start().await?;
    let client = Tenant::add(&cluster, "page", &[]).await?;
    let mut shell = Shell::new(&cluster).await?;
    let content = b"\x1a\x45\xdf\xa3 not really a film";
    fs::write(shell.dir.path().join("my-asset.webm"), content)?;

    let (status, node) = shell.run(STATUS, &[]).await?.json()?;
    ensure!(status == 200 && node["status"] == "operational" && node["version"].is_string(), "{status} {node}");
    ensure!(node["node"].is_string() && node["ts"].is_u64(), "{node}");

    let id = client.credentials.client_id.as_str();
    let secrets = [("your-client-id", id), ("your-client-secret", client.credentials.secret.as_str())];
    let (status, issued) = shell.run(TOKEN, &secrets).await?.json()?;
    let (token, scope) = (issued["access_token"].as_str().context("a token")?, "assets:read assets:write cache:purge");
    ensure!(status == 200 && token.starts_with("eyJ0eXAi"), "{status} {issued}");
    ensure!(issued["token_type"] == "Bearer" && issued["expires_in"] == 86_400 && issued["scope"] == scope, "{issued}");
    shell.token = token.to_owned();

    let (status, asset) = shell.run(UPLOAD, &[]).await?.json()?;
    ensure!(status == 201 && asset["path"] == "video-bg/my-asset.webm" && asset["mime"] == "video/webm", "{status} {asset}");
    ensure!(asset["url"] == format!("https://{HOST}/assets/video-bg/my-asset.webm"), "{asset}");
    ensure!(asset["size"] == content.len() && asset["cache_ttl"] == 3_600 && asset["client_id"] == id, "{asset}");
    let asset_id = asset["id"].as_str().filter(|id| id.starts_with("as_")).with_context(|| format!("an id: {asset}"))?;

    for _ in cluster.nodes() {
        let (status, list) = shell.until(LIST, |said| said.body.contains(asset_id)).await?.json()?;
        ensure!(status == 200 && list["assets"][0]["sha256"] == asset["sha256"], "{status} {list}");
        let read = shell.until(READ, |said| said.status == 200).await?;
        ensure!(read.body.as_bytes().ends_with(b" not really a film"), "{read:?}");
    }
    for path in ["images/hero/a.jpg", "images/hero/b.jpg", "images/other.jpg"] {
        shell.run(&UPLOAD.replace("video-bg/my-asset.webm", path), &[]).await?.is(201)?;
    }
    let purged = |said: &Said| said.json().is_ok_and(|(_, body)| body["purged"] == 2);
    shell.until(PURGE, purged).await?.is(200)?;

    // The page's token has not the scope for figures. One of all scopes has.
    let all = TOKEN.replace("cache:purge", "cache:purge metrics:read");
    let (_, issued) = shell.run(&all, &secrets).await?.json()?;
    let plain = std::mem::replace(&mut shell.token, issued["access_token"].as_str().context("a token")?.to_owned());
    let hours = shell.run(METRICS, &[]).await?;
    ensure!(hours.status == 400 && hours.body.contains("invalid_query"), "the hours of that day are not kept so long: {hours:?}");
    let now = jiff::Timestamp::now().as_second();
    let today = METRICS.replace("1748293841", &(now - 3_600).to_string()).replace("1748297441", &now.to_string());
    let (status, metrics) = shell.run(&today, &[]).await?.json()?;
    ensure!(status == 200 && metrics["client_id"] == id && metrics["granularity"] == "hour", "{status} {metrics}");
    for field in ["requests", "bytes_out", "hits", "misses"] {
        ensure!(metrics["totals"][field].is_u64(), "{field} in {metrics}");
    }

    shell.token = plain;
    let delete = DELETE.replace("{id}", asset_id);
    let deleted = shell.run(&delete, &[]).await?.is(204)?;
    ensure!(deleted.body.is_empty(), "{deleted:?}");
    shell.until(&delete, |said| said.status == 404).await?;
    shell.run(RESTRICTED, &[]).await?.is(401)?;
    shell.token = "none".to_owned();
    shell.run(LIST, &[]).await?.is(401)?;
    run.say(format_args!("{} lines were run", shell.turn));
    drop(shell);
    cluster.shutdown().await
}

/// Somebody at a shell, for whom the host of the page is one node after the other.
struct Shell {
    dir: tempfile::TempDir,
    /// A directory with a `.curlrc` for each node.
    homes: Vec<PathBuf>,
    turn: usize,
    token: String,
    _ports: Ports,
}

/// What curl printed.
#[derive(Debug)]
struct Said {
    status: u16,
    body: String,
}

impl Shell {
    /// Gives each node TLS with a certificate for the host of the page.
    async fn new(cluster: &Cluster) -> Result<Self> {
        let dir = tempfile::tempdir()?;
        let mut ports = Ports::reserve()?;
        let issued = rcgen::generate_simple_self_signed([HOST.to_owned()])?;
        let (cert, key) = (dir.path().join("cert.pem"), dir.path().join("key.pem"));
        fs::write(&cert, issued.cert.pem())?;
        fs::write(&key, issued.signing_key.serialize_pem())?;
        let mut homes = Vec::new();
        for node in cluster.nodes() {
            let port = ports.take()?;
            node.upgrade(&binary::ncore()?, |config| {
                let tls = config.set("listen", "https", format!("127.0.0.1:{port}"));
                tls.set("listen", "tls_cert", cert.as_path()).set("listen", "tls_key", key.as_path());
            })?;
            node.restart().await?;
            homes.push(home(dir.path(), node.name(), port, &cert)?);
        }
        Ok(Self { dir, homes, turn: 0, token: String::new(), _ports: ports })
    }

    /// Runs a line at the next node, with these words for others.
    async fn run(&mut self, line: &str, words: &[(&str, &str)]) -> Result<Said> {
        let home = &self.homes[self.turn % self.homes.len()];
        self.turn += 1;
        let line = words.iter().fold(line.to_owned(), |line, (word, by)| line.replace(word, by));
        let mut command = Command::new("sh");
        command.args(["-c", &line]).current_dir(self.dir.path()).env("TOKEN", &self.token).env("CURL_HOME", home).kill_on_drop(true);
        let output = command.output().await.context("run a shell")?;
        let said = String::from_utf8_lossy(&output.stdout);
        let complaint = String::from_utf8_lossy(&output.stderr);
        let Some((body, status)) = said.rsplit_once('\n').filter(|_| output.status.success()) else {
            bail!("{line} ended with {}: {complaint}", output.status);
        };
        Ok(Said { status: status.parse().with_context(|| format!("{line}: {said}"))?, body: body.to_owned() })
    }

    /// Runs it at one node after the other until what was changed at another is there.
    async fn until(&mut self, line: &str, is_there: impl Fn(&Said) -> bool) -> Result<Said> {
        let shell = tokio::sync::Mutex::new(self);
        let found = wait::until(SETTLE, line, || async {
            let said = shell.lock().await.run(line, &[]).await?;
            ensure!(is_there(&said), "{said:?}");
            Ok(said)
        });
        Ok(found.await?)
    }
}

impl Said {
    fn is(self, status: u16) -> Result<Self> {
        ensure!(self.status == status, "not {status}: {self:?}");
        Ok(self)
    }

    fn json(&self) -> Result<(u16, Value)> {
        let body = serde_json::from_str(&self.body).with_context(|| format!("{self:?}"))?;
        Ok((self.status, body))
    }
}

/// curl's configuration for a node.
fn home(dir: &Path, name: &str, port: u16, cert: &Path) -> Result<PathBuf> {
    let home = dir.join(name);
    fs::create_dir(&home)?;
    let lines = [
        format!("connect-to = {}", json!(format!("{HOST}:443:127.0.0.1:{port}"))),
        format!("cacert = {}", json!(cert)),
        r#"noproxy = "*""#.to_owned(),
        r#"write-out = "\n%{http_code}""#.to_owned(),
        "max-time = 30".to_owned(),
        "silent\nshow-error\n".to_owned(),
    ];
    fs::write(home.join(".curlrc"), lines.join("\n"))?;
    Ok(home)
}

/// How long a healthy cluster may take.
const SETTLE: Duration = Duration::from_secs(30);
