//! What stands in `deploy/` starts what it says. There need be no container engine: the scripts and settings of the compose file run
//! as processes of this machine, with directories and addresses of their own put in place of the containers'.

use anyhow::{Context as _, Result, ensure};
use cluster_tests::cluster::{Ports, Reaper, binary};
use cluster_tests::operator::Operator;
use cluster_tests::run::{Limit, Run, property};
use cluster_tests::wait;
use rustix::process::{Pid, Signal, kill_process};
use serde_yaml_ng::Value;
use std::collections::BTreeSet;
use std::fs::{self, File};
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::process::{Output, Stdio};
use std::time::Duration;
use tokio::process::{Child, Command};

#[tokio::test(flavor = "multi_thread")]
async fn the_scripts_of_the_compose_file_make_a_cluster_and_stop_in_order() -> Result<()> {
    property("compose", Limit::minutes(2, 2), compose).await
}

async fn compose(run: Run) -> Result<()> {
    let dir = tempfile::tempdir()?;
    let reaper = Reaper::start()?;
    let stage = Stage::set(dir.path(), reaper.group())?;
    let file = ComposeFile::read()?;
    let mut ports = Ports::reserve()?;
    let mut services = Vec::new();
    for name in file.services() {
        services.push(Service { listens: [ports.take()?, ports.take()?], name });
    }
    ensure!(services.len() > 1, "one service is no cluster");
    let mut processes = Vec::new();
    for service in &services {
        processes.push(stage.start(&file, service, &services)?);
    }
    let operator = Operator::new(stage.binary.clone(), stage.config(&services[0].name));
    let expected = services.len();
    wait::until(Duration::from_secs(60), "all services to be voters", || async {
        let status = operator.status().await.map_err(|error| format!("{error}"))?;
        (status.voters() == expected && status.has_settled_voters()).then_some(()).ok_or_else(|| format!("{status:?}"))
    })
    .await
    .with_context(|| stage.logs(&services))?;
    run.say(format_args!("{expected} voters"));

    // As `docker compose down`: from the last to the first, each told once, and given its time.
    for (service, process) in services.iter().zip(&mut processes).rev() {
        let pid = process.id().and_then(|pid| Pid::from_raw(i32::try_from(pid).ok()?)).context("it has ended by itself")?;
        kill_process(pid, Signal::TERM)?;
        let status = tokio::time::timeout(Duration::from_secs(45), process.wait()).await.with_context(|| service.name.clone())??;
        ensure!(status.success(), "{} ended with {status}: its node did not stop in order\n{}", service.name, stage.logs(&services));
    }
    Ok(())
}

/// What the files name must be there: in the files themselves, or in the binary.
#[tokio::test]
async fn the_files_fit_each_other_and_the_binary() -> Result<()> {
    let file = ComposeFile::read()?;
    let containerfile = fs::read_to_string(deploy("Containerfile"))?;
    let user = after(&containerfile, "--uid ").context("the image has a user with a number")?;
    for name in file.services() {
        let service = &file.0["services"][name.as_str()];
        let context = deploy(text(&file.0["x-node"]["build"]["context"])?);
        ensure!(context.join(text(&file.0["x-node"]["build"]["dockerfile"])?).is_file(), "there is no such Containerfile");
        for config in service["configs"].as_sequence().context("a service has a configuration")? {
            ensure!(file.0["configs"].get(text(&config["source"])?).is_some(), "{config:?} is not there");
            ensure!(containerfile.contains(text(&config["target"])?), "the image looks for its configuration elsewhere");
        }
        for mount in service["volumes"].as_sequence().context("a service keeps its data")? {
            let volume = text(mount)?.split(':').next().unwrap_or_default();
            ensure!(file.0["volumes"].get(volume).is_some(), "the volume {volume} is not there");
        }
        for port in service["ports"].as_sequence().context("a service is reached")? {
            let inside = text(port)?.rsplit(':').next().unwrap_or_default();
            ensure!(containerfile.contains(&format!("EXPOSE {inside} ")), "nothing listens on {inside}");
        }
    }
    // Docker makes a volume the super-user's if the image has nothing at its place.
    let options = text(&file.0["volumes"]["joining"]["driver_opts"]["o"])?;
    ensure!(options.split(',').any(|option| option == format!("uid={user}")), "the user of the image cannot write the join token");

    // Where the command line is not understood the exit code is 2; where the configuration is not there, 1.
    let unit = fs::read_to_string(deploy("ncore.service"))?;
    let arguments = unit.lines().find_map(|line| line.strip_prefix("ExecStart=/usr/local/bin/ncore "));
    not_there(&ncore(arguments.context("the unit starts the binary")?.split(' '), &[]).await?)?;
    let image_command = after(&containerfile, "CMD [\"").map(|rest| rest.trim_end_matches("\"]")).context("the image has a command")?;
    not_there(&ncore([image_command], &environment(&containerfile)?).await?)
}

fn not_there(output: &Output) -> Result<()> {
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    ensure!(output.status.code() == Some(1) && said.contains("cannot read the configuration /etc/ncore/ncore.toml"), "{said}");
    Ok(())
}

/// The compose file, with what is merged into each service in its place.
struct ComposeFile(Value);

