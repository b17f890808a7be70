//! What must be there for every status to be provoked: clients, tokens, assets and an upload, and the requests that get each.

use anyhow::{Context as _, Result};
use base64::{Engine as _, engine::general_purpose::STANDARD};
use bytes::Bytes;
use cluster_tests::Node;
use cluster_tests::client::{Answer, PIECE};
use cluster_tests::site::{Registered, Site, index};
use futures_util::stream;
use reqwest::multipart::{Form, Part};
use reqwest::{Body, Method, RequestBuilder};
use serde_json::{Value, json};
use std::io;

const KEPT: &str = "kept/a.txt";
const HIDDEN: &str = "restricted/b.txt";
/// One byte more than the page allows, in a form that says so.
const TOO_LONG: u64 = 524_288_001 + (64 << 10);

/// A cluster in which every status can be provoked at every node.
pub(crate) struct Scene {
    pub(crate) site: Site,
    pub(crate) client: Registered,
    /// For everything.
    token: String,
    /// For reading alone.
    reader: String,
    /// Of a client that may store one byte.
    small: String,
    /// The asset that stays, and one of another client.
    asset: String,
    of_other: String,
    /// An open upload, of which nothing is there.
    upload: String,
}

impl Scene {
    pub(crate) async fn set(site: Site) -> Result<Self> {
        let client = site.register(&json!({ "name": "statuses" })).await?;
        let other = site.register(&json!({ "name": "other" })).await?;
        let small = site.register(&json!({ "name": "small", "plan": { "name": "Pro", "storage_bytes": 1 } })).await?;
        let all = "assets:read assets:write cache:purge metrics:read";
        let (token, reader) = (site.token(&client, all).await?, site.token(&client, "assets:read").await?);
        let (of_other, small) = (site.token(&other, all).await?, site.token(&small, all).await?);
        let asset = site.upload(&token, KEPT, 100).await?.expect(201, "an upload")?.text("id");
        site.upload(&token, HIDDEN, 10).await?.expect(201, "an upload")?;
        let of_other = site.upload(&of_other, "other/c.txt", 10).await?.expect(201, "an upload")?.text("id");
        let metadata = format!("path {}", STANDARD.encode("pieces/open.bin"));
        let create = site.ask(Method::POST, "/api/v2/uploads", &token).header("Tus-Resumable", "1.0.0").header("Upload-Length", 10);
        let created = site.send(create.header("Upload-Metadata", metadata)).await?.expect(201, "an upload in pieces")?;
        let upload = created.header("location").to_owned();
        Ok(Self { site, client, token, reader, small, asset, of_other, upload })
    }

    /// An asset that every node describes: what is asked for where the state is to be read.
    pub(crate) fn describe(&self, node: &Node) -> RequestBuilder {
        self.to(node, Method::GET, &self.asset_path())
    }

    /// The request that one node answers with a success.
    pub(crate) async fn succeeds(&self, status: u16, node: &Node) -> Result<RequestBuilder> {
        let address = format!("/assets/{KEPT}");
        Ok(match status {
            200 => self.to(node, Method::GET, "/api/v2/assets"),
            201 => self.to(node, Method::POST, "/api/v2/assets/upload").multipart(form(&format!("new/{}", node.name()))),
            204 => {
                let gone = self.site.upload(&self.token, &format!("gone/{}", node.name()), 10).await?.expect(201, "an upload")?;
                self.to(node, Method::DELETE, &format!("/api/v2/assets/{}", gone.text("id")))
            }
            206 => self.to(node, Method::GET, &address).header("Range", "bytes=0-9"),
            304 => {
                let shown = self.site.send(self.describe(node)).await?.expect(200, "the asset")?;
                self.describe(node).header("If-None-Match", shown.header("etag"))
            }
            _ => anyhow::bail!("no way to be answered with {status}"),
        })
    }

