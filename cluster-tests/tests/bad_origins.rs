//! Origins that stall, reset, lie and babble: what viewers get, that none of it is kept, and that nothing is left in the node of what is over.
//!
//! Each case is a path. The origin does there what the case says until it is told to be well, and then answers as it should. Once one viewer
//! asks; once a second one comes while the first is waiting, and is to get the same. Afterwards every path has what the origin says then, and the
//! node has the tasks, connections, files and memory that it had before.

use anyhow::{Context as _, Result, ensure};
use bytes::Bytes;
use cluster_tests::adverse::{Adverse, AdverseFrames, Asked, Authority, END_HEADERS, END_STREAM, Gate, Moves, Script, Source};
use cluster_tests::front::{Figures, Front, Got, HOST, Kind, Process, Viewer, fields};
use cluster_tests::run::{Limit, Run, property};
use cluster_tests::{Cluster, wait};
use futures_util::future::{join_all, try_join_all};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU8, Ordering};
use std::time::Duration;

#[tokio::test(flavor = "multi_thread")]
async fn a_bad_origin_harms_nobody_for_longer_than_it_is_bad() -> Result<()> {
    property("bad_origins", Limit::minutes(4, 8), bad_origins).await
}

#[tokio::test(flavor = "multi_thread")]
async fn nor_does_one_that_speaks_http_2() -> Result<()> {
    property("bad_origins_http2", Limit::minutes(4, 8), bad_origins_http2).await
}

/// What an origin does, and what its viewers are to get.
struct Case<Does> {
    name: &'static str,
    does: Does,
    sees: Sees,
    /// Fields of the viewers' requests, as whole lines.
    fields: &'static str,
    /// Whether the answer is one after all, that may be kept.
    is_kept: bool,
}

