//! A node that is killed again and again while it fills its cache, is purged, written through and read: afterwards the cache on its disk has what
//! it had, nothing of it damaged, and nothing that was removed.
//!
//! Every body says of which path and of which version it is, and the rest of it follows from that, so a wrong byte shows wherever it is. An object
//! changes in three ways: it is purged, it is replaced by a viewer who wants it anew, and it is ended by a write. Once one of these is
//! confirmed, nothing older may be served any more, by this process or by the next.
//!
//! After each kill the node is asked with `only-if-cached`, so that nothing comes from the origin.

use anyhow::{Context as _, Result, bail, ensure};
use cluster_tests::adverse::{Adverse, Asked, Script};
use cluster_tests::front::{Front, Got, HOST};
use cluster_tests::run::{Limit, Run, property};
use cluster_tests::{Cluster, Seed, wait};
use futures_util::future::{join_all, try_join_all};
use parking_lot::Mutex;
use rand::RngExt as _;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

#[tokio::test(flavor = "multi_thread")]
async fn a_killed_node_has_its_cache_and_nothing_that_was_removed() -> Result<()> {
    property("cache_kills", Limit::minutes(8, 60), cache_kills).await
}

async fn cache_kills(run: Run) -> Result<()> {
    let objects: Arc<Vec<Object>> = Arc::new((0..OBJECTS).map(Object::new).collect());
    let origin = Adverse::start({
        let objects = Arc::clone(&objects);
        move |asked| answer(&objects, asked)
    })
    .await?;
    // Less in memory than there is: most of it is read from the disk.
    let builder = Cluster::builder().seed(run.seed()).setting("cache", "memory", "8MiB").setting("cache", "disk", "1GiB");
    let front = Front::start(builder, &origin.url()).await?;
    let mut sum = Count::default();
    for round in 0..run.scaled(3, 20) {
        let load = Load::new(&run, &front, &objects, round);
        load.until_death().await?;
        front.node().start()?;
        front.node().ready(SETTLE).await?;
        wait::until(SETTLE, "the node to know what may be served", || async {
            ensure!(front.figures().await?.of("ncore_fresh")? == 1.0);
            Ok(())
        })
        .await?;
        let asked = origin.asked().len();
        let count = count(&front, &objects).await?;
        ensure!(origin.asked().len() == asked, "the origin was asked while only the cache was to answer");
        run.say(format_args!("kill {round}: {count}"));
        sum.add(&count);
        ensure!(front.figures().await?.of("ncore_cache_troubles_total{what=\"damaged\"}")? == 0.0, "damaged entries");
    }
    run.say(format_args!("in all: {sum}"));
    ensure!(sum.removed > 0 && sum.held > OBJECTS, "the load did too little: {sum}");
    ensure!(sum.kept * 100 >= sum.held * KEPT_AT_LEAST, "too little was kept: {sum}");
    front.cluster.shutdown().await
}

/// Something that the origin has.
struct Object {
    path: String,
    length: usize,
    state: Mutex<State>,
    /// Who changes it does so alone.
    changing: tokio::sync::Mutex<()>,
}

#[derive(Debug, Clone, Copy, Default)]
struct State {
    /// What the origin has now.
    version: u64,
    /// Nothing older may be served: a change to this was confirmed.
    floor: u64,
    /// What the cache has certainly had: it has answered with it.
    held: Option<u64>,
}

impl Object {
    fn new(number: usize) -> Self {
        let length = LENGTHS[number % LENGTHS.len()] + number;
        Self { path: format!("/object/{number}"), length, state: Mutex::default(), changing: tokio::sync::Mutex::default() }
    }

    fn body(&self, version: u64) -> Vec<u8> {
        let mut body = format!("{} {version}\n", self.path).into_bytes();
        let mut content = vec![0; self.length];
        blake3::Hasher::new().update(&body).finalize_xof().fill(&mut content);
        body.extend(content);
        body
    }

    /// The version of a whole answer, of which every byte is right.
    fn version_of(&self, got: &Got) -> Result<u64> {
        let end = got.body.iter().position(|byte| *byte == b'\n').context("a body without a first line")?;
        let line = std::str::from_utf8(&got.body[..end])?;
        let version = line.strip_prefix(&self.path).and_then(|version| version.strip_prefix(' ')?.parse().ok());
        let version = version.with_context(|| format!("{line:?} is not of {}", self.path))?;
        ensure!(got.body == self.body(version), "CORRUPT: {} bytes of {line:?} are not what they should be", got.body.len());
        Ok(version)
    }

