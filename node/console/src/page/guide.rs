//! How the API is used, by example: what clients were written against, word for word, with this node's own address in it.

use maud::{Markup, html};

use super::scrolling;

/// The operations that clients begin with, in their order.
pub(super) const FIRST: [&str; 8] =
    ["status", "listAssets", "uploadAsset", "deleteAsset", "purgeCache", "showMetrics", "listLogs", "followLogs"];

/// The token, the first thing that a client needs.
pub(super) fn token(url: &str) -> Markup {
    let usage = format!("curl -H \"Authorization: Bearer $TOKEN\" \\\n  \"{url}/api/v2/assets?prefix=video-bg/\"");
    let first = format!(
        "TOKEN=$(curl -s {url}/api/v2/auth/token \\\n  -d client_id=your-client-id -d secret=your-client-secret \\\n  | sed \
         's/.*\"access_token\":\"\\([^\"]*\\)\".*/\\1/')\ncurl -H \"Authorization: Bearer $TOKEN\" \\\n  -F file=@my-asset.webm -F \
         path=video-bg/my-asset.webm \\\n  \"{url}/api/v2/assets/upload\""
    );
    html! {
        div.guide {
            div.step {
                h3 id="token-heading" { "Obtaining a token" }
                p { "Contact your account manager to obtain " code { "client_id" } " and " code { "client_secret" } "." }
                (block("Request for a token", TOKEN_REQUEST))
                (block("Response with a token", TOKEN_RESPONSE))
            }
            div.step {
                h3 id="usage-heading" { "Token usage" }
                p {
                    "Tokens expire after 24h. Refresh tokens are issued on registration. IP binding is enforced per token: it is bound to client \
                     domain and IP range."
                }
                (block("Header with the token", "Authorization: Bearer eyJ0eXAi..."))
                p { "With the token at hand, from any shell:" }
                (block("Command to list assets", &usage))
                p { "From nothing but the credentials, with an upload:" }
                (block("Commands for a token and an upload", &first))
            }
        }
    }
}

/// The example of an operation, if it is one of those that have one.
pub(super) fn example(operation: &str, url: &str, node: &str, software: &str) -> Option<Markup> {
    let (label, text) = match operation {
        "status" => {
            let body =
                format!("  \"node\": \"{node}\",\n  \"status\": \"operational\",\n  \"version\": \"{software}\",\n  \"ts\": 1748293841");
            ("Returns: application/json. No auth required.", format!("// Response 200\n{{\n{body}\n}}"))
        }
        "listAssets" => (
            "Query: ?prefix= ?mime= ?limit= ?cursor=",
            format!("// curl example\ncurl -H \"Authorization: Bearer $TOKEN\" \\\n  \"{url}/api/v2/assets?prefix=video-bg/\""),
        ),
        "uploadAsset" => (
            "Body: multipart/form-data. Field: file; optional: path, cache_ttl",
            format!(
                "// curl example\ncurl -H \"Authorization: Bearer $TOKEN\" \\\n  -F file=@my-asset.webm -F path=video-bg/my-asset.webm \\\n  \
                 \"{url}/api/v2/assets/upload\"\n\n// Response 201\n{{\n  \"id\": \"as_2f9k1a...\",\n  \"path\": \"video-bg/my-asset.webm\",\n  \
                 \"url\": \"{url}/assets/video-bg/my-asset.webm\",\n  \"size\": 50436218,\n  \"mime\": \"video/webm\"\n}}"
            ),
        ),
        "deleteAsset" => (
            "Path param: {id}, the asset's ID",
            "// Response 204 No Content on success\n// Response 403 if asset belongs to different client".to_owned(),
        ),
        "purgeCache" => (
            "Body: application/json, { \"pattern\": \"glob\" }",
            "{\n  \"pattern\": \"images/hero/*\"\n}\n// Response 200 { \"purged\": 14 }".to_owned(),
        ),
        "showMetrics" => (
            "Query: ?from= (unix ts) ?to= (unix ts) ?granularity=hour|day",
            format!("// curl example\ncurl -H \"Authorization: Bearer $TOKEN\" \\\n  \"{url}/api/v2/metrics?granularity=day\""),
        ),
        "listLogs" => (
            "Query: ?from= ?to= (unix ts) ?status=404|4xx ?prefix= ?limit= ?cursor=",
            format!("// curl example\ncurl -H \"Authorization: Bearer $TOKEN\" \\\n  \"{url}/api/v2/logs?status=4xx&limit=20\""),
        ),
        "followLogs" => (
            "Query: ?status=404|4xx ?prefix=",
            format!("// curl example\ncurl -N -H \"Authorization: Bearer $TOKEN\" \\\n  \"{url}/api/v2/logs/stream\""),
        ),
        _ => return None,
    };
    Some(html! {
        div.example {
            p.takes { (label) }
            (block(&format!("Example of {operation}"), &text))
        }
    })
}

/// What a status means.
pub(super) fn statuses() -> Markup {
    html! {
        table {
            caption { "Status codes" }
            thead { tr { th scope="col" { "Code" } th scope="col" { "Description" } th scope="col" { "Notes" } } }
            tbody {
                @for (code, description, notes) in STATUSES {
                    tr { th scope="row" data-class=(&code[..1]) { (code) } td.said { (description) } td.prose { (notes) } }
                }
            }
        }
    }
}

/// A text to copy, which scrolls within itself, by keyboard too.
fn block(label: &str, text: &str) -> Markup {
    scrolling(label, &html! { pre { code { (text) } } })
}

const TOKEN_REQUEST: &str = r#"# POST /api/v2/auth/token
# Content-Type: application/json
{
  "client_id": "your-client-id",
  "secret": "your-client-secret",
  "scope": "assets:read assets:write cache:purge"
}"#;

const TOKEN_RESPONSE: &str = r#"# Response 200
{
  "access_token": "eyJ0eXAi...",
  "token_type": "Bearer",
  "expires_in": 86400,
  "scope": "assets:read assets:write cache:purge"
}"#;

const STATUSES: [(&str, &str, &str); 10] = [
    ("200", "OK", "—"),
    ("201", "Created", "Asset uploaded successfully"),
    ("204", "No Content", "Delete successful"),
    ("400", "Bad Request", "Malformed request body or missing params"),
    ("401", "Unauthorized", "Missing or invalid token"),
    ("403", "Forbidden", "Token valid but lacks required scope"),
    ("404", "Not Found", "Asset or endpoint does not exist"),
    ("413", "Payload Too Large", "Upload exceeds 500 MB per file limit"),
    ("429", "Too Many Requests", "Rate limit: 1 000 req/min per token"),
    ("500", "Internal Server Error", "Contact support with request ID"),
];
