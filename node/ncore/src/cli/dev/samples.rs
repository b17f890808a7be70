//! A few assets to look at. They are generated, and pushed over the API like any other.

use anyhow::{Context, Result, ensure};
use rand::{Rng, SeedableRng, rngs::SmallRng};
use reqwest::{
    Client,
    multipart::{Form, Part},
};
use serde_json::{Value, json};

use super::{super::output, credentials::Credentials};

const PAGE: &str = "<!doctype html>\n<html lang=\"en\">\n<meta charset=\"utf-8\">\n<title>NCore</title>\n\
    <body style=\"font: 1.2rem system-ui; margin: 4rem auto; max-width: 36rem\">\n\
    <img src=\"logo.svg\" alt=\"\" width=\"96\">\n<h1>It works.</h1>\n\
    <p>This page was pushed to one node and is served by all of them.</p>\n</body>\n</html>\n";

const LOGO: &str = "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 96 96\"><g fill=\"none\" stroke=\"#0a7\" stroke-width=\"6\">\
    <circle cx=\"48\" cy=\"20\" r=\"12\"/><circle cx=\"20\" cy=\"72\" r=\"12\"/><circle cx=\"76\" cy=\"72\" r=\"12\"/>\
    <path d=\"M42 31 26 61M54 31l16 30M32 72h32\"/></g></svg>\n";

/// The size of the sample that looks like a video, in bytes.
const NOISE_BYTES: usize = 5_000_000;

/// Pushes what is not there yet.
pub(super) async fn push(url: &str, credentials: &Credentials) -> Result<()> {
    let client = Client::new();
    let login = json!({ "client_id": credentials.client_id, "secret": credentials.secret });
    let reply = client.post(format!("{url}/api/v2/auth/token")).json(&login).send().await?.error_for_status()?;
    let token = reply.json::<Value>().await?["access_token"].as_str().context("the node gave no token")?.to_owned();
    let mut noise = vec![0; NOISE_BYTES];
    SmallRng::seed_from_u64(1).fill_bytes(&mut noise);
    let samples = [
        ("samples/index.html", PAGE.into()),
        ("samples/logo.svg", LOGO.into()),
        ("samples/noise-5mb.bin", noise),
        // What is below `pub` is listed on the page of each node.
        ("pub/hello.html", PAGE.into()),
        ("pub/logo.svg", LOGO.into()),
    ];
    for (path, content) in samples {
        if client.head(format!("{url}/assets/{path}")).send().await?.status().is_success() {
            continue;
        }
        let name = path.rsplit('/').next().unwrap_or(path).to_owned();
        let form = Form::new().text("path", path).text("cache_ttl", "60").part("file", Part::bytes(content).file_name(name));
        let response = client.post(format!("{url}/api/v2/assets/upload")).bearer_auth(&token).multipart(form).send().await?;
        let status = response.status();
        ensure!(status.is_success(), "cannot push {path}: {status} {}", response.text().await?);
        output::say!("  pushed {path}");
    }
    Ok(())
}