    /// The origin has something new.
    fn change(&self) -> u64 {
        let mut state = self.state.lock();
        state.version += 1;
        state.version
    }

    /// What is older than this may not be served any more.
    fn confirm(&self, version: u64) {
        let mut state = self.state.lock();
        state.floor = state.floor.max(version);
        state.held = state.held.filter(|held| *held >= version);
    }
}

fn answer(objects: &[Object], asked: &Asked) -> Script {
    let Some(object) = objects.iter().find(|object| object.path == asked.target) else { return Script::answer(404, "", "") };
    let version = object.state.lock().version;
    let fields = format!("ETag: \"v{version}\"\r\nCache-Control: max-age=86400\r\n");
    if asked.method == "POST" {
        return Script::answer(200, "Cache-Control: no-store\r\n", "written");
    }
    if asked.field("if-none-match") == format!("\"v{version}\"") {
        return Script::new().send(format!("HTTP/1.1 304 Same\r\n{fields}\r\n"));
    }
    Script::answer(200, &fields, object.body(version))
}

/// Everything at once, until the node is dead.
struct Load<'a> {
    front: &'a Front,
    objects: &'a [Object],
    seed: Seed,
    dead: AtomicBool,
    done: AtomicUsize,
}

impl<'a> Load<'a> {
    fn new(run: &Run, front: &'a Front, objects: &'a [Object], round: usize) -> Self {
        let seed = run.seed().derive(&format!("round {round}"));
        Self { front, objects, seed, dead: AtomicBool::new(false), done: AtomicUsize::new(0) }
    }

    async fn until_death(&self) -> Result<()> {
        let readers = (0..READERS).map(|number| self.read(number));
        let changers = (0..CHANGERS).map(|number| self.change(number));
        let death = async {
            wait::until(LOADED, "some load", || async { (self.done.load(Ordering::Relaxed) >= LOAD).then_some(()) }).await?;
            // Not in step with anything. The random instant is the point, nothing is waited for.
            let random = self.seed.rng("instant").random_range(0..50);
            tokio::time::sleep(Duration::from_millis(random)).await;
            self.dead.store(true, Ordering::SeqCst);
            self.front.node().kill_9().await
        };
        let (_, _, ()) = tokio::try_join!(try_join_all(readers), try_join_all(changers), death)?;
        Ok(())
    }

    async fn read(&self, number: usize) -> Result<()> {
        let mut rng = self.seed.rng(&format!("reader {number}"));
        while !self.dead.load(Ordering::SeqCst) {
            let object = &self.objects[rng.random_range(0..self.objects.len())];
            let floor = object.state.lock().floor;
            let Some(got) = self.alive(self.front.get(&object.path).await)? else { return Ok(()) };
            self.seen(object, &got, floor)?;
        }
        Ok(())
    }

    /// Looks at an answer to a request that was made when `floor` was confirmed. What the cache has answered with it has.
    fn seen(&self, object: &Object, got: &Got, floor: u64) -> Result<u64> {
        if !got.whole && self.dead.load(Ordering::SeqCst) {
            return Ok(floor);
        }
        ensure!(got.status == 200 && got.whole, "{}: {} {:?}, whole: {}", object.path, got.status, got.fields, got.whole);
        let version = object.version_of(got)?;
        ensure!(version >= floor, "REMOVED, and served: version {version} of {}, of which {floor} was confirmed", object.path);
        if got.field("x-cache") == "HIT" {
            let mut state = object.state.lock();
            if version >= state.floor {
                state.held = state.held.max(Some(version));
            }
        }
        self.done.fetch_add(1, Ordering::Relaxed);
        Ok(version)
    }

    async fn change(&self, number: usize) -> Result<()> {
        let mut rng = self.seed.rng(&format!("changer {number}"));
        while !self.dead.load(Ordering::SeqCst) {
            let object = &self.objects[rng.random_range(0..self.objects.len())];
            let Ok(_alone) = object.changing.try_lock() else { continue };
            let version = object.change();
            let is_confirmed = match rng.random_range(0..3) {
                0 => self.alive(self.front.purge(&[&object.path]).await.map_err(Into::into))?.is_some(),
                1 => self.replaced(object, version).await?,
                _ => self.written(object).await?,
            };
            if is_confirmed {
                object.confirm(version);
            }
        }
        Ok(())
    }

