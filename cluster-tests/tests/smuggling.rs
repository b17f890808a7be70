//! Requests that one server reads otherwise than the next, and requests that are to have others get something wrong: none of them does.
//!
//! Each of the list goes over a connection of its own to a zone, behind which are our own origin, nginx and Apache (where they are installed).
//! It is refused, or it reaches the origin as requests that are well-formed, each of which is answered to who sent it. Nothing reaches the origin
//! that was the content of something else. And viewers who come afterwards get what they asked for: of new paths, over the connections to the
//! origin that are kept, and of the path that the request was for.

use anyhow::{Context as _, Result, ensure};
use cluster_tests::Cluster;
use cluster_tests::adverse::{Adverse, Asked, Script};
use cluster_tests::front::{Front, Got, HOST, Kind, Running, Secure, Server, Viewer, fields, frame};
use cluster_tests::run::{Limit, Run, property};
use futures_util::future::join_all;
use std::time::Duration;
use tokio::time::timeout;

#[tokio::test(flavor = "multi_thread")]
async fn nothing_is_smuggled_and_nobody_is_poisoned() -> Result<()> {
    property("smuggling", Limit::minutes(4, 8), smuggling).await
}

/// A request, with `@P` for its path, `@S` for the path of what is smuggled in it, and `@H` for the host of the zone.
type Mutation = (&'static str, String);

/// The request that is inside of others.
const INSIDE: &str = "GET @S HTTP/1.1\r\nHost: @H\r\n\r\n";

fn mutations() -> Vec<Mutation> {
    let post = |name, fields: &str, body: &str| (name, format!("POST @P HTTP/1.1\r\nHost: @H\r\n{fields}\r\n{body}"));
    let get = |name, fields: &str| (name, format!("GET @P HTTP/1.1\r\nHost: @H\r\n{fields}\r\n"));
    let first = |name, line: &str| (name, format!("{line}\r\nHost: @H\r\n\r\n"));
    let zero = format!("0\r\n\r\n{INSIDE}");
    let chunk = format!("{:x}\r\n{INSIDE}\r\n0\r\n\r\n", INSIDE.len());
    let length = zero.len();
    let both = |coding: &str| format!("Content-Length: {length}\r\n{coding}\r\n");
    let mut list = vec![
        post("CL.TE: a length and chunks", &both("Transfer-Encoding: chunked"), &zero),
        post("TE.CL: chunks and a length", "Transfer-Encoding: chunked\r\nContent-Length: 4\r\n", &chunk),
    ];
    let codings = [
        ("TE: xchunked", "Transfer-Encoding: xchunked"),
        ("TE: a space before the colon", "Transfer-Encoding : chunked"),
        ("TE: a tab before the value", "Transfer-Encoding:\tchunked"),
        ("TE: a vertical tab before the value", "Transfer-Encoding: \x0bchunked"),
        ("TE: folded", "Transfer-Encoding:\r\n chunked"),
        ("TE: a space before the name", " Transfer-Encoding: chunked"),
        ("TE: in quotes", "Transfer-Encoding: \"chunked\""),
        ("TE: twice, the second is none", "Transfer-Encoding: chunked\r\nTransfer-Encoding: identity"),
        ("TE: twice, the first is none", "Transfer-Encoding: identity\r\nTransfer-Encoding: chunked"),
        ("TE: chunked, identity", "Transfer-Encoding: chunked, identity"),
        ("TE: gzip, chunked", "Transfer-Encoding: gzip, chunked"),
        ("TE: chunked twice in a line", "Transfer-Encoding: chunked, chunked"),
        ("TE: CHUNKED", "Transfer-Encoding: CHUNKED"),
        ("TE: with a parameter", "Transfer-Encoding: chunked;q=1"),
        ("TE: after a bare line feed", "X: y\nTransfer-Encoding: chunked"),
        ("TE: after a bare carriage return", "X: y\rTransfer-Encoding: chunked"),
        ("TE: an underscore in the name", "Transfer_Encoding: chunked"),
        ("TE: a NUL in the value", "Transfer-Encoding: chunked\0"),
    ];
    list.extend(codings.map(|(name, coding)| post(name, &both(coding), &zero)));
    let inside = INSIDE.len();
    list.extend([
        post("CL: twice, and they differ", &format!("Content-Length: 0\r\nContent-Length: {inside}\r\n"), INSIDE),
        post("CL: twice, the same", "Content-Length: 2\r\nContent-Length: 2\r\n", "hi"),
        post("CL: a list", &format!("Content-Length: 0, {inside}\r\n"), INSIDE),
        post("CL: with a sign", "Content-Length: +2\r\n", "hi"),
        post("CL: negative", "Content-Length: -1\r\n", "hi"),
        post("CL: with a space in it", "Content-Length: 1 2\r\n", "hi"),
        post("CL: hexadecimal", "Content-Length: 0x2\r\n", "hi"),
        post("CL: beyond all numbers", "Content-Length: 18446744073709551618\r\n", "hi"),
        post("CL: empty", "Content-Length:\r\n", "hi"),
        post("CL: a space before the colon", &format!("Content-Length : {inside}\r\n"), INSIDE),
        post("chunk extensions", "Transfer-Encoding: chunked\r\n", "2;a=\"b\r\nc\"\r\nhi\r\n0\r\n\r\n"),
        post("a chunk length with a sign", "Transfer-Encoding: chunked\r\n", "+2\r\nhi\r\n0\r\n\r\n"),
        post("a chunk length beyond all numbers", "Transfer-Encoding: chunked\r\n", "10000000000000002\r\nhi\r\n0\r\n\r\n"),
        post("a chunk with a bare line feed", "Transfer-Encoding: chunked\r\n", "2\nhi\r\n0\r\n\r\n"),
        post("a chunk that does not end where it says", "Transfer-Encoding: chunked\r\n", "2\r\nhihi\r\n0\r\n\r\n"),
        post(
            "trailers that are fields of the request",
            "Transfer-Encoding: chunked\r\n",
            "2\r\nhi\r\n0\r\nHost: evil.test\r\nContent-Length: 9\r\n\r\n",
        ),
        get("a fat GET", &format!("Content-Length: {inside}\r\n")),
        ("a fat GET with its content", format!("GET @P HTTP/1.1\r\nHost: @H\r\nContent-Length: {inside}\r\n\r\n{INSIDE}")),
        ("a fat HEAD", format!("HEAD @P HTTP/1.1\r\nHost: @H\r\nContent-Length: {inside}\r\n\r\n{INSIDE}")),
        get("Expect", "Expect: 100-continue\r\n"),
        get("Connection names Host", "Connection: close, Host\r\n"),
        get("Connection names a field of ours", "Connection: X-Forwarded-For, CDN-Loop, Via\r\n"),
        get("Upgrade: h2c", "Connection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: AAMAAABkAARAAAAAAAIAAAAA\r\n"),
        ("two Hosts", "GET @P HTTP/1.1\r\nHost: @H\r\nHost: evil.test\r\n\r\n".to_owned()),
        ("two Hosts, folded", "GET @P HTTP/1.1\r\nHost: @H\r\n Host: evil.test\r\n\r\n".to_owned()),
        ("no Host", "GET @P HTTP/1.1\r\n\r\n".to_owned()),
        ("Host with user information", "GET @P HTTP/1.1\r\nHost: evil.test@@H\r\n\r\n".to_owned()),
        ("Host with a path", "GET @P HTTP/1.1\r\nHost: @H/evil\r\n\r\n".to_owned()),
        ("Host with another port", "GET @P HTTP/1.1\r\nHost: @H:6666\r\n\r\n".to_owned()),
        ("Host with a port that is none", "GET @P HTTP/1.1\r\nHost: @H:80@evil.test\r\n\r\n".to_owned()),
        ("a space before the colon of Host", "GET @P HTTP/1.1\r\nHost : @H\r\n\r\n".to_owned()),
        first("an absolute form with another host", "GET http://evil.test@P HTTP/1.1"),
        ("an absolute form, and another Host", "GET http://@H@P HTTP/1.1\r\nHost: evil.test\r\n\r\n".to_owned()),
        first("an absolute form with user information", "GET http://evil.test@@H@P HTTP/1.1"),
        first("an absolute form of another scheme", "GET file://@H@P HTTP/1.1"),
        first("an authority form", "CONNECT @H:80 HTTP/1.1"),
        first("an asterisk", "OPTIONS * HTTP/1.1"),
        first("no slash", "GET evil HTTP/1.1"),
        first("a space in the target", "GET @P HTTP/1.1 x HTTP/1.1"),
        first("a fragment", "GET @P#evil HTTP/1.1"),
        first("HTTP/1.2", "GET @P HTTP/1.2"),
        first("HTTP/2.0 in the first line", "GET @P HTTP/2.0"),
        first("no version", "GET @P"),
        first("a tab in the first line", "GET\t@P HTTP/1.1"),
        first("a method that is none", "GE(T @P HTTP/1.1"),
        ("empty lines before it", "\r\n\r\n\r\nGET @P HTTP/1.1\r\nHost: @H\r\n\r\n".to_owned()),
        ("bare line feeds", "GET @P HTTP/1.1\nHost: @H\n\n".to_owned()),
    ]);
    list.extend(poisons());
    list
}

/// Requests that have the origin give something that is not for everybody, or under a name that is not its own.
fn poisons() -> Vec<Mutation> {
    let get = |name, fields: &str| (name, format!("GET @P HTTP/1.1\r\nHost: @H\r\n{fields}\r\n"));
    let first = |name, line: &str| (name, format!("{line}\r\nHost: @H\r\n\r\n"));
    vec![
        get("X-Forwarded-Host", "X-Forwarded-Host: evil.test\r\nX-Forwarded-Proto: evil\r\nX-Forwarded-For: 6.6.6.6\r\n"),
        get("X_Forwarded_Host", "X_Forwarded_Host: evil.test\r\n"),
        get("Forwarded", "Forwarded: for=6.6.6.6;host=evil.test;proto=evil\r\n"),
        get(
            "X-Forwarded-Prefix and the like",
            "X-Forwarded-Prefix: /evil\r\nX-Forwarded-Server: evil.test\r\nX-Forwarded-Scheme: evil\r\n",
        ),
        get("X-Host and the like", "X-Host: evil.test\r\nX-Original-Host: evil.test\r\nX-HTTP-Host-Override: evil.test\r\n"),
        get("X-Original-URL", "X-Original-URL: /evil\r\n"),
        get("X-Rewrite-URL", "X-Rewrite-URL: /evil\r\n"),
        get("X-HTTP-Method-Override", "X-HTTP-Method-Override: EVIL\r\nX-HTTP-Method: EVIL\r\nX-Method-Override: EVIL\r\n"),
        get("Range", "Range: bytes=0-1\r\n"),
        get("a range of nothing", "Range: bytes=999999-\r\n"),
        get("a condition", "If-None-Match: *\r\n"),
        get("a condition that fails", "If-Match: \"evil\"\r\n"),
        get("Cookie", "Cookie: session=evil\r\n"),
        get("Authorization", "Authorization: Basic ZXZpbDpldmls\r\n"),
        get("a field that the origin varies by", "Accept-Language: evil\r\n"),
        get("a field of 16 KiB", &format!("X-Long: {}\r\n", "x".repeat(16 << 10))),
        get("a field of 64 KiB", &format!("X-Long: {}\r\n", "x".repeat(64 << 10))),
        get("200 fields", &"X-Many: x\r\n".repeat(200)),
        get("a field with control characters", "X-Meta: a\x07\x1b\r\n"),
        first("dots", "GET /a/..@P HTTP/1.1"),
        first("encoded dots", "GET /%2e%2e@P HTTP/1.1"),
        first("two slashes", "GET /@P HTTP/1.1"),
        first("an encoded slash", "GET @P%2fevil HTTP/1.1"),
        first("an encoded NUL", "GET @P%00 HTTP/1.1"),
        first("an encoded line end", "GET @P%0d%0aX:%20y HTTP/1.1"),
        first("a backslash", "GET @P\\evil HTTP/1.1"),
        first("a semicolon", "GET @P;evil.css HTTP/1.1"),
        first("an empty query", "GET @P? HTTP/1.1"),
        first("a query with a bare ampersand", "GET @P?a&a=evil HTTP/1.1"),
        first("bytes beyond ASCII", "GET @P\u{fc} HTTP/1.1"),
    ]
}

/// An origin that says in `X-Seen` what it took a request for, and believes what it is told.
fn seen(asked: &Asked) -> Script {
    let told = |name: &str, or: &str| if asked.field(name).is_empty() { or.to_owned() } else { asked.field(name).to_owned() };
    let method = told("x-http-method-override", &told("x-http-method", &told("x-method-override", &asked.method)));
    let target = told("x-original-url", &told("x-rewrite-url", &asked.target));
    let host = told("x-host", &told("x-original-host", &told("x-http-host-override", asked.field("host"))));
    let (prefix, language) = (asked.field("x-forwarded-prefix"), asked.field("accept-language"));
    let claims: Vec<String> =
        ["x-forwarded-host", "x-forwarded-proto", "x_forwarded_host", "x-forwarded-server", "x-forwarded-scheme", "forwarded"]
            .iter()
            .map(|name| asked.field(name).to_owned())
            .filter(|value| value.contains("evil") || value.contains("6666"))
            .collect();
    let fields = format!(
        "Cache-Control: max-age=60\r\nVary: Accept-Language\r\nETag: \"a\"\r\nX-Seen: {method} {prefix}{target} {host} {}{language}\r\n",
        claims.join(" ")
    );
    let body = if asked.method == "HEAD" { "" } else { "from our own" };
    Script::answer(200, &fields, body)
}

/// An origin behind a zone.
enum Behind {
    Own(Adverse),
    Server(Server, Running),
}

impl Behind {
    fn host(&self) -> &'static str {
        match self {
            Self::Own(_) => HOST,
            Self::Server(Server::Nginx, _) => "nginx.test",
            Self::Server(Server::Apache, _) => "apache.test",
        }
    }

    fn name(&self) -> &'static str {
        match self {
            Self::Own(_) => "our own",
            Self::Server(server, _) => server.name(),
        }
    }

    /// Requests that reached it with this in their target, and what is wrong with any that did.
    fn reached(&self, what: &str) -> Result<(usize, Vec<String>)> {
        Ok(match self {
            Self::Own(origin) => {
                let asked = origin.asked();
                let flaws = asked.iter().flat_map(|asked| asked.flaws.iter().cloned()).collect();
                (asked.iter().filter(|asked| asked.target.contains(what)).count(), flaws)
            }
            Self::Server(_, running) => (running.log()?.lines().filter(|line| line.contains(what)).count(), Vec::new()),
        })
    }
}