impl ComposeFile {
    fn read() -> Result<Self> {
        let text = fs::read_to_string(deploy("compose.yaml"))?;
        let mut file: Value = serde_yaml_ng::from_str(&text).context("the compose file is YAML")?;
        file.apply_merge().context("what is merged is there")?;
        Ok(Self(file))
    }

    /// In the order of the file: the first one makes the cluster.
    fn services(&self) -> Vec<String> {
        let services = self.0["services"].as_mapping().into_iter().flatten();
        services.filter_map(|(name, _)| name.as_str().map(str::to_owned)).collect()
    }

    /// The script that a service runs, as the shell gets it.
    fn script(&self, name: &str) -> Result<String> {
        let service = &self.0["services"][name];
        let entry: Vec<_> = service["entrypoint"].as_sequence().into_iter().flatten().filter_map(Value::as_str).collect();
        ensure!(entry == ["/bin/sh", "-ec"], "{name} is started with {entry:?}");
        // A doubled dollar is how a compose file writes one that is the shell's.
        Ok(text(&service["command"][0])?.replace("$$", "$"))
    }
}

/// One service, and where it listens here: for viewers, and for other nodes.
struct Service {
    name: String,
    listens: [u16; 2],
}

/// Directories in place of the containers' and their volumes.
struct Stage {
    dir: PathBuf,
    binary: PathBuf,
    group: i32,
}

impl Stage {
    fn set(dir: &Path, group: i32) -> Result<Self> {
        for name in ["bin", "joining"] {
            fs::create_dir(dir.join(name))?;
        }
        let binary = dir.join("bin/ncore");
        symlink(binary::ncore()?, &binary)?;
        Ok(Self { dir: dir.to_owned(), binary, group })
    }

    fn config(&self, service: &str) -> PathBuf {
        self.dir.join(format!("{service}.toml"))
    }

    fn log(&self, service: &str) -> PathBuf {
        self.dir.join(format!("{service}.log"))
    }

    fn start(&self, file: &ComposeFile, service: &Service, all: &[Service]) -> Result<Child> {
        let Service { name, listens: [http, cluster] } = service;
        let data = self.dir.join(format!("{name}-data"));
        fs::create_dir(&data)?;
        let here = |text: &str| {
            let text = text.replace("/var/lib/ncore", &data.to_string_lossy());
            let text = text.replace("/joining", &self.dir.join("joining").to_string_lossy());
            all.iter().fold(text, |text, other| text.replace(&format!("{}:7400", other.name), &format!("127.0.0.1:{}", other.listens[1])))
        };
        let settings = here(text(&file.0["configs"][name.as_str()]["content"])?);
        let listen = format!("[listen]\nhttp = \"127.0.0.1:{http}\"\ncluster = \"127.0.0.1:{cluster}\"\n");
        fs::write(self.config(name), settings + &listen)?;
        let log = File::create(self.log(name))?;
        let bin = self.dir.join("bin");
        Command::new("/bin/sh")
            .arg("-ec")
            .arg(here(&file.script(name)?))
            .env_clear()
            .envs(environment(&fs::read_to_string(deploy("Containerfile"))?)?)
            .env("NCORE_CONFIG", self.config(name))
            .env("PATH", format!("{}:/usr/bin:/bin", bin.display()))
            .stdin(Stdio::null())
            .stdout(log.try_clone()?)
            .stderr(log)
            .process_group(self.group)
            .kill_on_drop(true)
            .spawn()
            .with_context(|| format!("start {name}"))
    }

    fn logs(&self, services: &[Service]) -> String {
        let log = |service: &Service| {
            let text = fs::read_to_string(self.log(&service.name)).unwrap_or_default();
            let lines: Vec<_> = text.lines().collect();
            format!("{}:\n{}", service.name, lines[lines.len().saturating_sub(15)..].join("\n"))
        };
        services.iter().map(log).collect::<Vec<_>>().join("\n")
    }
}

/// Runs the binary with these arguments, in this environment and no other.
async fn ncore(arguments: impl IntoIterator<Item = &str>, environment: &[(String, String)]) -> Result<Output> {
    let mut command = Command::new(binary::ncore()?);
    command.args(arguments).env_clear().envs(environment.iter().cloned()).stdin(Stdio::null()).kill_on_drop(true);
    Ok(tokio::time::timeout(Duration::from_secs(30), command.output()).await??)
}

/// The variables that the image sets.
fn environment(containerfile: &str) -> Result<Vec<(String, String)>> {
    let lines = containerfile.lines().filter_map(|line| line.strip_prefix("ENV "));
    let pairs = lines.flat_map(str::split_whitespace).map(|pair| pair.split_once('=').context("a variable has a value"));
    let pairs = pairs.map(|pair| pair.map(|(name, value)| (name.to_owned(), value.to_owned()))).collect::<Result<Vec<_>>>()?;
    let names: BTreeSet<&str> = pairs.iter().map(|(name, _)| name.as_str()).collect();
    ensure!(names.len() == pairs.len(), "a variable is set twice");
    Ok(pairs)
}

/// The word that stands behind `marker`.
fn after<'a>(text: &'a str, marker: &str) -> Option<&'a str> {
    text.split_once(marker)?.1.split_whitespace().next()
}

fn text(yaml: &Value) -> Result<&str> {
    yaml.as_str().with_context(|| format!("{yaml:?} is not text"))
}

fn deploy(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../deploy").join(name)
}