/// What a viewer is to get.
#[derive(Debug, Clone, Copy)]
enum Sees {
    /// A refusal by the node.
    Status(u16),
    /// The head of the origin's answer, and a body that is broken off; or nothing, if it is before any of that is sent.
    Broken,
    /// The same, or a refusal, if what is wrong came together with the head.
    BrokenOr(u16),
    /// An answer of the origin, whole.
    Answer(u16, &'static str),
    /// A refusal, or an answer: it is the HTTP library's choice.
    Either(u16, &'static str),
}

fn case<Does>(name: &'static str, does: Does, sees: Sees) -> Case<Does> {
    Case { name, does, sees, fields: "", is_kept: false }
}

const FRESH: &str = "HTTP/1.1 200 OK\r\nCache-Control: max-age=60\r\n";

fn fresh(rest: &str) -> Script {
    Script::new().send(format!("{FRESH}{rest}"))
}

fn cases() -> Vec<Case<Script>> {
    let many: String = (0..100_000).map(|number| format!("X-{number}: {number}\r\n")).collect();
    let long = format!("X-Long: {}\r\n\r\n", "x".repeat(4 << 20));
    let mut cases = stalls_and_resets();
    cases.extend(lies_about_length());
    cases.extend([
        case("100 000 fields", fresh(&many).send("Content-Length: 0\r\n\r\n"), Sees::Status(502)),
        case("a field of 4 MiB", fresh(&long), Sees::Status(502)),
        case("a head without an end", Script::new().send(FRESH).flood("X-More: 1\r\n"), Sees::Status(502)),
        case("garbage", Script::new().send("\x16\x03\x01\x02\x00\x01\x00\x01\u{fc}\r\n\r\n").close(), Sees::Status(502)),
        case("garbage without an end", Script::new().flood("no HTTP at all "), Sees::Status(502)),
        case("HTTP/0.9", Script::new().send("<html>hello</html>").close(), Sees::Status(502)),
        case("HTTP/3.7", Script::new().send("HTTP/3.7 200 OK\r\nContent-Length: 0\r\n\r\n").close(), Sees::Status(502)),
        case(
            "status 999",
            Script::new().send("HTTP/1.1 999 No\r\nCache-Control: max-age=60\r\nContent-Length: 0\r\n\r\n"),
            Sees::Status(502),
        ),
        case("status 99", Script::new().send("HTTP/1.1 99 No\r\nContent-Length: 0\r\n\r\n"), Sees::Status(502)),
        case("1xx without an end", Script::new().flood("HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n"), Sees::Status(502)),
        case(
            "101 that nobody asked for",
            Script::new().send("HTTP/1.1 101 Switching\r\nUpgrade: x\r\nConnection: upgrade\r\n\r\n"),
            Sees::Status(502),
        ),
        case(
            "304 to no condition",
            Script::new().send("HTTP/1.1 304 Not Modified\r\nETag: \"a\"\r\nCache-Control: max-age=60\r\n\r\n"),
            Sees::Status(502),
        ),
        case(
            "206 to no range",
            Script::answer(206, "Cache-Control: max-age=60\r\nContent-Range: bytes 0-4/100\r\nETag: \"a\"\r\n", "hello"),
            Sees::Status(502),
        ),
        case("a redirect to itself", Script::answer(302, "Location: /here\r\nCache-Control: no-store\r\n", ""), Sees::Answer(302, "")),
        case("a folded field", fresh("X-A: a\r\n b\r\nContent-Length: 2\r\n\r\nno").close(), Sees::Either(502, "no")),
        case("a NUL in a field", fresh("X-A: a\0b\r\nContent-Length: 2\r\n\r\nno").close(), Sees::Status(502)),
        case("a space before the colon", fresh("X-A : a\r\nContent-Length: 2\r\n\r\nno").close(), Sees::Status(502)),
        Case {
            is_kept: true,
            ..case(
                "bare line feeds",
                Script::new().send("HTTP/1.1 200 OK\nCache-Control: max-age=60\nContent-Length: 2\n\nno"),
                Sees::Either(502, "no"),
            )
        },
    ]);
    cases
}

fn stalls_and_resets() -> Vec<Case<Script>> {
    let half = || fresh("Content-Length: 10\r\n\r\nhello");
    let part = || Script::new().send("HTTP/1.1 200 OK\r\nCache-Con");
    let large = || {
        let source = Source::new(|_, length| Bytes::from(vec![b'x'; length]));
        fresh("Content-Length: 9000000\r\n\r\n").stream(source, (0, 5 << 20), 64 << 10, Duration::ZERO)
    };
    vec![
        case("stalls before the head", Script::new().stall(), Sees::Status(504)),
        case("stalls in the head", part().stall(), Sees::Status(504)),
        case("stalls in the body", half().stall(), Sees::Broken),
        case("stalls in a body of slices", large().stall(), Sees::Broken),
        case("resets before the head", Script::new().reset(), Sees::Status(502)),
        case("resets in the head", part().reset(), Sees::Status(502)),
        case("resets in the body", half().reset(), Sees::Broken),
        case("resets in a body of slices", large().reset(), Sees::Broken),
        case("closes before the head", Script::new().close(), Sees::Status(502)),
        case("closes in the head", part().close(), Sees::Status(502)),
        case("closes in the body", half().close(), Sees::Broken),
    ]
}

fn lies_about_length() -> Vec<Case<Script>> {
    let chunked = |rest: &str| fresh(&format!("Transfer-Encoding: chunked\r\n\r\n{rest}"));
    vec![
        Case {
            is_kept: true,
            ..case(
                "a length that is too short",
                fresh("Content-Length: 5\r\n\r\nhelloHTTP/1.1 200 OK\r\nCache-Control: max-age=60\r\nContent-Length: 4\r\n\r\nevil"),
                Sees::Answer(200, "hello"),
            )
        },
        case("a length that is too long", fresh("Content-Length: 99\r\n\r\nhello").close(), Sees::Broken),
        case("two lengths", fresh("Content-Length: 5\r\nContent-Length: 6\r\n\r\nhello!"), Sees::Status(502)),
        case("two lengths in a line", fresh("Content-Length: 5, 6\r\n\r\nhello!"), Sees::Status(502)),
        case("a negative length", fresh("Content-Length: -5\r\n\r\nhello"), Sees::Status(502)),
        case("a length with a sign", fresh("Content-Length: +5\r\n\r\nhello"), Sees::Status(502)),
        case("a length beyond all numbers", fresh("Content-Length: 99999999999999999999999\r\n\r\nhello"), Sees::Status(502)),
        case(
            "a length and chunks",
            fresh("Content-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n"),
            Sees::Status(502),
        ),
        case("an unknown coding", fresh("Transfer-Encoding: gzip, chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n"), Sees::Status(502)),
        case("chunks that end early", chunked("5\r\nhello\r\n").close(), Sees::Broken),
        case("a chunk that ends early", chunked("50\r\nhello").close(), Sees::Broken),
        case("a chunk whose length is no number", chunked("5\r\nhello\r\nzz\r\n").close(), Sees::Broken),
        case("a chunk whose length is beyond all numbers", chunked("5\r\nhello\r\nfffffffffffffffff\r\n").close(), Sees::Broken),
        case("a chunk that does not end where it says", chunked("5\r\nhello!!!!\r\n0\r\n\r\n").close(), Sees::Broken),
        case("chunk extensions without an end", chunked("5;").flood("x=y;"), Sees::Broken),
    ]
}

/// Cases, each of which is asked for twice, and the origins that do what they say.
struct Bad<'a, Does> {
    front: &'a Front,
    cases: &'a [Case<Does>],
    /// The host of the zone, by how many ask and the number of the case.
    host: &'a (dyn Fn(&str, usize) -> String + Sync),
    /// How often the origin was asked, by the same.
    times: &'a (dyn Fn(&str, usize) -> usize + Sync),
    /// What the origins wait for whom two ask.
    gate: &'a Gate,
    is_well: &'a AtomicBool,
}

/// What the origin is told.
struct Told {
    cases: Vec<Case<Script>>,
    is_well: AtomicBool,
    gate: Gate,
}

impl Told {
    fn answer(&self, asked: &Asked) -> Script {
        let case = asked.target.rsplit('/').next().and_then(|number| self.cases.get(number.parse::<usize>().ok()?));
        let first = if asked.target.starts_with("/two/") && asked.turn == 0 { Script::new().hold(&self.gate) } else { Script::new() };
        match case {
            Some(case) if !self.is_well.load(Ordering::Acquire) => case.does.clone().after(first),
            _ => Script::answer(200, "Cache-Control: max-age=60\r\n", format!("well: {}", asked.target)),
        }
    }
}

async fn bad_origins(run: Run) -> Result<()> {
    let told = Arc::new(Told { cases: cases(), is_well: AtomicBool::new(false), gate: Gate::shut() });
    let origin = Adverse::start({
        let told = Arc::clone(&told);
        move |asked| told.answer(asked)
    })
    .await?;
    let builder = Cluster::builder().seed(run.seed()).setting("origins", "head_deadline", "2s").setting("origins", "pause_max", "2s");
    let front = Front::start(builder, &origin.url()).await?;
    for warm in 0..20 {
        ensure!(front.get(&format!("/warm/{warm}/none")).await?.status == 200);
    }
    let before = Left::of(&front, origin.open()).await?;

    let (host, times) = (|_: &str, _| HOST.to_owned(), |mode: &str, number| origin.times(&format!("/{mode}/{number}")));
    let bad = Bad { front: &front, cases: &told.cases, host: &host, times: &times, gate: &told.gate, is_well: &told.is_well };
    bad.table(&run).await?;

    redirected_to_itself(&run, &front).await?;
    changes_between_slices(&run, &front).await?;
    nobody_waits_for_the_end(&run, &front).await?;
    drop(origin);
    before.is_all_that_is_left(&run, &front).await?;
    front.cluster.shutdown().await
}

impl<Does: Sync> Bad<'_, Does> {
    /// Has viewers ask for all of it, while the origins are bad and afterwards, and says what they got.
    async fn table(&self, run: &Run) -> Result<()> {
        let count = self.cases.len();
        let one = join_all((0..count).map(|number| self.seen("one", number))).await;
        let two = self.leaders_and_followers().await?;
        self.is_well.store(true, Ordering::Release);
        let after = try_join_all((0..count).map(|number| self.afterwards(number))).await?;

        run.say(
            "| the origin | the viewer | X-Cache | two at once: the second | asked of the origin, one viewer and two | the next viewer |",
        );
        let mut wrong = Vec::new();
        for (number, case) in self.cases.iter().enumerate() {
            let [leader, follower] = &two[number];
            let alone = &one[number];
            let asked = ["one", "two"].map(|mode| (self.times)(mode, number).saturating_sub(usize::from(after[number].was_asked)));
            run.say(format_args!(
                "| {} | {} | {} | {} | {}, {} | {} |",
                case.name,
                shown(alone),
                alone.as_ref().map_or("", |got| got.field("x-cache")),
                shown(follower),
                asked[0],
                asked[1],
                after[number].shown
            ));
            for (who, got) in [("alone", alone), ("the first of two", leader), ("the second of two", follower)] {
                if let Err(error) = case.sees.check(got) {
                    wrong.push(format!("{}: {who}: {error:#}", case.name));
                }
            }
            wrong.extend(after[number].wrong.iter().map(|wrong| format!("{}: {wrong}", case.name)));
        }
        ensure!(wrong.is_empty(), "{} rows are wrong:\n{}", wrong.len(), wrong.join("\n"));
        Ok(())
    }

