//! What a client writes of a zone: each field by itself, so that all that is wrong is said at once.

use axum::body::Body;
use http::HeaderMap;
use ncore_domain::{NewZone, ZoneChange};
use ncore_model::{ClientId, UpdateZone, ZoneBypass, ZoneId, ZoneOrigin, ZoneSettings, ZoneSettingsPatch};
use serde_json::{Map, Value};

use crate::{
    problem::{Kind, Problem},
    v1::refusal::{Invalid, Refusal},
    v2::json,
};

/// What clients of this version may switch on elsewhere, and not here yet.
const NOT_YET: [&str; 7] =
    ["hotlink_protection", "image_optimization", "minify_css", "minify_js", "scripts_enabled", "waf_enabled", "waiting_room_enabled"];

/// What was written of a zone. What is `None` was not.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Wanted {
    name: Option<String>,
    origins: Option<Vec<ZoneOrigin>>,
    host_header: Option<Option<String>>,
    domains: Option<Vec<String>>,
    settings: ZoneSettingsPatch,
    shield_region: Option<Option<String>>,
}

/// Reads a body that is a JSON object.
pub(super) async fn object(headers: &HeaderMap, body: Body) -> Result<Map<String, Value>, Refusal> {
    if !json::is_json(headers) {
        return Err(Problem::new(Kind::UnsupportedMediaType, "the body must be application/json").into());
    }
    let bytes = json::read(body).await?;
    let parsed = serde_json::from_slice::<Map<String, Value>>(&bytes);
    parsed.map_err(|error| Problem::new(Kind::InvalidBody, format!("the body is no JSON object: {error}")).into())
}

impl Wanted {
    /// Reads it from a body.
    pub(super) async fn read(headers: &HeaderMap, body: Body) -> Result<Self, Refusal> {
        Ok(Self::parse(&object(headers, body).await?)?)
    }

    fn parse(written: &Map<String, Value>) -> Result<Self, Invalid> {
        let mut fields = Fields { written, invalid: Invalid::default() };
        let settings = ZoneSettingsPatch {
            cache_ttl_s: fields.seconds("cache_ttl"),
            cache_query_strings: fields.switch("cache_query_strings"),
            bypass: fields.bypass(),
            negative_ttl_s: fields.seconds("negative_ttl"),
            stale_on_error_s: fields.seconds("stale_on_error"),
            stale_while_revalidate_s: fields.seconds("stale_while_revalidate"),
            fence: fields
                .text("fence_policy")
                .and_then(|policy| policy.parse().map_err(|()| fields.wrong("fence_policy", "must be revalidate, serve or refuse")).ok()),
            tiers: fields.switch("tiers"),
            cache_set_cookie: fields.switch("cache_set_cookie"),
            cache_authorization: fields.switch("cache_authorization"),
            cors: fields.switch("cors_enabled"),
        };
        let wanted = Self {
            name: fields.text("name"),
            origins: fields.origins(),
            host_header: fields.text_or_null("origin_host_header"),
            domains: fields.domains(),
            settings,
            shield_region: fields.text_or_null("shield_region"),
        };
        if fields.text("zone_type").is_some_and(|kind| kind != "cdn") {
            fields.wrong("zone_type", "must be cdn: there is no other type yet");
        }
        for switch in NOT_YET {
            if fields.switch(switch) == Some(true) {
                fields.wrong(switch, "is not available yet");
            }
        }
        fields.invalid.none()?;
        Ok(wanted)
    }

    /// A new zone.
    pub(super) fn zone(self) -> Result<NewZone, Invalid> {
        let Self { name, origins, host_header, domains, settings, shield_region } = self;
        let origins = origins.ok_or_else(|| Invalid::one("origin_url", "The origin url field is required."))?;
        let name = name.unwrap_or_else(|| host_of(&origins[0].url).to_owned());
        Ok(NewZone {
            name,
            origins,
            host_header: host_header.flatten(),
            domains: domains.unwrap_or_default(),
            settings: ZoneSettings::default().patched(&settings),
            shield_region: shield_region.flatten(),
        })
    }

    /// A change of a zone.
    pub(super) fn change(self, client: ClientId, zone: ZoneId) -> ZoneChange {
        let Self { name, origins, host_header, domains, settings, shield_region } = self;
        let update = UpdateZone { name, origins, host_header, domains, settings, ..UpdateZone::nothing(client, zone) };
        ZoneChange { update, shield_region }
    }
}

/// The host in the URL of an origin: what a zone is called that nobody gave a name.
fn host_of(url: &str) -> &str {
    let rest = url.split_once("://").map_or(url, |(_, rest)| rest);
    rest.split('/').next().unwrap_or(rest)
}

/// Fields that are read one by one, and what is wrong with them.
struct Fields<'a> {
    written: &'a Map<String, Value>,
    invalid: Invalid,
}

