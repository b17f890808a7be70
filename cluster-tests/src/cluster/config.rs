//! The configuration file of one node.
//!
//! Only what differs from the product's defaults is written, so a test runs with the timings that users run with
//! unless it says otherwise.

use std::collections::BTreeMap;
use std::fmt::{self, Write as _};
use std::path::Path;

/// Sections and keys of a TOML file, in order of their names.
#[derive(Debug, Clone, Default)]
pub struct Config {
    sections: BTreeMap<String, BTreeMap<String, Value>>,
}

/// A value in a configuration file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Value {
    /// A string, durations and sizes included.
    Text(String),
    /// A whole number.
    Number(u64),
    /// A switch.
    Flag(bool),
    /// A list of strings.
    Texts(Vec<String>),
}

impl Config {
    /// Sets `key` in `section`, replacing what was there.
    pub fn set(&mut self, section: &str, key: &str, value: impl Into<Value>) -> &mut Self {
        self.sections.entry(section.to_owned()).or_default().insert(key.to_owned(), value.into());
        self
    }

    /// Leaves `key` in `section` at the product's default.
    pub fn unset(&mut self, section: &str, key: &str) -> &mut Self {
        if let Some(entries) = self.sections.get_mut(section) {
            entries.remove(key);
        }
        self
    }

    /// Whether anything is set in `section`.
    #[must_use]
    pub fn has(&self, section: &str) -> bool {
        self.sections.get(section).is_some_and(|entries| !entries.is_empty())
    }

    /// The file.
    #[must_use]
    pub fn to_toml(&self) -> String {
        let mut text = String::new();
        for (section, entries) in &self.sections {
            // Writing to a String cannot fail.
            let _ = writeln!(text, "[{section}]");
            for (key, value) in entries {
                let _ = writeln!(text, "{} = {value}", quoted(key));
            }
        }
        text
    }
}

impl fmt::Display for Value {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Text(text) => f.write_str(&quoted(text)),
            Self::Number(number) => write!(f, "{number}"),
            Self::Flag(flag) => write!(f, "{flag}"),
            Self::Texts(texts) => write!(f, "[{}]", texts.iter().map(|text| quoted(text)).collect::<Vec<_>>().join(", ")),
        }
    }
}

impl From<&str> for Value {
    fn from(text: &str) -> Self {
        Self::Text(text.to_owned())
    }
}

impl From<&[&str]> for Value {
    fn from(texts: &[&str]) -> Self {
        Self::Texts(texts.iter().map(|&text| text.to_owned()).collect())
    }
}

impl From<String> for Value {
    fn from(text: String) -> Self {
        Self::Text(text)
    }
}

impl From<&Path> for Value {
    fn from(path: &Path) -> Self {
        Self::Text(path.display().to_string())
    }
}

impl From<u64> for Value {
    fn from(number: u64) -> Self {
        Self::Number(number)
    }
}

impl From<bool> for Value {
    fn from(flag: bool) -> Self {
        Self::Flag(flag)
    }
}

/// A basic string of TOML, whose escapes for what occurs here are those of JSON.
fn quoted(text: &str) -> String {
    serde_json::Value::from(text).to_string()
}

#[cfg(test)]
mod tests {
    use super::Config;

    #[test]
    fn writes_toml() {
        let mut config = Config::default();
        config.set("node", "name", "eu-ams-1").set("cluster", "write_copies", 2).set("cluster", "allow_single_copy", true);
        config.set("dial", "127.0.0.1:7400", "127.0.0.1:9").set("cluster", "write_copies", 3);
        let expected = "[cluster]\n\"allow_single_copy\" = true\n\"write_copies\" = 3\n\
                        [dial]\n\"127.0.0.1:7400\" = \"127.0.0.1:9\"\n[node]\n\"name\" = \"eu-ams-1\"\n";
        assert_eq!(config.to_toml(), expected);
        config.set("origins", "allow", &["127.0.0.0/8", "::1/128"][..]);
        let expected = format!("{expected}[origins]\n\"allow\" = [\"127.0.0.0/8\", \"::1/128\"]\n");
        config.unset("cluster", "allow_single_copy").unset("cluster", "never set").unset("no such", "section");
        assert_eq!(config.to_toml(), expected.replace("\"allow_single_copy\" = true\n", ""));
    }
}