    async fn seen(&self, mode: &str, number: usize) -> Result<Got> {
        self.front.get_with(&(self.host)(mode, number), &format!("/{mode}/{number}"), self.cases[number].fields).await
    }

    /// Of each case two viewers, the second of whom comes while the first waits for the origin.
    async fn leaders_and_followers(&self) -> Result<Vec<[Result<Got>; 2]>> {
        let count = self.cases.len();
        let both = (0..count).map(|number| async move {
            let follower = async {
                wait::until(SETTLE, "the origin to be asked", || async { ((self.times)("two", number) > 0).then_some(()) }).await?;
                self.seen("two", number).await
            };
            let (leader, follower) = tokio::join!(self.seen("two", number), follower);
            [leader, follower]
        });
        let release = async {
            let waiting = wait::until(SETTLE, "the followers to wait", || async {
                let waiting = self.front.figures().await?.of("ncore_zone_waiting")?;
                ensure!(waiting >= count as f64, "{waiting} of {count} wait");
                Ok(())
            });
            let waited = waiting.await;
            self.gate.open();
            waited
        };
        let (seen, released) = tokio::join!(join_all(both), release);
        released?;
        Ok(seen)
    }

    /// Asks for what the origin was bad at, twice: the first time it is asked for, unless something good was kept of it.
    async fn afterwards(&self, number: usize) -> Result<After> {
        let case = &self.cases[number];
        let mut after = After { shown: String::new(), was_asked: false, wrong: Vec::new() };
        for mode in ["one", "two"] {
            let (first, second) = (self.seen(mode, number).await?, self.seen(mode, number).await?);
            let is_well = first.status == 200 && first.text() == well(mode, number) && first.field("x-cache") == "MISS";
            let is_kept = case.is_kept && case.sees.check(&Ok(first.clone())).is_ok() && first.field("x-cache") == "HIT";
            if !is_well && !is_kept {
                after.wrong.push(format!("the next viewer ({mode}): {}", told_of(&first)));
            }
            if second.text() != first.text() || second.field("x-cache") != "HIT" {
                after.wrong.push(format!("the one after that ({mode}): {}", told_of(&second)));
            }
            after.was_asked = is_well;
            after.shown = format!("{} {}", first.status, first.field("x-cache"));
        }
        Ok(after)
    }
}

