//! The keys of the configuration file that matter here.

use anyhow::{Context as _, Result};
use std::collections::BTreeMap;
use std::fs;
use std::path::PathBuf;

pub(crate) struct Config {
    pub(crate) name: String,
    pub(crate) region: String,
    pub(crate) data_dir: PathBuf,
    pub(crate) http: String,
    pub(crate) cluster: String,
    dial: BTreeMap<String, String>,
}

impl Config {
    /// Reads the file as the harness writes it: sections, and keys whose values have the syntax of JSON.
    pub(crate) fn read(path: &str) -> Result<Self> {
        let text = fs::read_to_string(path).with_context(|| format!("read {path}"))?;
        let mut section = String::new();
        let mut keys = BTreeMap::new();
        for line in text.lines() {
            if let Some(name) = line.strip_prefix('[') {
                section = name.trim_end_matches(']').to_owned();
            } else if let Some((key, value)) = line.split_once(" = ") {
                let key: String = serde_json::from_str(key)?;
                let value: serde_json::Value = serde_json::from_str(value)?;
                keys.insert((section.clone(), key), value.as_str().unwrap_or_default().to_owned());
            }
        }
        let dial = keys.iter().filter(|((section, _), _)| section == "dial").map(|((_, from), to)| (from.clone(), to.clone())).collect();
        let mut take = |section: &str, key: &str| {
            keys.remove(&(section.to_owned(), key.to_owned())).with_context(|| format!("{section}.{key} is missing"))
        };
        Ok(Self {
            name: take("node", "name")?,
            region: take("node", "region")?,
            data_dir: take("node", "data_dir")?.into(),
            http: take("listen", "http")?,
            cluster: take("listen", "cluster")?,
            dial,
        })
    }

    /// Where to dial for an advertised address.
    pub(crate) fn dialled<'a>(&'a self, advertised: &'a str) -> &'a str {
        self.dial.get(advertised).map_or(advertised, String::as_str)
    }

    /// The file that all nodes share: beside their directories.
    pub(crate) fn truth(&self) -> PathBuf {
        self.data_dir.ancestors().nth(2).unwrap_or(&self.data_dir).join("truth.json")
    }

    /// This node's id, if it is a member.
    pub(crate) fn id(&self) -> Option<u64> {
        fs::read_to_string(self.data_dir.join("id")).ok()?.parse().ok()
    }

    pub(crate) fn remember_id(&self, id: u64) -> Result<()> {
        fs::create_dir_all(&self.data_dir)?;
        Ok(fs::write(self.data_dir.join("id"), id.to_string())?)
    }
}
