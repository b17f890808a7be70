//! The status table: each row provoked at each node, with its document, its request id and its challenge.

use std::collections::BTreeSet;

use anyhow::{Context as _, Result, ensure};
use cluster_tests::client::Answer;
use cluster_tests::link::Cut;
use cluster_tests::site::{SETTLE, Site};
use cluster_tests::{Cluster, Node, run::Run, wait};
use futures_util::future::try_join_all;
use reqwest::Method;

use crate::contract::Contract;
use crate::problem;
use crate::scene::{Scene, send};

/// A row: the status, the `code` of the problem and its title (both empty for a success), and the challenge, if there is one.
struct Row(u16, &'static str, &'static str, &'static str);

/// The statuses of the page first, with its words where it has some; then those that clients of today expect besides.
const TABLE: [Row; 44] = [
    Row(200, "", "", ""),
    Row(201, "", "", ""),
    Row(204, "", "", ""),
    Row(400, "invalid_body", "Malformed request body or missing params", ""),
    Row(401, "token_missing", "Missing token", r#"Bearer realm="ncore""#),
    Row(401, "token_invalid", "Invalid token", r#"Bearer realm="ncore", error="invalid_token", error_description="#),
    Row(403, "scope_missing", "Token valid but lacks required scope", INSUFFICIENT),
    Row(403, "asset_of_other_client", "Asset belongs to different client", ""),
    Row(404, "asset_not_found", "Asset does not exist", ""),
    Row(404, "endpoint_not_found", "Endpoint does not exist", ""),
    Row(413, "upload_too_large", "Upload exceeds the per file limit", ""),
    Row(429, "rate_limited", "Too many requests", ""),
    Row(500, "internal", "Contact support with request ID", ""),
    // Beyond the page.
    Row(206, "", "", ""),
    Row(304, "", "", ""),
    Row(400, "invalid_request", "", ""),
    Row(400, "invalid_scope", "", ""),
    Row(400, "invalid_grant", "", ""),
    Row(400, "unsupported_grant_type", "", ""),
    Row(400, "invalid_field", "A field of the request is not valid", ""),
    Row(400, "invalid_query", "A query parameter is not valid", ""),
    Row(400, "invalid_cursor", "The cursor is not of this list", ""),
    Row(400, "invalid_header", "A header of the request is not valid", ""),
    Row(400, "revision_unknown", "No node has the revision", ""),
    Row(400, "token_malformed", "Malformed authorization", r#"Bearer realm="ncore", error="invalid_request", error_description="#),
    Row(401, "invalid_client", "", r#"Basic realm="ncore""#),
    Row(401, "signed_url_invalid", "The signed address is not valid", r#"Bearer realm="ncore""#),
    Row(403, "administrator_required", "Only administrators may do this", ""),
    Row(403, "storage_quota_exceeded", "Storage quota of the client is used up", ""),
    Row(404, "upload_not_found", "Upload does not exist", ""),
    Row(405, "method_not_allowed", "Method not allowed", ""),
    Row(409, "path_taken", "Another asset has this path", ""),
    Row(409, "visibility_fixed", "The path says who may read the asset", ""),
    Row(409, "upload_offset", "Another number of bytes is there", ""),
    Row(412, "precondition_failed", "Precondition failed", ""),
    Row(412, "tus_version", "Tus-Resumable must be 1.0.0", ""),
    Row(413, "upload_length", "More bytes came than the upload is to have", ""),
    Row(413, "body_too_large", "Request body is too large", ""),
    Row(415, "unsupported_media_type", "Unsupported media type", ""),
    Row(416, "range_not_satisfiable", "Range Not Satisfiable", ""),
    Row(422, "idempotency_key_reused", "Idempotency key was used for another request", ""),
    Row(460, "checksum_mismatch", "The bytes are not those of the checksum", ""),
    Row(503, "fenced", "This node has lost touch with the cluster", ""),
    Row(507, "disk_full", "Insufficient storage", ""),
];
const INSUFFICIENT: &str = r#"Bearer realm="ncore", error="insufficient_scope", scope="cache:purge""#;
/// The limit of the page, and of the product: requests with one token in a minute, at all nodes together.
const PER_MINUTE: u64 = 1_000;
/// How many of them are under way at once.
const AT_ONCE: usize = 50;

pub(crate) async fn property(run: Run) -> Result<()> {
    // The limits are those of the product, for which it is enough that one of them is named.
    let builder = Cluster::builder().seed(run.seed()).disk_faults(true).setting("rates", "per_token", PER_MINUTE);
    let cluster = builder.setting("cluster", "request_deadline", "4s").setting("listen", "stop_delay", "0s").start().await?;
    let scene = Scene::set(Site::of(cluster).await?).await?;
    let nodes = scene.site.cluster.nodes();
    let mut provoked = BTreeSet::new();
    scene.use_key().await?;
    for node in nodes {
        wait::until(SETTLE, "each node to have the asset", || async { Answer::to(scene.read(node)).await?.expect(200, "the asset") })
            .await?;
        // Its description, and the tag of that, change until all copies are there.
        wait::until(SETTLE, "each node to say that it is replicated", || async {
            let described = scene.site.send(scene.describe(node)).await?.expect(200, "the description")?;
            ensure!(described.json()["replicated"] == true, "{described:?}");
            Ok(())
        })
        .await?;
    }
    for row in &TABLE {
        let answers = try_join_all(nodes.iter().map(|node| provoke(&scene, row, node)));
        // Those that change something about a node, and the limit that all share, take it one by one.
        let answers = match row.0 {
            429 => limited(&scene).await?,
            500 => each(nodes, async |node| unreadable(&scene, node).await).await?,
            503 => each(nodes, async |node| cut_off(&scene, row, node).await).await?,
            507 => each(nodes, async |node| full(&scene, row, node).await).await?,
            _ => answers.await?,
        };
        for (node, (answer, path, id)) in nodes.iter().zip(answers) {
            holds(row, &answer, &path, &id).with_context(|| format!("{} {} at {}: {answer:?}", row.0, row.1, node.name()))?;
            provoked.insert((row.0, row.1, node.name()));
        }
    }
    ensure!(provoked.len() == TABLE.len() * nodes.len(), "not every row was provoked at every node: {provoked:?}");
    let rows: BTreeSet<u16> = TABLE.iter().map(|row| row.0).collect();
    let documented = Contract::read(&scene.site).await?.statuses();
    ensure!(documented.is_subset(&rows), "in the document, and no row here: {:?}", documented.difference(&rows));
    run.say(format_args!("{} rows, {} statuses, at {} nodes", TABLE.len(), rows.len(), nodes.len()));
    scene.site.cluster.converged(SETTLE).await?;
    scene.site.cluster.shutdown().await
}

/// An answer, the path that was asked for, and the id that the request had.
type Provoked = (Answer, String, String);

async fn each(nodes: &[Node], provoke: impl AsyncFn(&Node) -> Result<Provoked>) -> Result<Vec<Provoked>> {
    let mut answers = Vec::new();
    for node in nodes {
        answers.push(provoke(node).await?);
    }
    Ok(answers)
}

async fn provoke(scene: &Scene, row: &Row, node: &Node) -> Result<Provoked> {
    let request = match row {
        Row(status, "", ..) => scene.succeeds(*status, node).await?,
        Row(_, error, "", _) => scene.no_token(error, node)?,
        Row(_, code, ..) => scene.refused(code, node)?,
    };
    asked(scene, request, &format!("{}-{}-{}", row.0, row.1, node.name())).await
}

async fn asked(scene: &Scene, request: reqwest::RequestBuilder, id: &str) -> Result<Provoked> {
    let (answer, path) = send(&scene.site, request, id).await?;
    Ok((answer, path, id.to_owned()))
}

/// What every row says.
fn holds(row: &Row, answer: &Answer, path: &str, id: &str) -> Result<()> {
    let Row(status, code, title, challenge) = row;
    ensure!(answer.status == *status, "another status");
    let shown = answer.header("www-authenticate");
    ensure!(
        if challenge.ends_with('=') { shown.starts_with(challenge) } else { shown.split(", charset").next() == Some(challenge) },
        "challenge"
    );
    if title.is_empty() && !code.is_empty() {
        // RFC 6749, section 5.2.
        ensure!(answer.header("x-request-id") == id && answer.header("cache-control") == "no-store", "headers");
        ensure!(answer.text("error") == *code && !answer.text("error_description").is_empty(), "an error of OAuth");
        return Ok(());
    }
    problem::check(answer, id, path, code, title)?;
    if path.starts_with("/api/") {
        problem::has_revision(answer)?;
    }
    match status {
        201 => ensure!(answer.header("location").starts_with("/api/v2/assets/as_"), "location"),
        204 | 304 => ensure!(answer.body.is_empty(), "a body"),
        206 => ensure!(answer.header("content-range") == "bytes 0-9/100" && answer.body.len() == 10, "another part"),
        405 => ensure!(answer.header("allow").contains("GET"), "what is allowed"),
        416 => ensure!(answer.header("content-range") == "bytes */100", "how much there is"),
        429 => {
            ensure!(answer.json()["violated-policies"] == serde_json::json!(["default"]), "which limit");
            ensure!(answer.header("ratelimit-policy").contains(r#""default";q=1000;w=60"#), "the limit");
            ensure!(answer.header("ratelimit").starts_with(r#""default";r=0;t="#), "how it stands");
            let standing = [answer.header("x-ratelimit-limit"), answer.header("x-ratelimit-remaining")];
            ensure!(standing == ["1000", "0"] && answer.header("x-ratelimit-reset").parse::<u64>().is_ok(), "{standing:?}");
        }
        _ => {}
    }
    Ok(())
}

/// Asks with one token at every node, until each refuses; by then no more than the limit was admitted.
async fn limited(scene: &Scene) -> Result<Vec<Provoked>> {
    let nodes = scene.site.cluster.nodes();
    let token = scene.site.token(&scene.client, "assets:read").await?;
    let (mut admitted, mut refused) = (0, nodes.iter().map(|_| None).collect::<Vec<Option<Provoked>>>());
    while refused.iter().any(Option::is_none) {
        let batch = (0..AT_ONCE).map(|number| {
            let slot = number % nodes.len();
            let request = scene.site.bare(&nodes[slot], Method::GET, "/api/v2/assets?limit=1").bearer_auth(&token);
            async move { Ok::<_, anyhow::Error>((slot, asked(scene, request, &format!("429-{slot}-{number}")).await?)) }
        });
        for (slot, provoked) in try_join_all(batch).await? {
            match provoked.0.status {
                200 => admitted += 1,
                _ => refused[slot] = Some(provoked),
            }
        }
        ensure!(admitted <= PER_MINUTE + nodes.len() as u64, "{admitted} were admitted, and not every node refuses");
    }
    refused.into_iter().map(|provoked| provoked.context("a refusal")).collect()
}

/// A node whose state cannot be read fails, says so, and is well when it can be read again.
async fn unreadable(scene: &Scene, node: &Node) -> Result<Provoked> {
    // What a node has read it need not read again. The path of an asset by its id it reads only when somebody asks.
    node.restart().await?;
    let list = scene.succeeds(200, node).await?;
    scene.site.send(list).await?.expect(200, "the list, for which the token is looked at")?;
    let disk = node.disk().only("/state/");
    disk.unreadable()?;
    let failed = asked(scene, scene.describe(node), &format!("500-{}", node.name())).await;
    disk.heal()?;
    ensure!(disk.hits() > 0, "nothing was read from the disk of {}", node.name());
    // Something newer than the fault: a node that is about to stop still answers from the state that it has.
    wait::until(SETTLE, "the cluster to take a write", || scene.write()).await?;
    wait::until(SETTLE, "the node to be well again", || async {
        // An entry that it was to apply may have met the fault too, and then it stops: it cannot be sure of its state.
        if node.exit_status()?.is_some() {
            node.start()?;
        }
        send(&scene.site, scene.describe(node), "well-again").await?.0.expect(200, "the asset")
    })
    .await?;
    node.ready(SETTLE).await?;
    failed
}

/// A node that hears nothing of the others checks no token, as soon as its view may be too old.
async fn cut_off(scene: &Scene, row: &Row, node: &Node) -> Result<Provoked> {
    let cluster = &scene.site.cluster;
    cluster.links().isolate(node.slot(), Cut::Silent);
    let refused = wait::until(SETTLE, "a node that is cut off to be fenced", || async {
        let provoked = provoke(scene, row, node).await?;
        ensure!(provoked.0.status == 503, "{:?}", provoked.0);
        Ok(provoked)
    })
    .await;
    cluster.links().heal_all();
    wait::until(SETTLE, "the node to be back", || async {
        send(&scene.site, scene.describe(node), "back").await?.0.expect(200, "the asset")
    })
    .await?;
    Ok(refused?)
}

/// A node without room for content; the log and the state have some.
async fn full(scene: &Scene, row: &Row, node: &Node) -> Result<Provoked> {
    let disk = node.disk().except("/raft/").except("/state/");
    disk.full(true)?;
    let refused = provoke(scene, row, node).await;
    disk.heal()?;
    refused
}