/// What there is once the origin is well.
struct After {
    shown: String,
    was_asked: bool,
    wrong: Vec<String>,
}

/// What an origin says that is well.
fn well(mode: &str, number: usize) -> String {
    format!("well: /{mode}/{number}")
}

impl Sees {
    fn check(self, got: &Result<Got>) -> Result<()> {
        let got = match got {
            Ok(got) => got,
            Err(error) if matches!(self, Self::Broken | Self::BrokenOr(_)) && error.to_string().starts_with("no answer") => return Ok(()),
            Err(error) => anyhow::bail!("{error:#}"),
        };
        let is_refusal =
            |status: u16| got.status == status && got.whole && got.field("x-cache") == "ERROR" && got.text().contains("\"code\"");
        let is_answer = |status: u16, body: &str| got.status == status && got.whole && got.text() == body;
        let is_broken = got.status == 200 && !got.whole;
        let is_so = match self {
            Self::Status(status) => is_refusal(status),
            Self::Broken => is_broken,
            Self::BrokenOr(status) => is_broken || is_refusal(status),
            Self::Answer(status, body) => is_answer(status, body),
            Self::Either(status, body) => is_refusal(status) || is_answer(200, body),
        };
        ensure!(is_so, "{self:?} was to be seen, and not {}", told_of(got));
        Ok(())
    }
}