async fn smuggling(run: Run) -> Result<()> {
    let own = Adverse::start(seen).await?;
    let secure = Secure::new(&[HOST, "nginx.test", "apache.test"])?;
    let front = Front::start(secure.listening(Cluster::builder().seed(run.seed())), &own.url()).await?;
    let mut behind = vec![Behind::Own(own)];
    for server in [Server::Nginx, Server::Apache] {
        let Some(running) = server.start().await? else {
            let why = format!("{} is not installed: cluster-tests/check-smuggling installs it", server.name());
            ensure!(std::env::var_os("SMUGGLING_NEEDS_ALL").is_none(), why);
            run.say(why);
            continue;
        };
        let behind_it = Behind::Server(server, running);
        let Behind::Server(_, running) = &behind_it else { continue };
        front.zone(&["--origin", &format!("http://{}", running.address), "--host", behind_it.host()]).await?;
        front.serves(behind_it.host()).await?;
        behind.push(behind_it);
    }
    let list = mutations();
    let (mut wrong, mut rows) = (Vec::new(), 0);
    for (number, (name, raw)) in list.iter().enumerate() {
        let mut row = Vec::new();
        let all = behind.iter().map(|behind| one(&front, behind, number, raw));
        for (behind, done) in behind.iter().zip(join_all(all).await) {
            let done = done.with_context(|| format!("{name}, {}", behind.name()))?;
            wrong.extend(done.wrong.iter().map(|wrong| format!("{name}, {}: {wrong}", behind.name())));
            row.push(done.shown);
        }
        rows += 1;
        run.say(format_args!("| {name} | {} |", row.join(" | ")));
    }
    rows += http2(&run, &front, &secure, &behind, &mut wrong).await?;
    let names: Vec<&str> = behind.iter().map(Behind::name).collect();
    run.say(format_args!("{rows} requests, each against {names:?}; {} wrong", wrong.len()));
    ensure!(wrong.is_empty(), "{} are wrong:\n{}", wrong.len(), wrong.join("\n"));
    front.cluster.shutdown().await
}

