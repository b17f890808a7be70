//! The servers that are measured, each on the first core, on free ports of loopback.

use std::{
    fs,
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    thread,
    time::{Duration, Instant},
};

use anyhow::{Context, Result, bail, ensure};
use serde_json::{Value, json};

use crate::process::{family, free_port, pinned, stop};

const READY: Duration = Duration::from_secs(20);

/// A server that runs.
pub(crate) trait Server {
    /// The port that it listens on.
    fn port(&self, tls: bool) -> u16;
    /// The processes whose CPU time counts.
    fn processes(&self) -> Result<Vec<u32>>;
}

/// nginx, serving files: one worker, sendfile on, tcp_nopush off, no access log.
pub(crate) struct Nginx {
    child: Child,
    ports: [u16; 2],
}

/// A cluster of one node.
pub(crate) struct Ncore {
    child: Child,
    ports: [u16; 2],
    binary: PathBuf,
    config: PathBuf,
}

impl Nginx {
    pub(crate) fn start(dir: &Path) -> Result<Self> {
        let ports = [free_port()?, free_port()?];
        let [http, https] = ports;
        let at = dir.display();
        let config = format!(
            "worker_processes 1;\ndaemon off;\npid {at}/nginx.pid;\nerror_log {at}/nginx.log;\nevents {{ worker_connections 4096; }}\n\
             http {{\n  access_log off;\n  sendfile on;\n  tcp_nopush off;\n  keepalive_requests 1000000000;\n  open_file_cache max=100;\n\
             default_type application/octet-stream;\n  client_body_temp_path {at}/t1; proxy_temp_path {at}/t2; fastcgi_temp_path {at}/t3;\n\
             uwsgi_temp_path {at}/t4; scgi_temp_path {at}/t5;\n  server {{\n    listen 127.0.0.1:{http};\n    listen 127.0.0.1:{https} ssl;\n\
             ssl_certificate {at}/tls.crt;\n    ssl_certificate_key {at}/tls.key;\n    ssl_protocols TLSv1.2 TLSv1.3;\n    root {at}/www;\n  }}\n}}\n"
        );
        let file = dir.join("nginx.conf");
        fs::write(&file, config)?;
        let child = pinned("nginx").arg("-c").arg(&file).arg("-p").arg(dir).spawn()?;
        let server = Self { child, ports };
        wait_for_port(http)?;
        Ok(server)
    }
}

impl Server for Nginx {
    fn port(&self, tls: bool) -> u16 {
        self.ports[usize::from(tls)]
    }

    fn processes(&self) -> Result<Vec<u32>> {
        // The master waits; its worker works.
        family(self.child.id())
    }
}

impl Ncore {
    /// A node with its files in `dir`, where the certificate is as well, and `more` in its configuration.
    pub(crate) async fn start(binary: &Path, dir: &Path, more: &str) -> Result<Self> {
        let ports = [free_port()?, free_port()?];
        let [http, https] = ports;
        let (cluster, at) = (free_port()?, dir.display());
        let text = format!(
            "[node]\nname = \"bench\"\nregion = \"here\"\ndata_dir = \"{at}/ncore\"\n[listen]\nhttp = \"127.0.0.1:{http}\"\n\
             https = \"127.0.0.1:{https}\"\ntls_cert = \"{at}/tls.crt\"\ntls_key = \"{at}/tls.key\"\ncluster = \"127.0.0.1:{cluster}\"\n\
             [log]\nfilter = \"error\"\n{more}"
        );
        let config = dir.join("ncore.toml");
        fs::write(&config, text)?;
        let made = Command::new(binary).args(["init", "--config"]).arg(&config).stdout(Stdio::null()).status()?;
        ensure!(made.success(), "ncore init failed");
        let child = pinned(binary.to_str().context("a path that is text")?).args(["server", "--config"]).arg(&config).spawn()?;
        let server = Self { child, ports, binary: binary.to_owned(), config };
        let (client, ready) = (reqwest::Client::new(), format!("{}/readyz", server.base()));
        let end = Instant::now() + READY;
        while !client.get(&ready).send().await.is_ok_and(|response| response.status().is_success()) {
            ensure!(Instant::now() < end, "ncore is not ready");
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        Ok(server)
    }

    /// Adds a client, and gives its credentials.
    pub(crate) async fn client(&self) -> Result<Value> {
        let added = self.run(&["client", "add", "--name", "bench", "--json"]).await?;
        serde_json::from_str(&added).context("ncore client add gave no JSON")
    }

    /// What a command of the node's operator prints. It is given again for a while: some need a level of the cluster that a new one has not at once.
    pub(crate) async fn run(&self, command: &[&str]) -> Result<String> {
        let end = Instant::now() + READY;
        loop {
            let output = Command::new(&self.binary).args(command).arg("--config").arg(&self.config).output()?;
            if output.status.success() {
                return Ok(String::from_utf8_lossy(&output.stdout).into_owned());
            }
            ensure!(Instant::now() < end, "ncore {command:?}: {}", String::from_utf8_lossy(&output.stderr));
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
    }

    /// Pushes files to it.
    pub(crate) async fn push(&self, files: &Path) -> Result<()> {
        let (client, base) = (reqwest::Client::new(), self.base());
        let credentials = self.client().await?;
        let login = json!({ "client_id": credentials["client_id"], "secret": credentials["secret"] });
        let token: Value = client.post(format!("{base}/api/v2/auth/token")).json(&login).send().await?.json().await?;
        let token = token["access_token"].as_str().context("no token")?;
        for file in fs::read_dir(files)? {
            let file = file?;
            let name = file.file_name().to_string_lossy().into_owned();
            let part = reqwest::multipart::Part::bytes(fs::read(file.path())?).file_name(name.clone());
            let form = reqwest::multipart::Form::new().text("path", format!("bench/{name}")).part("file", part);
            client.post(format!("{base}/api/v2/assets/upload")).bearer_auth(token).multipart(form).send().await?.error_for_status()?;
        }
        Ok(())
    }

    pub(crate) fn pid(&self) -> u32 {
        self.child.id()
    }

    fn base(&self) -> String {
        format!("http://127.0.0.1:{}", self.ports[0])
    }
}

impl Server for Ncore {
    fn port(&self, tls: bool) -> u16 {
        self.ports[usize::from(tls)]
    }

    fn processes(&self) -> Result<Vec<u32>> {
        Ok(vec![self.child.id()])
    }
}

impl Drop for Nginx {
    fn drop(&mut self) {
        stop(&mut self.child);
    }
}

impl Drop for Ncore {
    fn drop(&mut self) {
        stop(&mut self.child);
    }
}

/// A self-signed certificate that all servers show, as `tls.crt` and `tls.key`.
pub(crate) fn certificate(dir: &Path) -> Result<()> {
    let made = rcgen::generate_simple_self_signed(vec!["localhost".to_owned()])?;
    fs::write(dir.join("tls.crt"), made.cert.pem())?;
    fs::write(dir.join("tls.key"), made.signing_key.serialize_pem())?;
    Ok(())
}

/// Waits for something to listen on a port of loopback.
pub(crate) fn wait_for_port(port: u16) -> Result<()> {
    let end = Instant::now() + READY;
    while Instant::now() < end {
        if std::net::TcpStream::connect(("127.0.0.1", port)).is_ok() {
            return Ok(());
        }
        thread::sleep(Duration::from_millis(20));
    }
    bail!("nothing listens on port {port}")
}