fn shown(got: &Result<Got>) -> String {
    match got {
        Ok(got) if got.whole => format!("{}, {} bytes", got.status, got.body.len()),
        Ok(got) => format!("{}, broken off after {} bytes", got.status, got.body.len()),
        Err(error) => format!("{error:#}"),
    }
}

fn told_of(got: &Got) -> String {
    let body: String = got.text().chars().take(200).collect();
    format!("{} (whole: {}) {:?} {body:?}", got.status, got.whole, got.fields)
}

/// The same of origins that speak HTTP/2: each is one of its own, so that what it does to a connection it does to nobody else's.
async fn bad_origins_http2(run: Run) -> Result<()> {
    let (gate, is_well, authority) = (Gate::shut(), Arc::new(AtomicBool::new(false)), Authority::new()?);
    let dir = tempfile::Builder::new().prefix("ncore-authority-").tempdir()?;
    let file = dir.path().join("authority.pem");
    std::fs::write(&file, authority.pem())?;
    let usual = Adverse::start(|_| Script::answer(200, "Cache-Control: max-age=60\r\n", "usual")).await?;
    let builder = Cluster::builder().seed(run.seed()).setting("origins", "head_deadline", "2s").setting("origins", "pause_max", "2s");
    let builder = builder.env("SSL_CERT_FILE", file.to_str().context("a path in UTF-8")?);
    let front = Front::start(builder, &usual.url()).await?;
    let cases = cases_http2();
    let mut origins = [Vec::new(), Vec::new()];
    for (mode, origins) in ["one", "two"].into_iter().zip(&mut origins) {
        for (number, case) in cases.iter().enumerate() {
            let (does, gate, is_well) = (case.does.clone(), gate.clone(), Arc::clone(&is_well));
            let origin = AdverseFrames::start(&authority, move |turn| match is_well.load(Ordering::Acquire) {
                true => Moves::answer(&well(mode, number)),
                false if mode == "two" && turn == 0 => does.clone().after(Moves::new().hold(&gate)),
                false => does.clone(),
            });
            let origin = origin.await?;
            front.zone(&["--origin", &origin.url(), "--host", &format!("{mode}-{number}.test")]).await?;
            origins.push(origin);
        }
    }
    for (mode, number) in ["one", "two"].into_iter().flat_map(|mode| (0..cases.len()).map(move |number| (mode, number))) {
        front.serves(&format!("{mode}-{number}.test")).await?;
    }
    let well = AdverseFrames::start(&authority, |_| Moves::answer("well")).await?;
    front.zone(&["--origin", &well.url(), "--host", "well.test"]).await?;
    front.serves("well.test").await?;
    for warm in 0..20 {
        ensure!(front.get_with("well.test", &format!("/warm/{warm}"), "").await?.status == 200);
    }
    let before = Left::of(&front, well.connections()).await?;
    let host = |mode: &str, number| format!("{mode}-{number}.test");
    let times = |mode: &str, number: usize| origins[usize::from(mode == "two")][number].times();
    let bad = Bad { front: &front, cases: &cases, host: &host, times: &times, gate: &gate, is_well: &is_well };
    bad.table(&run).await?;
    let all = || origins.iter().flatten().chain([&well]);
    wait::until(SETTLE, "no stream to be left at any origin", || async {
        let streams: Vec<_> = all().map(AdverseFrames::streams).collect();
        ensure!(streams.iter().all(|streams| *streams == 0), "{streams:?}");
        Ok(())
    })
    .await?;
    run.say(format_args!("connections to {} origins: {}, streams: 0", all().count(), all().map(AdverseFrames::connections).sum::<usize>()));
    drop((origins, well, usual));
    before.is_all_that_is_left(&run, &front).await?;
    front.cluster.shutdown().await
}