    /// The request that one node refuses with this code.
    pub(crate) fn refused(&self, code: &str, node: &Node) -> Result<RequestBuilder> {
        let (asset, uploads) = (self.asset_path(), "/api/v2/uploads");
        let to = |method: Method, path: &str| self.to(node, method, path);
        let bare = |method: Method, path: &str| self.site.bare(node, method, path);
        let purge = |token: &str| self.site.to(node, Method::POST, "/api/v2/cache/purge", token);
        let upload = |token: &str| self.site.to(node, Method::POST, "/api/v2/assets/upload", token);
        let move_to = |path: &str| self.to(node, Method::POST, &format!("{asset}/move")).json(&json!({ "path": path }));
        let append = |offset: u64| self.tus(node, Method::PATCH, &self.upload).header("Upload-Offset", offset);
        Ok(match code {
            "invalid_body" => upload(&self.token).multipart(Form::new().text("path", "without/file")),
            "invalid_field" => move_to("../up"),
            "invalid_query" => to(Method::GET, "/api/v2/assets?limit=0"),
            "invalid_cursor" => to(Method::GET, "/api/v2/assets?cursor=x"),
            "invalid_header" => bare(Method::GET, "/api/v2/assets").bearer_auth(&self.token).header("X-NCore-Revision", "newest"),
            "token_malformed" => to(Method::GET, "/api/v2/assets?access_token=x"),
            "token_missing" => bare(Method::GET, "/api/v2/assets"),
            "token_invalid" => bare(Method::GET, "/api/v2/assets").bearer_auth("eyJ0eXAi"),
            "signed_url_invalid" => bare(Method::GET, &format!("/{HIDDEN}?nc_client=x&nc_expires=1&nc_signature=x")),
            "scope_missing" => purge(&self.reader).json(&json!({ "pattern": "*" })),
            "asset_of_other_client" => to(Method::DELETE, &format!("/api/v2/assets/{}", self.of_other)),
            "administrator_required" => to(Method::GET, "/api/v2/admin/clients"),
            "storage_quota_exceeded" => upload(&self.small).multipart(form(&format!("small/{}", node.name()))),
            "asset_not_found" => to(Method::DELETE, "/api/v2/assets/as_none"),
            "endpoint_not_found" => bare(Method::GET, "/api/v2/nothing"),
            "upload_not_found" => self.tus(node, Method::DELETE, &format!("{uploads}/up_none")),
            "method_not_allowed" => to(Method::PUT, "/api/v2/assets"),
            "path_taken" => move_to(HIDDEN),
            "visibility_fixed" => upload(&self.token).multipart(form(HIDDEN).text("visibility", "public")),
            "upload_offset" => append(5).header("Content-Type", PIECE).body("56789"),
            "precondition_failed" => upload(&self.token).multipart(form(KEPT)).header("If-None-Match", "*"),
            "tus_version" => to(Method::PATCH, &self.upload).header("Upload-Offset", 0).header("Content-Type", PIECE).body("01234"),
            "upload_too_large" => announced(upload(&self.token)),
            "upload_length" => append(0).header("Content-Type", PIECE).body("more than ten bytes"),
            "body_too_large" => purge(&self.token).json(&json!({ "pattern": "x".repeat(65 << 10) })),
            "unsupported_media_type" => purge(&self.token).header("Content-Type", "text/plain").body("*"),
            "range_not_satisfiable" => to(Method::GET, &format!("/assets/{KEPT}")).header("Range", "bytes=100-"),
            "idempotency_key_reused" => {
                let body: Value = json!({ "pattern": format!("{}/*", node.name()) });
                purge(&self.token).header("Idempotency-Key", "statuses").json(&body)
            }
            "checksum_mismatch" => {
                let wrong = format!("sha1 {}", STANDARD.encode([0; 20]));
                append(0).header("Content-Type", PIECE).header("Upload-Checksum", wrong).body("01234")
            }
            "revision_unknown" => bare(Method::GET, "/api/v2/assets").bearer_auth(&self.token).header("X-NCore-Revision", self.in_future()),
            "fenced" => bare(Method::GET, "/api/v2/assets").bearer_auth(&self.token),
            "disk_full" => upload(&self.token).multipart(form(&format!("full/{}", node.name()))),
            _ => anyhow::bail!("no way to be refused with {code}"),
        })
    }