struct Done {
    shown: String,
    wrong: Vec<String>,
}

/// Sends one, and looks at what became of it.
async fn one(front: &Front, behind: &Behind, number: usize, raw: &str) -> Result<Done> {
    let (path, smuggled, host) = (format!("/m/{number}"), format!("/smuggled/{number}"), behind.host());
    let raw = raw.replace("@P", &path).replace("@S", &smuggled).replace("@H", host);
    let mut viewer = Viewer::connect(front.address()).await?;
    // It may be refused before all of it is sent.
    let _ = viewer.send(&raw).await;
    let method = raw.trim_start().split(' ').next().unwrap_or_default().to_owned();
    let mut answers = Vec::new();
    let is_closed = loop {
        match timeout(QUIET, viewer.answer_to(&method)).await {
            Ok(Ok(Some(got))) => answers.push(got),
            Ok(Ok(None) | Err(_)) => break true,
            Err(_) => break false,
        }
    };
    drop(viewer);
    judge(front, behind, (&path, &smuggled), &answers, is_closed).await
}

/// What is wrong with how requests for `path` went, in which there was one for `smuggled`.
async fn judge(front: &Front, behind: &Behind, (path, smuggled): (&str, &str), answers: &[Got], is_closed: bool) -> Result<Done> {
    let mut wrong = Vec::new();
    let (reached, flaws) = behind.reached(path)?;
    let (inside, _) = behind.reached(smuggled)?;
    let statuses: Vec<u16> = answers.iter().map(|got| got.status).collect();
    if !flaws.is_empty() {
        wrong.push(format!("the origin was sent {flaws:?}"));
    }
    if let Behind::Own(origin) = behind {
        origin.forget();
    }
    let good = statuses.iter().filter(|status| **status < 400).count();
    if reached + inside > answers.len() {
        wrong.push(format!("{reached} and {inside} requests reached the origin, and {statuses:?} came back"));
    }
    if inside > 0 && good < 2 {
        wrong.push(format!("{smuggled} reached the origin, and was not answered to who sent it: {statuses:?}"));
    }
    let is_refused = statuses.first().is_some_and(|status| (400..=505).contains(status)) || statuses.is_empty();
    if answers.first().is_some_and(|got| got.status == 400 && got.field("x-cache").is_empty()) && !is_closed && reached > 0 {
        wrong.push("refused, and yet sent on".to_owned());
    }
    // Viewers who have nothing to do with it: over every connection that is kept, and of the same path.
    for innocent in 0..3 {
        let own = format!("/innocent{path}/{innocent}");
        wrong.extend(innocent_viewer(front, behind, &own).await?);
    }
    wrong.extend(innocent_viewer(front, behind, path).await?);
    if let Behind::Own(origin) = behind {
        origin.forget();
    }
    let shown = match (is_refused, is_closed) {
        (true, true) => format!("{statuses:?}, closed"),
        (true, false) => format!("{statuses:?}"),
        (false, _) => format!("{statuses:?}, asked of the origin {}", reached + inside),
    };
    Ok(Done { shown, wrong })
}