fn cases_http2() -> Vec<Case<Moves>> {
    const CACHED: (&str, &str) = ("cache-control", "max-age=60");
    const INTERNAL_ERROR: u32 = 2;
    const REFUSED_STREAM: u32 = 7;
    let status = (":status", "200");
    let part = |length: &str| Moves::new().head(&[CACHED, ("content-length", length)]).data("hello");
    let early = || Moves::new().block(END_HEADERS, &[(":status", "103"), ("link", "</a>")]);
    let more = || Moves::new().frame(Kind::Continuation, 0, &fields(&[("x-more", "and more")]));
    let long = (0..64).fold(Moves::new().block(0, &[status, CACHED]), |moves, _| {
        moves.frame(Kind::Continuation, 0, &fields(&[("x-long", &"x".repeat(16_000))]))
    });
    let long = long.frame(Kind::Continuation, END_HEADERS, &[]);
    let overflow = 0x7FFF_FFFF_u32.to_be_bytes();
    vec![
        case("stalls before the head", Moves::new().stall(), Sees::Status(504)),
        case("stalls in the body", part("10").stall(), Sees::Broken),
        case("resets the stream before the head", Moves::new().reset(INTERNAL_ERROR), Sees::Status(502)),
        case("resets the stream in the body", part("10").reset(INTERNAL_ERROR), Sees::Broken),
        case("refuses every stream", Moves::new().reset(REFUSED_STREAM), Sees::Status(502)),
        case("closes before the head", Moves::new().close(), Sees::Status(502)),
        case("closes in the body", part("10").close(), Sees::Broken),
        case("closes in a body without a length", Moves::new().head(&[CACHED]).data("hello").close(), Sees::Broken),
        case("GOAWAY before the head, and answers nothing", Moves::new().go_away(false, 0).close(), Sees::Status(502)),
        case("GOAWAY in the body, and answers nothing more", part("10").go_away(false, INTERNAL_ERROR).close(), Sees::Broken),
        Case {
            is_kept: true,
            ..case("GOAWAY in the body, and answers that", part("5").go_away(true, 0).end().close(), Sees::Answer(200, "hello"))
        },
        case("a window beyond all bounds, before the head", Moves::new().frame(Kind::Window, 0, &overflow), Sees::Status(502)),
        case("a window of the connection beyond all bounds", Moves::new().on(0, Kind::Window, 0, &overflow), Sees::Status(502)),
        case("a window beyond all bounds, in the body", part("10").frame(Kind::Window, 0, &overflow), Sees::BrokenOr(502)),
        case("more content than there is room for", part("100000000").flood(Moves::new().data(vec![b'x'; 16_384])), Sees::Broken),
        case("a frame that is longer than any may be", part("100000").data(vec![b'x'; 20_000]), Sees::Broken),
        case("content before the head", Moves::new().data("hello"), Sees::Status(502)),
        case("a stream that nobody has opened", Moves::new().on(1_001, Kind::Headers, END_HEADERS, &fields(&[status])), Sees::Status(502)),
        case("a request that the server makes up", Moves::new().frame(Kind::Push, END_HEADERS, &[0, 0, 0, 2]), Sees::Status(502)),
        case("fields that are none", Moves::new().frame(Kind::Headers, END_HEADERS, &[0xFF; 9]), Sees::Status(502)),
        case("a flood of fields", Moves::new().block(0, &[status]).flood(more()), Sees::Status(502)),
        case("a flood of heads that are interim", Moves::new().flood(early()), Sees::Status(502)),
        case("a flood of settings", Moves::new().flood(Moves::new().on(0, Kind::Settings, 0, &[])), Sees::Status(502)),
        case(
            "a flood of room, a byte each",
            Moves::new().flood(Moves::new().on(0, Kind::Window, 0, &1_u32.to_be_bytes())),
            Sees::Status(502),
        ),
        case("a flood of signs of life", Moves::new().flood(Moves::new().on(0, Kind::Ping, 0, &[0; 8])), Sees::Status(502)),
        case("fields of 1 MiB", long, Sees::Status(502)),
        case("a field about the connection", Moves::new().head(&[CACHED, ("transfer-encoding", "chunked")]).end(), Sees::Status(502)),
        case("a name in upper case", Moves::new().head(&[CACHED, ("X-Upper", "a")]).end(), Sees::Status(502)),
        case("no status", Moves::new().block(END_HEADERS | END_STREAM, &[CACHED]), Sees::Status(502)),
        case("a length that is too long", part("99").end(), Sees::Broken),
        case("a length that is too short", part("2").end(), Sees::Broken),
        case(
            "two lengths",
            Moves::new().head(&[CACHED, ("content-length", "5"), ("content-length", "6")]).data("hello").end(),
            Sees::Status(502),
        ),
    ]
}

