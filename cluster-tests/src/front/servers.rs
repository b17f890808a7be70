//! nginx and Apache as origins: each from a directory of its own, on a free port, in the foreground, and gone with its handle.
//!
//! Both answer every path with a field `X-Seen`, in which is what they took the request for, and note each request in a log.

use crate::cluster::Reaper;
use crate::wait;
use anyhow::{Context as _, Result};
use std::fs;
use std::net::{SocketAddr, TcpListener};
use std::os::unix::fs::PermissionsExt as _;
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;
use tempfile::TempDir;

/// A server that nobody here wrote.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Server {
    /// nginx.
    Nginx,
    /// Apache httpd.
    Apache,
}

/// One that runs.
#[derive(Debug)]
pub struct Running {
    /// Where it listens.
    pub address: SocketAddr,
    dir: TempDir,
    // Dropped first: kills it.
    _reaper: Reaper,
}

impl Server {
    /// Its name.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Nginx => "nginx",
            Self::Apache => "apache",
        }
    }

    /// Where its program is, if it is installed.
    #[must_use]
    pub fn program(self) -> Option<PathBuf> {
        let name = match self {
            Self::Nginx => "nginx",
            Self::Apache => "apache2",
        };
        ["/usr/sbin", "/usr/bin", "/usr/local/sbin"].iter().map(|dir| Path::new(dir).join(name)).find(|path| path.exists())
    }

    /// Starts it; `None` if it is not installed.
    ///
    /// # Errors
    /// When it does not come up.
    pub async fn start(self) -> Result<Option<Running>> {
        let Some(program) = self.program() else { return Ok(None) };
        let dir = tempfile::Builder::new().prefix("ncore-origin-").tempdir()?;
        // Its workers are somebody else.
        fs::set_permissions(dir.path(), fs::Permissions::from_mode(0o755))?;
        let address = TcpListener::bind("127.0.0.1:0")?.local_addr()?;
        let (file, log) = (dir.path().join("conf"), fs::File::create(dir.path().join("output"))?);
        let mut command = Command::new(program);
        match self {
            Self::Nginx => {
                fs::write(&file, nginx(dir.path(), address))?;
                command.arg("-p").arg(dir.path()).arg("-c").arg(&file);
            }
            Self::Apache => {
                fs::create_dir(dir.path().join("content"))?;
                fs::write(dir.path().join("content/index.html"), "from apache")?;
                fs::write(&file, apache(dir.path(), address))?;
                command.arg("-DFOREGROUND").arg("-f").arg(&file);
            }
        }
        let reaper = Reaper::start()?;
        let output = (log.try_clone()?, log);
        command.stdin(Stdio::null()).stdout(output.0).stderr(output.1).process_group(reaper.group());
        let mut child = command.spawn().with_context(|| format!("start {}", self.name()))?;
        let running = Running { address, dir, _reaper: reaper };
        let up = wait::until(Duration::from_secs(20), self.name(), || tokio::net::TcpStream::connect(address)).await;
        // Reaped when the group is killed; a thread that waits for it keeps it from staying around until then.
        std::thread::spawn(move || child.wait());
        up.with_context(|| running.output())?;
        Ok(Some(running))
    }
}

impl Running {
    /// Its log: a line for each request.
    ///
    /// # Errors
    /// When it cannot be read.
    pub fn log(&self) -> Result<String> {
        Ok(String::from_utf8_lossy(&fs::read(self.dir.path().join("access.log")).unwrap_or_default()).into_owned())
    }

    fn output(&self) -> String {
        fs::read_to_string(self.dir.path().join("output")).unwrap_or_default()
    }
}

fn nginx(dir: &Path, address: SocketAddr) -> String {
    let dir = dir.display();
    format!(
        "daemon off; worker_processes 1; pid {dir}/pid; error_log stderr;
events {{ worker_connections 512; }}
http {{
    log_format whole '$request_method $request_uri host=$http_host status=$status';
    access_log {dir}/access.log whole;
    client_body_temp_path {dir}/body; proxy_temp_path {dir}/proxy; fastcgi_temp_path {dir}/fastcgi;
    uwsgi_temp_path {dir}/uwsgi; scgi_temp_path {dir}/scgi;
    server {{
        listen {address};
        location / {{
            add_header Cache-Control 'max-age=60' always;
            add_header X-Seen '$request_method $request_uri $http_host' always;
            return 200 'from nginx';
        }}
    }}
}}
"
    )
}

fn apache(dir: &Path, address: SocketAddr) -> String {
    let modules = ["mpm_event", "authz_core", "headers", "dir"];
    let modules: String = modules.iter().map(|name| format!("LoadModule {name}_module /usr/lib/apache2/modules/mod_{name}.so\n")).collect();
    let dir = dir.display();
    format!(
        "{modules}ServerName origin.test
Listen {address}
PidFile {dir}/pid
User www-data
Group www-data
ErrorLog {dir}/output
LogFormat \"%r host=%{{Host}}i status=%>s\" whole
CustomLog {dir}/access.log whole
DocumentRoot {dir}/content
AllowEncodedSlashes NoDecode
Header always set Cache-Control max-age=60
Header always set X-Seen \"expr=%{{THE_REQUEST}} %{{HTTP_HOST}}\"
<Directory {dir}/content>
    Require all granted
    FallbackResource /index.html
</Directory>
"
    )
}