/// What is wrong with what somebody gets who asks for a path as one should.
async fn innocent_viewer(front: &Front, behind: &Behind, path: &str) -> Result<Option<String>> {
    let host = behind.host();
    let got = front.get_with(host, path, "").await?;
    let seen = got.field("x-seen");
    let is_own =
        seen.starts_with(&format!("GET {path} ")) && !seen.contains("evil") && !seen.contains("6666") && got.status == 200 && got.whole;
    let is_own = is_own && got.text() == format!("from {}", behind.name());
    Ok((!is_own).then(|| format!("POISONED: {path} is {} {:?}", got.status, got.fields)))
}

/// The same over HTTP/2, where there is no framing to be confused about, and everything is in the values.
async fn http2(run: &Run, front: &Front, secure: &Secure, behind: &[Behind], wrong: &mut Vec<String>) -> Result<usize> {
    let inside = "GET @S HTTP/1.1\r\nHost: @H\r\n\r\n";
    let evil = format!("x\r\n\r\n{inside}");
    let list = vec![
        ("h2: connection", vec![("connection", "close")], ""),
        ("h2: transfer-encoding", vec![("transfer-encoding", "chunked")], "0\r\n\r\n"),
        ("h2: a length that is too short", vec![("content-length", "2")], inside),
        ("h2: a length that is too long", vec![("content-length", "999")], "hi"),
        ("h2: two lengths", vec![("content-length", "2"), ("content-length", "3")], "hi"),
        ("h2: a length with a sign", vec![("content-length", "+2")], "hi"),
        ("h2: line ends in a value", vec![("x-evil", evil.as_str())], ""),
        ("h2: a bare line feed in a value", vec![("x-evil", "a\nx-other: b")], ""),
        ("h2: a NUL in a value", vec![("x-evil", "a\0b")], ""),
        ("h2: line ends in a name", vec![("x-evil: a\r\nx-other", "b")], ""),
        ("h2: a colon in a name", vec![("x:evil", "b")], ""),
        ("h2: capital letters in a name", vec![("X-Evil", "b")], ""),
        ("h2: two paths", vec![(":path", "/evil")], ""),
        ("h2: an unknown pseudo field", vec![(":evil", "1")], ""),
        ("h2: a pseudo field after others", vec![("a", "b"), (":scheme", "http")], ""),
        ("h2: another host", vec![("host", "evil.test")], ""),
        ("h2: te", vec![("te", "gzip")], ""),
        ("h2: upgrade", vec![("upgrade", "h2c"), ("http2-settings", "AAMAAABk")], ""),
        ("h2: keep-alive", vec![("keep-alive", "1")], ""),
        ("h2: x-forwarded-host", vec![("x-forwarded-host", "evil.test")], ""),
    ];
    let targets = [
        ("h2: a space in the path", "@P HTTP/1.1\r\nX: y"),
        ("h2: line ends in the path", "@P\r\nX: y"),
        ("h2: a path without a slash", "evil"),
        ("h2: a whole URL as the path", "http://evil.test@P"),
        ("h2: an empty path", ""),
    ];
    let requests = list.iter().map(|(name, more, body)| (*name, "@P", more.clone(), *body));
    let requests: Vec<_> = requests.chain(targets.iter().map(|(name, target)| (*name, *target, Vec::new(), ""))).collect();
    for (number, (name, target, more, body)) in requests.iter().enumerate() {
        let mut row = Vec::new();
        for behind in behind {
            let (path, smuggled, host) = (format!("/h2/{number}"), format!("/smuggled-h2/{number}"), behind.host());
            let fill = |text: &str| text.replace("@P", &path).replace("@S", &smuggled).replace("@H", host);
            let method = if body.is_empty() { "GET" } else { "POST" };
            let (target, body) = (fill(target), fill(body));
            let more: Vec<(&str, String)> = more.iter().map(|(name, value)| (*name, fill(value))).collect();
            let mut all = vec![(":method", method), (":scheme", "https"), (":authority", host), (":path", target.as_str())];
            all.extend(more.iter().map(|(name, value)| (*name, value.as_str())));
            let mut connection = secure.http2(host).await?;
            // The end of the fields; and of the stream if there is nothing more.
            let flags = if body.is_empty() { 5 } else { 4 };
            connection.send(&frame(Kind::Headers, flags, 1, &fields(&all))).await?;
            if !body.is_empty() {
                let _ = connection.send(&frame(Kind::Data, 1, 1, body.as_bytes())).await;
            }
            let outcome = timeout(Duration::from_secs(10), connection.outcome(1)).await.unwrap_or_else(|_| Ok("nothing".to_owned()))?;
            drop(connection);
            let answers = match outcome.parse() {
                Ok(status) => vec![Got { status, fields: Vec::new(), body: Vec::new(), whole: true }],
                Err(_) => Vec::new(),
            };
            // A request whose content is not what was announced may be known to the origin by then: it gets no whole one.
            let done = judge(front, behind, (&path, &smuggled), &answers, answers.is_empty()).await.with_context(|| (*name).to_owned())?;
            let is_cut = done.wrong.iter().filter(|wrong| !(answers.is_empty() && wrong.starts_with("1 and 0 requests")));
            wrong.extend(is_cut.map(|wrong| format!("{name}, {}: {wrong}", behind.name())));
            row.push(outcome);
        }
        run.say(format_args!("| {name} | {} |", row.join(" | ")));
    }
    Ok(requests.len())
}

/// How long nothing comes until there is taken to be nothing more.
const QUIET: Duration = Duration::from_millis(150);