/// A zone whose origin is itself: the request comes back, and is refused where it does.
async fn redirected_to_itself(run: &Run, front: &Front) -> Result<()> {
    front.zone(&["--origin", &format!("http://{}", front.address()), "--host", "loop.test", "--host-header", "loop.test"]).await?;
    front.serves("loop.test").await?;
    let got = front.get_with("loop.test", "/loop", "").await?;
    ensure!(got.status == 508, "{}", told_of(&got));
    run.say(format_args!("| a zone that is its own origin | {} |", shown(&Ok(got))));
    Ok(())
}

/// An object that changes while it is read in parts: no answer has bytes of two versions, and none is put together of them later.
async fn changes_between_slices(run: &Run, front: &Front) -> Result<()> {
    const SIZE: u64 = 3 << 20;
    let version = Arc::new(AtomicU8::new(0));
    let origin = Adverse::start({
        let version = Arc::clone(&version);
        move |asked| {
            let version = version.load(Ordering::Acquire);
            let source = Source::new(move |_, length| Bytes::from(vec![b'a' + version; length]));
            let fields = format!("ETag: \"v{version}\"\r\nCache-Control: max-age=60\r\n");
            let range = asked.field("range").strip_prefix("bytes=").and_then(|range| range.split_once('-'));
            let is_other = !asked.field("if-range").is_empty() && asked.field("if-range") != format!("\"v{version}\"");
            let Some((first, last)) = range.filter(|_| !is_other) else {
                let head = format!("HTTP/1.1 200 OK\r\n{fields}Content-Length: {SIZE}\r\n\r\n");
                return Script::new().send(head).stream(source, (0, SIZE), 64 << 10, Duration::ZERO);
            };
            let (first, last) = (first.parse().unwrap_or(0), last.parse().unwrap_or(SIZE - 1).min(SIZE - 1));
            let length = last - first + 1;
            let head =
                format!("HTTP/1.1 206 Part\r\n{fields}Content-Range: bytes {first}-{last}/{SIZE}\r\nContent-Length: {length}\r\n\r\n");
            Script::new().send(head).stream(source, (0, length), 64 << 10, Duration::ZERO)
        }
    })
    .await?;
    front.zone(&["--origin", &origin.url(), "--host", "changes.test"]).await?;
    front.serves("changes.test").await?;
    let mut answers = Vec::new();
    for (change, fields) in [
        (0, "Range: bytes=1048576-2097151\r\n"),
        (1, "Range: bytes=2097152-\r\n"),
        (1, "Range: bytes=0-1048575\r\n"),
        (2, "Range: bytes=0-\r\n"),
        (3, "Range: bytes=0-1048575, 2097152-3145727\r\n"),
        (3, ""),
        (4, "Range: bytes=5-2097151\r\n"),
        (4, "If-Range: \"v3\"\r\nRange: bytes=5-2097151\r\n"),
    ] {
        version.store(change, Ordering::Release);
        let got = front.get_with("changes.test", "/object", fields).await?;
        let of = got.field("etag").trim_matches('"').trim_start_matches('v').parse::<u8>().with_context(|| told_of(&got))?;
        let is_of_parts = got.field("content-type").starts_with("multipart/");
        let foreign = got.body.iter().filter(|byte| (b'a'..=b'e').contains(byte) && **byte != b'a' + of).count();
        ensure!(got.whole && (is_of_parts || foreign == 0), "{fields}: {foreign} bytes of another version: {}", told_of(&got));
        answers.push(format!("v{change} now: {} of v{of}", got.status));
    }
    run.say(format_args!("| an object that changes between slices | {} |", answers.join("; ")));
    Ok(())
}

