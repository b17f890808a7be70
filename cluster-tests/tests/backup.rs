//! A backup is made while uploads go on, and restored on a machine that has nothing.
//!
//! The state comes back exactly, as a cluster of its own that knows nobody of the old one; content is not part of it, and the
//! restored cluster says so until the content is there again. What is damaged or was never completed is no backup.

use anyhow::{Context as _, Result, ensure};
use cluster_tests::client::{Api, Upload};
use cluster_tests::run::{Limit, Run, property};
use cluster_tests::workload::{Content, Ledger, Settler};
use cluster_tests::{Cluster, Node, wait};
use serde::Deserialize;
use std::fs;
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

#[tokio::test(flavor = "multi_thread")]
async fn a_backup_under_load_comes_back() -> Result<()> {
    property("backup", Limit::minutes(4, 8), backup).await
}

/// What `ncore cluster backup --json` and `backup list --json` print of a backup.
#[derive(Debug, Deserialize)]
struct Listed {
    name: String,
    manifest: Option<Manifest>,
    #[serde(default)]
    removed: Vec<String>,
}

#[derive(Debug, Deserialize)]
struct Manifest {
    lineage: u32,
    index: u64,
    state_hash: String,
    confirmed: bool,
    files: Vec<File>,
}

#[derive(Debug, Deserialize)]
struct File {
    name: String,
}

/// What `ncore cluster restore --json` prints.
#[derive(Debug, Deserialize)]
struct Restored {
    cluster_id: String,
    base: String,
    lineage: u32,
    unverified: u64,
}

async fn backup(run: Run) -> Result<()> {
    let mut cluster = Cluster::builder().seed(run.seed()).spare("us-sfo").start().await?;
    let api = cluster.api("backup").await?;
    let vault = cluster.dir().join("vault");
    let place = vault.to_str().context("a path of text")?;
    let at_least = Ledger::new();
    let all = Ledger::new();

    let stop = AtomicBool::new(false);
    let load = uploads(&run, &api, cluster.nodes(), &stop, &all);
    let backups = async {
        let mut last = None;
        for number in 0..3 {
            let mark = all.len() + 5;
            wait::until(SETTLE, "some uploads", || async { (all.len() >= mark).then_some(()) }).await?;
            if number == 2 {
                at_least_of(&all, &at_least)?;
            }
            let node = cluster.node(number);
            let made: Listed = node.operator().json(&["cluster", "backup"], &["--to", place, "--keep", "2", "--json"]).await?;
            run.say(format_args!("{} at {}, removed {:?}", made.name, node.name(), made.removed));
            ensure!(made.removed.len() == usize::from(number == 2), "{made:?}");
            last = Some(made);
        }
        stop.store(true, Ordering::SeqCst);
        last.context("three backups")
    };
    let ((), made) = tokio::try_join!(load, backups)?;
    let manifest = made.manifest.context("a manifest")?;
    ensure!(manifest.confirmed && manifest.lineage == 1, "{manifest:?}");
    is_the_state_of_the_cluster(&run, &cluster, place).await?;

    let spare = cluster.take_spare()?;
    not_a_backup(&spare, &vault, &made.name, &manifest).await?;
    let restored: Restored = spare.operator().json(&["cluster", "restore"], &["--from", place, "--name", &made.name, "--json"]).await?;
    run.say(format_args!("{restored:?}"));
    ensure!(restored.base == format!("1.{}", manifest.index) && restored.lineage == 2, "{restored:?}");
    ensure!(restored.unverified >= at_least.len() as u64, "content is not in a backup: {restored:?}");
    let again = spare.operator().run(&["cluster", "restore"], &["--from", place]).await;
    ensure!(again.is_err_and(|error| error.to_string().contains("holds a node")), "restored over a node");
    restored_serves(&run, &api, &cluster, &spare, &restored, &at_least).await?;
    spare.stop().await?;
    cluster.converged(Duration::from_secs(60)).await.context("the old cluster, which knows nothing of all this")?;
    cluster.shutdown().await
}

/// The state of a backup that is made while nothing changes is that of the nodes, by its hash.
async fn is_the_state_of_the_cluster(run: &Run, cluster: &Cluster, place: &str) -> Result<()> {
    wait::until(Duration::from_secs(60), "a backup at a revision at which the nodes were looked at", || async {
        let hash = cluster.converged(Duration::from_secs(60)).await?;
        let made: Listed = cluster.node(1).operator().json(&["cluster", "backup"], &["--to", place, "--json"]).await?;
        let manifest = made.manifest.context("a manifest")?;
        ensure!(manifest.state_hash == hash, "something has changed in between");
        run.say(format_args!("the state at {} is that of the nodes: {hash}", manifest.index));
        Ok(())
    })
    .await?;
    Ok(())
}

