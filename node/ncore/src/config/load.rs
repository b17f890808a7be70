//! Reading the settings: file, then environment, then flags.

use std::{
    fs, io,
    path::{Path, PathBuf},
    time::Duration,
};

use jiff::SignedDuration;
use serde::{Deserialize, Deserializer, de::Error};
use toml::{Table, Value};

use super::{Config, unsigned};

/// The sections whose keys an environment variable can set.
const SECTIONS: [&str; 11] =
    ["node", "listen", "advertise", "cluster", "storage", "cache", "origins", "transfer", "limits", "rates", "log"];

/// What overrides the file.
#[derive(Debug, Clone, Default)]
pub(crate) struct Overrides {
    /// `NCORE_…` variables: name and value.
    pub(crate) environment: Vec<(String, String)>,
    /// `section.key=value`, as given to `--set`.
    pub(crate) flags: Vec<String>,
}

impl Overrides {
    /// Those of this process.
    #[must_use]
    pub(crate) fn of_process(flags: &[String]) -> Self {
        let environment = std::env::vars().filter(|(name, _)| name.starts_with("NCORE_")).collect();
        Self { environment, flags: flags.to_vec() }
    }
}

/// What is wrong with the settings, and where.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ConfigError {
    /// The file cannot be read.
    #[error("cannot read the configuration {}", path.display())]
    Read {
        /// Which file.
        path: PathBuf,
        /// What the system said.
        #[source]
        source: io::Error,
    },
    /// The file is not TOML, or has a key or value that is not one of ours.
    #[error("{}: {message}", path.display())]
    File {
        /// Which file.
        path: PathBuf,
        /// What and where.
        message: String,
    },
    /// An override is not `section.key=value`.
    #[error("{origin}: expected section.key=value")]
    Form {
        /// Where it comes from.
        origin: String,
    },
    /// The settings are wrong once the overrides are in place.
    #[error("{origin}: {message}")]
    Override {
        /// Which override was in place last.
        origin: String,
        /// What is wrong.
        message: String,
    },
    /// Two settings contradict each other.
    #[error("{}: {rule}", path.display())]
    Rule {
        /// The file.
        path: PathBuf,
        /// What must hold.
        rule: &'static str,
    },
}

/// Reads the settings of a node.
///
/// # Errors
/// [`ConfigError`].
pub(crate) fn load(path: &Path, overrides: &Overrides) -> Result<Config, ConfigError> {
    let text = fs::read_to_string(path).map_err(|source| ConfigError::Read { path: path.to_owned(), source })?;
    let at_file = |error: toml::de::Error| ConfigError::File { path: path.to_owned(), message: error.to_string().trim_end().to_owned() };
    // Alone first, so that an error has its line.
    let mut config: Config = toml::from_str(&text).map_err(at_file)?;
    let mut table: Table = toml::from_str(&text).map_err(at_file)?;
    for (origin, section, key, value) in parsed(overrides)? {
        set(&mut table, &section, &key, &value);
        config = Config::deserialize(Value::Table(table.clone()))
            .map_err(|error| ConfigError::Override { origin, message: error.to_string().trim_end().to_owned() })?;
    }
    config.check().map_err(|rule| ConfigError::Rule { path: path.to_owned(), rule })?;
    Ok(config)
}

/// A duration as people write it.
pub(super) fn duration<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Duration, D::Error> {
    let duration = SignedDuration::deserialize(deserializer)?;
    unsigned(duration).ok_or_else(|| D::Error::custom("a duration cannot be negative"))
}

type Override = (String, String, String, String);

fn parsed(overrides: &Overrides) -> Result<Vec<Override>, ConfigError> {
    let mut all = Vec::new();
    for (name, value) in &overrides.environment {
        let Some(rest) = name.strip_prefix("NCORE_") else { continue };
        let rest = rest.to_ascii_lowercase();
        // Other variables of ours, such as NCORE_URL, have no section and are not settings of a node.
        if let Some((section, key)) = rest.split_once('_').filter(|(section, _)| SECTIONS.contains(section)) {
            all.push((name.clone(), section.to_owned(), key.to_owned(), value.clone()));
        }
    }
    for flag in &overrides.flags {
        let form = || ConfigError::Form { origin: format!("--set {flag}") };
        let (name, value) = flag.split_once('=').ok_or_else(form)?;
        let (section, key) = name.split_once('.').ok_or_else(form)?;
        all.push((format!("--set {flag}"), section.to_owned(), key.to_owned(), value.to_owned()));
    }
    Ok(all)
}