/// An origin whose answer has no end, of which nobody waits for it: it is let go.
async fn nobody_waits_for_the_end(run: &Run, front: &Front) -> Result<()> {
    let origin =
        Adverse::start(|_| Script::new().send("HTTP/1.1 200 OK\r\nCache-Control: max-age=60\r\n\r\n").flood(vec![b'x'; 64 << 10])).await?;
    front.zone(&["--origin", &origin.url(), "--host", "endless.test"]).await?;
    front.serves("endless.test").await?;
    let mut viewer = Viewer::connect(front.address()).await?;
    viewer.send("GET /endless HTTP/1.1\r\nHost: endless.test\r\n\r\n").await?;
    wait::until(SETTLE, "the origin to be asked", || async { (origin.times("/endless") > 0).then_some(()) }).await?;
    drop(viewer);
    let started = std::time::Instant::now();
    wait::until(SETTLE, "the origin to be let go", || async { (origin.open() == 0).then_some(()) }).await?;
    run.say(format_args!("| an answer without an end, whose viewer goes away | let go after {:.1?} |", started.elapsed()));
    Ok(())
}

/// What a node has of the machine.
struct Left {
    figures: Figures,
    process: Process,
}

impl Left {
    /// What it has while nothing is under way, and so many connections to origins are kept.
    async fn of(front: &Front, kept: usize) -> Result<Self> {
        wait::until(SETTLE, "nothing to be under way", || async {
            let figures = front.figures().await?;
            ensure!(figures.of("ncore_zone_asks")? == 0.0, "{}", figures.line("ncore_"));
            Ok(())
        })
        .await?;
        ensure!(kept > 0, "connections are kept");
        Ok(Self { figures: front.figures().await?, process: front.process()? })
    }

    /// Waits until it has no more than before.
    async fn is_all_that_is_left(&self, run: &Run, front: &Front) -> Result<()> {
        let before = &self.figures;
        let (figures, process) = wait::until(SETTLE, "the node to be as before", || async {
            let (now, process) = (front.figures().await?, front.process()?);
            for none in ["ncore_zone_asks", "ncore_zone_waiting", "ncore_origin_connections", "ncore_cache_bytes{tier=\"queue\"}"] {
                ensure!(now.of(none)? == 0.0, "{none} is {}", now.of(none)?);
            }
            for name in ["ncore_tasks{runtime=\"serving\"}", "ncore_tasks{runtime=\"control\"}"] {
                ensure!(now.of(name)? <= before.of(name)? + SLACK, "{name}: {} and before {}", now.of(name)?, before.of(name)?);
            }
            let more = |count: fn(&Process) -> usize| count(&process).saturating_sub(count(&self.process));
            // Each thread that serves has a pipe from the first time on that it sends content without copying it.
            let few = more(pipes) <= 2 * std::thread::available_parallelism()?.get() && more(others) <= 4;
            ensure!(few, "open {:?}, before {:?}", process.files, self.process.files);
            let resident = process.resident.saturating_sub(self.process.resident);
            ensure!(resident <= MORE_AT_MOST, "{} KiB more than before are resident", resident >> 10);
            Ok((now, process))
        })
        .await?;
        for name in ["ncore_tasks{runtime=\"serving\"}", "ncore_tasks{runtime=\"control\"}", "ncore_cache_entries{tier=\"disk\"}"] {
            run.say(format_args!("{name}: {} before, {} after", before.of(name)?, figures.of(name)?));
        }
        run.say(format_args!(
            "files: {} before, {} after; resident MiB: {} before, {} after, {} at most",
            self.process.files.len(),
            process.files.len(),
            self.process.resident >> 20,
            process.resident >> 20,
            process.peak >> 20
        ));
        run.say(figures.line("ncore_origin_errors"));
        Ok(())
    }
}

/// How many ends of pipes are open.
fn pipes(process: &Process) -> usize {
    process.files.iter().filter(|file| file.starts_with("pipe:")).count()
}

/// How many files of other kinds are open.
fn others(process: &Process) -> usize {
    process.files.len() - pipes(process)
}

/// How long it takes until what was kept for a while is let go.
const SETTLE: Duration = Duration::from_secs(60);
/// Tasks that come and go by themselves.
const SLACK: f64 = 3.0;
/// Bytes that a node may have resident afterwards, above those before: what its caches and its allocator keep.
const MORE_AT_MOST: u64 = 96 << 20;