/// A backup with a flipped bit, and one without its manifest, are refused, and leave the machine as empty as it was.
async fn not_a_backup(spare: &Node, vault: &Path, name: &str, manifest: &Manifest) -> Result<()> {
    let place = vault.to_str().context("a path of text")?;
    let table = manifest.files.iter().find(|file| file.name.ends_with(".sst") || file.name.ends_with(".log"));
    let file = vault.join(name).join(&table.context("a file with rows")?.name);
    let good = fs::read(&file)?;
    let mut bad = good.clone();
    let middle = bad.len() / 2;
    *bad.get_mut(middle).context("an empty file")? ^= 1;
    fs::write(&file, bad)?;
    let refused = spare.operator().run(&["cluster", "restore"], &["--from", place, "--name", name]).await;
    ensure!(refused.as_ref().is_err_and(|error| error.to_string().contains("damaged")), "{refused:?}");
    fs::write(&file, good)?;

    let (complete, hidden) = (vault.join(name).join("manifest.json"), vault.join("manifest.hidden"));
    fs::rename(&complete, &hidden)?;
    let listed: Vec<Listed> = spare.operator().json_of_no_node(&["cluster", "backup", "list"], &["--from", place, "--json"]).await?;
    ensure!(listed.iter().any(|listed| listed.name == name && listed.manifest.is_none()), "{listed:?}");
    let refused = spare.operator().run(&["cluster", "restore"], &["--from", place, "--name", name]).await;
    ensure!(refused.as_ref().is_err_and(|error| error.to_string().contains("never completed")), "{refused:?}");
    fs::rename(&hidden, &complete)?;
    for part in ["identity", "raft", "state"] {
        ensure!(!spare.data_dir().join(part).exists(), "{part} was left behind");
    }
    Ok(())
}

/// The restored cluster has every asset, says truly that it has no content, takes uploads, and serves what is uploaded again.
async fn restored_serves(run: &Run, old: &Api, cluster: &Cluster, node: &Node, restored: &Restored, kept: &Ledger) -> Result<()> {
    node.start()?;
    node.ready(Duration::from_secs(60)).await?;
    let status = node.operator().status().await?;
    ensure!(status.nodes.len() == 1 && status.voters() == 1, "{status:?}");
    ensure!(cluster.status().await?.nodes.len() == 3, "the old cluster has another node");
    // The same client, with its old secret; its old token is that of another cluster.
    let api = old.clone().with_own_token();
    api.at(node).log_in().await.context("the secret of before")?;
    for entry in kept.entries() {
        let asset = api.at(node).asset(&entry.asset.id).await.done().with_context(|| format!("{} is lost", entry.asset.path))?;
        ensure!(asset.sha256 == entry.asset.sha256 && asset.replicated != Some(true), "{asset:?}");
        let content = api.at(node).get(&asset.path).await;
        ensure!(content.problem().is_some_and(|problem| problem.status >= 500), "content from nowhere: {content:?}");
    }
    wait::until(SETTLE, "the node to report what it lacks", || async {
        let entry = kept.entries().into_iter().next().context("an asset")?;
        let replication = api.at(node).replication(&entry.asset.id).await.done()?;
        ensure!(!replication.replicated && replication.states().contains_key("missing"), "{replication:?}");
        Ok(())
    })
    .await?;
    for entry in kept.entries() {
        let path = &entry.asset.path;
        api.at(node).upload(&Upload::new(path, entry.content.bytes())).await.done().with_context(|| format!("upload {path} again"))?;
        entry.readable_at(&api, node, Duration::from_secs(30)).await?;
    }
    run.say(format_args!("cluster {} serves {} assets again", restored.cluster_id, kept.len()));
    Ok(())
}

/// Uploads one after another until `stop`.
async fn uploads(run: &Run, api: &Api, nodes: &[Node], stop: &AtomicBool, ledger: &Ledger) -> Result<()> {
    let mut settler = Settler::new(api, nodes, run.seed().rng("load"));
    for number in 0.. {
        if stop.load(Ordering::SeqCst) {
            break;
        }
        let path = format!("backup/{number}");
        let content = Content::new(run.seed().derive(&path), 20_000);
        let asset = settler.upload(&Upload::new(&path, content.bytes()).key(&path)).await?;
        ledger.note(asset, &path, content)?;
    }
    Ok(())
}

/// Notes what was acknowledged so far: a backup that begins now must have it.
fn at_least_of(all: &Ledger, at_least: &Ledger) -> Result<()> {
    all.entries().into_iter().try_for_each(|entry| {
        let path = entry.asset.path.clone();
        at_least.note(entry.asset, &path, entry.content)
    })
}

const SETTLE: Duration = Duration::from_secs(30);