fn set(table: &mut Table, section: &str, key: &str, value: &str) {
    let entry = table.entry(section).or_insert_with(|| Value::Table(Table::new()));
    if let Value::Table(section) = entry {
        section.insert(key.to_owned(), typed(value));
    }
}

/// Numbers and booleans as such, the rest as text.
fn typed(value: &str) -> Value {
    if let Ok(number) = value.parse::<i64>() {
        return Value::Integer(number);
    }
    value.parse::<bool>().map_or_else(|_| Value::String(value.to_owned()), Value::Boolean)
}

#[cfg(test)]
mod tests {
    use super::{Config, ConfigError, Overrides, load};
    use std::{io::Write, time::Duration};

    const MINIMAL: &str = "[node]\nname = \"a\"\nregion = \"eu-ams\"\ndata_dir = \"/tmp/a\"\n";

    fn loaded(text: &str, environment: &[(&str, &str)], flags: &[&str]) -> Result<Config, ConfigError> {
        let mut file = tempfile::NamedTempFile::new().expect("a file");
        file.write_all(text.as_bytes()).expect("written");
        let overrides = Overrides {
            environment: environment.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect(),
            flags: flags.iter().map(|flag| (*flag).to_owned()).collect(),
        };
        load(file.path(), &overrides)
    }

    #[test]
    fn an_unknown_key_is_an_error_with_its_line() {
        let error = loaded(&format!("{MINIMAL}regoin = \"x\"\n"), &[], &[]).expect_err("refused").to_string();
        assert!(error.contains("line 5") && error.contains("regoin"), "{error}");
    }

    #[test]
    fn environment_overrides_the_file_and_flags_override_both() {
        let text = format!("{MINIMAL}[cluster]\nheartbeat = \"50ms\"\n");
        let environment = [("NCORE_CLUSTER_HEARTBEAT", "60ms"), ("NCORE_STORAGE_MEMORY", "64MiB"), ("NCORE_URL", "http://x")];
        let config = loaded(&text, &environment, &["cluster.heartbeat=70ms"]).expect("loads");
        assert_eq!(config.cluster.heartbeat, Duration::from_millis(70));
        assert_eq!(config.storage.memory.as_u64(), 64 << 20);
    }

    #[test]
    fn wrong_overrides_name_themselves() {
        let error = loaded(MINIMAL, &[("NCORE_CLUSTER_HEARTBAET", "1s")], &[]).expect_err("refused").to_string();
        assert!(error.contains("NCORE_CLUSTER_HEARTBAET"), "{error}");
        let error = loaded(MINIMAL, &[], &["cluster.heartbeat"]).expect_err("refused").to_string();
        assert!(error.contains("section.key=value"), "{error}");
    }

    #[test]
    fn settings_must_fit_each_other() {
        let error = loaded(MINIMAL, &[], &["cluster.heartbeat=10s"]).expect_err("refused").to_string();
        assert!(error.contains("election_min"), "{error}");
        let error = loaded(MINIMAL, &[], &["listen.https=127.0.0.1:1"]).expect_err("refused").to_string();
        assert!(error.contains("tls_cert"), "{error}");
        for (setting, key) in [("voters=2", "voters"), ("dead_after=4s", "dead_after"), ("leader_settle=1s", "leader_settle")] {
            let error = loaded(MINIMAL, &[], &[&format!("cluster.{setting}")]).expect_err("refused").to_string();
            assert!(error.contains(&format!("cluster.{key} must")), "{error}");
        }
        let error = loaded(MINIMAL, &[], &["transfer.checkpoint_rate=1000"]).expect_err("refused").to_string();
        assert!(error.contains("checkpoint_rate"), "{error}");
    }

    #[test]
    fn the_example_shows_the_defaults() {
        let example = concat!(env!("CARGO_MANIFEST_DIR"), "/../../deploy/ncore.example.toml");
        let shown = load(example.as_ref(), &Overrides::default()).expect("the example loads");
        let mut defaults = loaded(MINIMAL, &[], &[]).expect("loads");
        defaults.node = shown.node.clone();
        assert_eq!(format!("{shown:?}"), format!("{defaults:?}"));
    }
}