    /// Has a viewer want it anew, until the cache answers with that.
    async fn replaced(&self, object: &Object, version: u64) -> Result<bool> {
        for fields in ["Cache-Control: no-cache\r\n", "", "", "", ""] {
            let floor = object.state.lock().floor;
            let Some(got) = self.alive(self.front.get_with(HOST, &object.path, fields).await)? else { return Ok(false) };
            if self.seen(object, &got, floor)? == version && got.field("x-cache") == "HIT" && fields.is_empty() {
                return Ok(true);
            }
        }
        Ok(false)
    }

    /// Writes through the node, which ends what is kept.
    async fn written(&self, object: &Object) -> Result<bool> {
        let write = async {
            let mut viewer = cluster_tests::front::Viewer::connect(self.front.address()).await?;
            viewer.send(format!("POST {} HTTP/1.1\r\nHost: {HOST}\r\nContent-Length: 2\r\n\r\nhi", object.path)).await?;
            viewer.answer().await?.context("no answer to a write")
        };
        Ok(self.alive(write.await)?.is_some_and(|got| got.status == 200))
    }

    /// What there is, or nothing if the node is dead by now.
    fn alive<T>(&self, result: Result<T>) -> Result<Option<T>> {
        match result {
            Ok(found) => Ok(Some(found)),
            Err(_) if self.dead.load(Ordering::SeqCst) => Ok(None),
            Err(error) => Err(error),
        }
    }
}

/// What became of what the cache had.
#[derive(Debug, Default)]
struct Count {
    held: usize,
    kept: usize,
    lost: usize,
    broken: usize,
    removed: usize,
    gone: usize,
}

impl Count {
    fn add(&mut self, other: &Self) {
        self.held += other.held;
        self.kept += other.kept;
        self.lost += other.lost;
        self.broken += other.broken;
        self.removed += other.removed;
        self.gone += other.gone;
    }
}

impl std::fmt::Display for Count {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self { held, kept, lost, broken, removed, gone } = self;
        let percent = 100.0 * *kept as f64 / (*held).max(1) as f64;
        write!(
            f,
            "held {held}, kept {kept} ({percent:.1} %), lost {lost}, broken off {broken}, corrupt 0; changed at some time {removed}, of these "
        )?;
        write!(f, "nothing cached now {gone}, old and served 0")
    }
}

/// Asks the cache alone for everything.
async fn count(front: &Front, objects: &[Object]) -> Result<Count> {
    let mut count = Count::default();
    for chunk in objects.chunks(16) {
        let asked = chunk.iter().map(|object| front.get_with(HOST, &object.path, "Cache-Control: only-if-cached\r\n"));
        for (object, got) in chunk.iter().zip(join_all(asked).await) {
            let (got, state) = (got?, *object.state.lock());
            count.held += usize::from(state.held.is_some());
            count.removed += usize::from(state.floor > 0);
            match got.status {
                504 => {
                    count.lost += usize::from(state.held.is_some());
                    count.gone += usize::from(state.floor > 0);
                    object.state.lock().held = None;
                }
                200 if !got.whole => {
                    count.broken += 1;
                    object.state.lock().held = None;
                }
                200 => {
                    let version = object.version_of(&got)?;
                    if version < state.floor {
                        bail!(
                            "REMOVED, and served after a kill: version {version} of {}, of which {} was confirmed",
                            object.path,
                            state.floor
                        );
                    }
                    count.kept += usize::from(state.held.is_some());
                    object.state.lock().held = Some(version);
                }
                _ => bail!("{}: {} {:?}", object.path, got.status, got.fields),
            }
        }
    }
    Ok(count)
}

/// How long a healthy node may take.
const SETTLE: Duration = Duration::from_secs(60);
/// How long the load may take, also on a machine that has other work.
const LOADED: Duration = Duration::from_secs(300);
/// Objects that there are.
const OBJECTS: usize = 180;
/// How long they are, in turn: beside the head, in one slice, in several.
const LENGTHS: [usize; 6] = [200, 3_000, 12_000, 70_000, 400_000, 2_500_000];
const READERS: usize = 6;
const CHANGERS: usize = 3;
/// Answers between a start and a kill, at least.
const LOAD: usize = 500;
/// How much of what the cache had it has after a kill, in percent.
const KEPT_AT_LEAST: usize = 80;