    /// The request that the token endpoint refuses with this error.
    pub(crate) fn no_token(&self, error: &str, node: &Node) -> Result<RequestBuilder> {
        let Registered { client_id, secret, .. } = &self.client;
        let ask = self.site.bare(node, Method::POST, "/api/v2/auth/token");
        Ok(match error {
            "invalid_request" => ask.json(&json!({ "client_id": client_id })),
            "invalid_scope" => ask.json(&json!({ "client_id": client_id, "secret": secret, "scope": "everything" })),
            "unsupported_grant_type" => ask.basic_auth(client_id, Some(secret)).form(&[("grant_type", "password")]),
            "invalid_grant" => {
                ask.basic_auth(client_id, Some(secret)).form(&[("grant_type", "refresh_token"), ("refresh_token", "ncr_guess")])
            }
            "invalid_client" => ask.basic_auth(client_id, Some("ncs_guess")).form(&[("grant_type", "client_credentials")]),
            _ => anyhow::bail!("no way to be refused with {error}"),
        })
    }

    /// Uses the key with which each node is then asked for something else.
    pub(crate) async fn use_key(&self) -> Result<()> {
        let purge = self.site.ask(Method::POST, "/api/v2/cache/purge", &self.token).header("Idempotency-Key", "statuses");
        self.site.send(purge.json(&json!({ "pattern": "first/*" }))).await?.expect(200, "a purge")?;
        Ok(())
    }

    /// Writes at the next node: what is asked for afterwards presents the revision of it.
    pub(crate) async fn write(&self) -> Result<Answer> {
        let purge = self.site.ask(Method::POST, "/api/v2/cache/purge", &self.token);
        self.site.send(purge.json(&json!({ "pattern": "written/*" }))).await?.expect(200, "a purge")
    }

    /// What anybody may read of this client, and whether each node has it.
    pub(crate) fn read(&self, node: &Node) -> RequestBuilder {
        self.site.bare(node, Method::GET, &format!("/assets/{KEPT}"))
    }

    fn asset_path(&self) -> String {
        format!("/api/v2/assets/{}", self.asset)
    }

    fn to(&self, node: &Node, method: Method, path: &str) -> RequestBuilder {
        self.site.to(node, method, path, &self.token)
    }

    fn tus(&self, node: &Node, method: Method, path: &str) -> RequestBuilder {
        self.to(node, method, path).header("Tus-Resumable", "1.0.0")
    }

    /// A revision that the cluster does not reach in this test.
    fn in_future(&self) -> String {
        let now = self.site.revision();
        let lineage = now.split('.').next().unwrap_or_default();
        format!("{lineage}.{}", index(&now) + 1_000_000)
    }
}

/// The answer to a request that has this id, and the path that it went to.
pub(crate) async fn send(site: &Site, request: RequestBuilder, id: &str) -> Result<(Answer, String)> {
    let (client, request) = request.header("X-Request-Id", id).build_split();
    let request = request.context("a request")?;
    let path = request.url().path().to_owned();
    Ok((site.send(RequestBuilder::from_parts(client, request)).await?, path))
}

fn form(path: &str) -> Form {
    Form::new().text("path", path.to_owned()).part("file", Part::bytes(b"ten bytes!".as_slice()).file_name("file"))
}

/// An upload of which nothing comes but how long it is.
fn announced(request: RequestBuilder) -> RequestBuilder {
    let nothing = stream::pending::<io::Result<Bytes>>();
    let request = request.header("Content-Type", "multipart/form-data; boundary=b").header("Content-Length", TOO_LONG);
    request.body(Body::wrap_stream(nothing))
}