impl Fields<'_> {
    fn wrong(&mut self, field: &str, rule: &str) {
        let name = field.replace('_', " ");
        self.invalid.add(field, format!("The {name} {rule}."));
    }

    fn text(&mut self, field: &str) -> Option<String> {
        match self.written.get(field)? {
            Value::String(text) => Some(text.clone()),
            _ => {
                self.wrong(field, "must be a string");
                None
            }
        }
    }

    /// A text, or `null` for none.
    fn text_or_null(&mut self, field: &str) -> Option<Option<String>> {
        match self.written.get(field)? {
            Value::Null => Some(None),
            _ => self.text(field).map(Some),
        }
    }

    fn switch(&mut self, field: &str) -> Option<bool> {
        match self.written.get(field)? {
            Value::Bool(switch) => Some(*switch),
            _ => {
                self.wrong(field, "field must be true or false");
                None
            }
        }
    }

    /// Seconds, or `null` for none.
    fn seconds(&mut self, field: &str) -> Option<Option<u32>> {
        match self.written.get(field)? {
            Value::Null => Some(None),
            value => match value.as_u64().and_then(|seconds| u32::try_from(seconds).ok()) {
                Some(seconds) => Some(Some(seconds)),
                None => {
                    self.wrong(field, "must be a whole number of seconds, or null");
                    None
                }
            },
        }
    }

    /// `origin_url` for one origin, or `origins` for several.
    fn origins(&mut self) -> Option<Vec<ZoneOrigin>> {
        let (origins, field) = match (self.written.get("origin_url"), self.written.get("origins")) {
            (None, None) => return None,
            (Some(_), Some(_)) => {
                self.wrong("origins", "and the origin url exclude each other");
                return None;
            }
            (Some(Value::String(url)), None) => (Some(vec![ZoneOrigin::new(url)]), "origin_url"),
            (Some(_), None) => (None, "origin_url"),
            (None, Some(list)) => (list.as_array().and_then(|list| list.iter().map(origin).collect()), "origins"),
        };
        let valid = origins.filter(|origins: &Vec<ZoneOrigin>| !origins.is_empty() && origins.iter().all(ZoneOrigin::is_valid));
        if valid.is_none() {
            self.wrong(field, "must be a valid URL, http or https, without user, query or fragment; weights are 1 to 1000");
        }
        valid
    }

    /// Names, or objects with a `domain` as they are shown.
    fn domains(&mut self) -> Option<Vec<String>> {
        let name = |value: &Value| value.as_str().or_else(|| value.get("domain")?.as_str()).map(str::to_ascii_lowercase);
        let domains = match self.written.get("custom_domains")? {
            Value::Array(domains) => domains.iter().map(name).collect::<Option<Vec<_>>>(),
            _ => None,
        };
        if domains.is_none() {
            self.wrong("custom_domains", "must be a list of host names");
        }
        domains
    }

    fn bypass(&mut self) -> Option<ZoneBypass> {
        let texts = |value: Option<&Value>| match value {
            None => Some(Vec::new()),
            Some(value) => value.as_array()?.iter().map(|text| text.as_str().map(str::to_owned)).collect(),
        };
        let read = |bypass: &Value| {
            let bypass = bypass.as_object()?;
            let everything = bypass.get("everything").map_or(Some(false), Value::as_bool)?;
            Some(ZoneBypass { everything, prefixes: texts(bypass.get("paths"))?, cookies: texts(bypass.get("cookies"))? })
        };
        let bypass = read(self.written.get("bypass")?);
        if bypass.is_none() {
            self.wrong("bypass", "must be an object of everything, paths and cookies");
        }
        bypass
    }
}

fn origin(value: &Value) -> Option<ZoneOrigin> {
    let origin = value.as_object()?;
    let weight = origin.get("weight").map_or(Some(1), Value::as_u64)?;
    Some(ZoneOrigin {
        url: origin.get("url")?.as_str()?.to_owned(),
        weight: u16::try_from(weight).ok()?,
        backup: origin.get("backup").map_or(Some(false), Value::as_bool)?,
    })
}

#[cfg(test)]
mod tests {
    use ncore_model::ZoneFence;
    use serde_json::{Value, json};

    use super::Wanted;

    fn parse(written: &Value) -> Option<Wanted> {
        Wanted::parse(written.as_object().expect("an object")).ok()
    }

    #[test]
    fn what_is_left_out_stays() {
        assert_eq!(parse(&json!({ "unknown": 1 })), Some(Wanted::default()));
        let wanted = parse(&json!({
            "cache_ttl": null, "origin_host_header": null, "fence_policy": "serve", "waf_enabled": false, "shield_region": null,
        }));
        let wanted = wanted.expect("is valid");
        assert_eq!(wanted.shield_region, Some(None));
        assert_eq!(
            (wanted.settings.cache_ttl_s, wanted.host_header, wanted.settings.fence),
            (Some(None), Some(None), Some(ZoneFence::Serve))
        );
    }

    #[test]
    fn a_new_zone_needs_an_origin_alone() {
        let zone = parse(&json!({ "origin_url": "https://a.test:8443/x" })).and_then(|wanted| wanted.zone().ok()).expect("a zone");
        assert_eq!((zone.name.as_str(), zone.origins.len(), zone.settings.cache_ttl_s), ("a.test:8443", 1, None));
        assert!(Wanted::default().zone().is_err());
    }

    #[test]
    fn what_is_refused() {
        for bad in [
            json!({ "origin_url": "a.test" }),
            json!({ "origin_url": 1 }),
            json!({ "origins": [] }),
            json!({ "origins": [{ "url": "https://a.test", "weight": 0 }] }),
            json!({ "origins": [{ "url": "https://a.test" }], "origin_url": "https://a.test" }),
            json!({ "name": 1 }),
            json!({ "cache_ttl": -1 }),
            json!({ "cache_ttl": "60" }),
            json!({ "cache_query_strings": 1 }),
            json!({ "fence_policy": "trust" }),
            json!({ "shield_region": 1 }),
            json!({ "zone_type": "accelerator" }),
            json!({ "waf_enabled": true }),
            json!({ "custom_domains": "a.test" }),
            json!({ "bypass": { "paths": "/" } }),
        ] {
            assert_eq!(parse(&bad), None, "{bad}");
        }
    }
}
