//! Certificates as files: which there are, and what became of each since the last look.
//!
//! ```text
//!   certificates/NAME.crt + NAME.key                        any pair of files
//!   certificates/HOST/fullchain.pem + privkey.pem           as certbot keeps them (then the directory is its `live`)
//!   certificates/HOST/NAME.crt + NAME.key                   as secrets are mounted (`tls.crt`)
//! ```
//!
//! Both layouts are looked for in the directory and in what is directly below it; names that begin with a dot are passed over.
//!
//! A pair is read when it has changed. One that cannot be used is refused with its reason, and what it was before stays: half a
//! pair is what a renewal looks like from outside. For the same reason a pair is only forgotten when two looks in turn find it gone.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs, io,
    os::unix::fs::MetadataExt,
    path::{Path, PathBuf},
    sync::Arc,
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use super::{Certificate, CertificateSet};
use crate::listener::tls::TlsError;

/// Where the certificates of a node are.
#[derive(Debug, Clone)]
pub struct CertificateFiles {
    /// The chain of the node's own certificate, PEM.
    pub chain: PathBuf,
    /// Its key, PEM.
    pub key: PathBuf,
    /// Where there are others.
    pub directory: Option<PathBuf>,
}

/// Why a pair of files is not used.
#[derive(Debug, thiserror::Error)]
pub enum CertificateError {
    /// A file cannot be read.
    #[error("cannot read {}", path.display())]
    Read {
        /// Which.
        path: PathBuf,
        /// What the system says.
        source: io::Error,
    },
    /// They cannot be used.
    #[error("{} cannot be used", chain.display())]
    Unusable {
        /// The file with the chain.
        chain: PathBuf,
        /// Why.
        source: TlsError,
    },
    /// Nobody would ever be shown it.
    #[error("{} names no host", chain.display())]
    Nameless {
        /// The file with the chain.
        chain: PathBuf,
    },
    /// There are more pairs than a node takes.
    #[error("more than {PAIRS_MAX} certificates in {}", directory.display())]
    TooMany {
        /// The directory.
        directory: PathBuf,
    },
}

/// What is known of the files.
#[derive(Debug)]
pub(super) struct Known {
    files: CertificateFiles,
    own: Pair,
    /// By the file with the chain.
    others: BTreeMap<PathBuf, Pair>,
    /// Why the directory could not be looked through.
    unread: Option<String>,
}

#[derive(Debug)]
struct Pair {
    key: PathBuf,
    /// The node's own, for whoever names no host: it need not name one itself.
    own: bool,
    /// What was read last; `None` if it is to be read again in any case.
    read: Option<[Stamp; 2]>,
    used: Option<Arc<Certificate>>,
    refused: Option<String>,
    /// The last look did not find it.
    missed: bool,
}

/// What tells one state of a file from another.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Stamp {
    inode: u64,
    length: u64,
    modified_ns: i128,
    changed_ns: i128,
}

/// What a look found.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Look {
    /// Whether what is shown has to change.
    pub(super) changed: bool,
    /// Pairs that could be used.
    pub(super) used: u64,
    /// Pairs, or the directory, that could not.
    pub(super) refused: u64,
    /// When the first of those in use expires, in seconds since 1970.
    pub(super) expires_at: u64,
}

impl Known {
    /// Reads all for the first time.
    ///
    /// # Errors
    /// [`CertificateError`] if the node's own certificate cannot be used, or the directory cannot be read. Others are refused like later.
    pub(super) fn first(files: CertificateFiles) -> Result<(Self, Look), CertificateError> {
        let (key, chain) = (files.key.clone(), files.chain.clone());
        let mut own = Pair::of(key, true);
        own.used = Some(read(&chain, &own.key)?);
        if let Some(directory) = &files.directory {
            fs::read_dir(directory).map_err(|source| CertificateError::Read { path: directory.clone(), source })?;
        }
        let mut known = Self { files, own, others: BTreeMap::new(), unread: None };
        let look = known.look(false);
        Ok((known, look))
    }

    /// What there is to show.
    ///
    /// # Panics
    /// Never: the node's own certificate is there from the first look on.
    pub(super) fn set(&self) -> CertificateSet {
        let own = self.own.used.clone().expect("the first look has it");
        CertificateSet::new(own, self.others.values().filter_map(|pair| pair.used.clone()))
    }

    /// Looks for changes, or reads all again.
    pub(super) fn look(&mut self, all: bool) -> Look {
        let mut changed = self.own.look(&self.files.chain, all);
        if let Some(directory) = &self.files.directory {
            match pairs(directory) {
                Ok(found) => {
                    self.unread = None;
                    changed |= take(&mut self.others, found, all);
                }
                Err(error) => say_once(&mut self.unread, &error),
            }
        }
        let pairs = || std::iter::once(&self.own).chain(self.others.values());
        let count = |picked: fn(&Pair) -> bool| pairs().filter(|pair| picked(pair)).count() as u64;
        Look {
            changed,
            used: count(|pair| pair.used.is_some()),
            refused: count(|pair| pair.refused.is_some()) + u64::from(self.unread.is_some()),
            expires_at: pairs().filter_map(|pair| Some(pair.used.as_ref()?.expires_at())).min().unwrap_or(0),
        }
    }
}

impl Pair {
    fn of(key: PathBuf, own: bool) -> Self {
        Self { key, own, read: None, used: None, refused: None, missed: false }
    }

    /// Reads the pair if it is not what was read last. Whether another certificate is to be shown.
    fn look(&mut self, chain: &Path, all: bool) -> bool {
        let stamps = stamp(chain).and_then(|chain| Ok([chain, stamp(&self.key)?])).ok();
        if stamps.is_some() && stamps == self.read && !all {
            return false;
        }
        // A clock of files is coarse: what was written within the same tick as it was read would look unchanged.
        self.read = stamps.filter(|stamps| stamps.iter().all(Stamp::is_settled));
        match read(chain, &self.key).and_then(|certificate| self.checked(chain, certificate)) {
            Ok(certificate) => {
                self.refused = None;
                let before = self.used.replace(Arc::clone(&certificate));
                let changed = before.is_none_or(|before| before.proof.cert != certificate.proof.cert);
                if changed {
                    tracing::info!(chain = %chain.display(), names = ?certificate.names, "certificate in use");
                }
                changed
            }
            Err(error) => {
                say_once(&mut self.refused, &error);
                false
            }
        }
    }

    /// A certificate of the directory that names no host would never be shown.
    fn checked(&self, chain: &Path, certificate: Arc<Certificate>) -> Result<Arc<Certificate>, CertificateError> {
        if self.own || certificate.names_a_host() { Ok(certificate) } else { Err(CertificateError::Nameless { chain: chain.to_owned() }) }
    }
}

impl Stamp {
    fn is_settled(&self) -> bool {
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        let since = |then: i128| i128::try_from(now.as_nanos()).unwrap_or(i128::MAX) - then;
        since(self.changed_ns.max(self.modified_ns)) > i128::try_from(SETTLED_AFTER.as_nanos()).unwrap_or(i128::MAX)
    }
}

/// Brings what is known of pairs to what was found. Whether what is shown has to change.
fn take(known: &mut BTreeMap<PathBuf, Pair>, found: BTreeMap<PathBuf, PathBuf>, all: bool) -> bool {
    let mut changed = false;
    known.retain(|chain, pair| {
        let here = found.contains_key(chain);
        let stays = here || !pair.missed;
        pair.missed = !here;
        if !stays {
            tracing::info!(chain = %chain.display(), "certificate gone");
            changed |= pair.used.is_some();
        }
        stays
    });
    for (chain, key) in found {
        let pair = known.entry(chain.clone()).or_insert_with(|| Pair::of(key, false));
        changed |= pair.look(&chain, all);
    }
    changed
}

/// The pairs in a directory: chain and key.
fn pairs(directory: &Path) -> Result<BTreeMap<PathBuf, PathBuf>, CertificateError> {
    let mut pairs = BTreeMap::new();
    let names = names(directory)?;
    for path in &names {
        if path.is_dir() {
            // One that is taken away meanwhile has no pairs.
            pairs.extend(paired(&self::names(path).unwrap_or_default()));
        }
        if pairs.len() > PAIRS_MAX {
            return Err(CertificateError::TooMany { directory: directory.to_owned() });
        }
    }
    pairs.extend(paired(&names));
    Ok(pairs)
}

fn paired(names: &BTreeSet<PathBuf>) -> impl Iterator<Item = (PathBuf, PathBuf)> {
    names.iter().filter_map(|chain| {
        let key = match chain.file_name()?.to_str()? {
            "fullchain.pem" => chain.with_file_name("privkey.pem"),
            name if name.ends_with(".crt") => chain.with_extension("key"),
            _ => return None,
        };
        Some((chain.clone(), key))
    })
}

fn names(directory: &Path) -> Result<BTreeSet<PathBuf>, CertificateError> {
    let fail = |source| CertificateError::Read { path: directory.to_owned(), source };
    let mut names = BTreeSet::new();
    for entry in fs::read_dir(directory).map_err(fail)? {
        let entry = entry.map_err(fail)?;
        if entry.file_name().as_encoded_bytes().first() != Some(&b'.') {
            names.insert(entry.path());
        }
        if names.len() > 2 * PAIRS_MAX {
            return Err(CertificateError::TooMany { directory: directory.to_owned() });
        }
    }
    Ok(names)
}

fn read(chain: &Path, key: &Path) -> Result<Arc<Certificate>, CertificateError> {
    let fail = |path: &Path| {
        let path = path.to_owned();
        move |source| CertificateError::Read { path, source }
    };
    warn_if_open(key);
    let (chain_pem, key_pem) = (bounded(chain).map_err(fail(chain))?, bounded(key).map_err(fail(key))?);
    let certificate = Certificate::from_pem(&chain_pem, &key_pem);
    let certificate = certificate.map_err(|source| CertificateError::Unusable { chain: chain.to_owned(), source })?;
    Ok(Arc::new(certificate))
}

fn bounded(path: &Path) -> io::Result<Vec<u8>> {
    if fs::metadata(path)?.len() > FILE_BYTES_MAX {
        return Err(io::Error::new(io::ErrorKind::FileTooLarge, "too large for a certificate"));
    }
    fs::read(path)
}

/// Whoever reads a key can pass for the host.
fn warn_if_open(key: &Path) {
    if fs::metadata(key).is_ok_and(|metadata| metadata.mode() & 0o007 != 0) {
        tracing::warn!(key = %key.display(), "everybody on this machine may read or change this key: chmod o= it");
    }
}

fn stamp(path: &Path) -> io::Result<Stamp> {
    let metadata = fs::metadata(path)?;
    let ns = |seconds: i64, ns: i64| i128::from(seconds) * 1_000_000_000 + i128::from(ns);
    Ok(Stamp {
        inode: metadata.ino(),
        length: metadata.len(),
        modified_ns: ns(metadata.mtime(), metadata.mtime_nsec()),
        changed_ns: ns(metadata.ctime(), metadata.ctime_nsec()),
    })
}

/// Logs why something is refused, unless it was for the same reason at the last look.
fn say_once(said: &mut Option<String>, error: &CertificateError) {
    let mut reason = error.to_string();
    let mut source = std::error::Error::source(error);
    while let Some(cause) = source {
        reason = format!("{reason}: {cause}");
        source = cause.source();
    }
    if said.as_ref() != Some(&reason) {
        tracing::warn!(reason, "a certificate is refused; what was shown before stays");
        *said = Some(reason);
    }
}

/// The most pairs. Each takes a few kilobytes.
const PAIRS_MAX: usize = 10_000;
/// Far more than a chain takes.
const FILE_BYTES_MAX: u64 = 1 << 20;
/// How long ago a file was written when its times tell whether it is written again.
const SETTLED_AFTER: Duration = Duration::from_secs(2);

#[cfg(test)]
mod tests {
    use std::{fs, path::Path};

    use rcgen::{CertificateParams, KeyPair};

    use super::{CertificateFiles, Known, Look};

    struct Place(tempfile::TempDir);

    impl Place {
        fn new() -> Self {
            let place = Self(tempfile::tempdir().expect("a directory"));
            fs::create_dir(place.path("others")).expect("made");
            place.pair("own.crt", "own.key", "own.example");
            place
        }

        fn path(&self, name: &str) -> std::path::PathBuf {
            self.0.path().join(name)
        }

        fn pair(&self, chain: &str, key: &str, host: &str) {
            let made = KeyPair::generate().expect("a key");
            let params = CertificateParams::new(vec![host.to_owned()]).expect("a name");
            let certificate = params.self_signed(&made).expect("signed");
            for (name, text) in [(chain, certificate.pem()), (key, made.serialize_pem())] {
                let path = self.path(name);
                fs::create_dir_all(path.parent().expect("a parent")).expect("made");
                fs::write(path, text).expect("written");
            }
        }

        fn look(&self) -> (Known, Look) {
            let directory = Some(self.path("others"));
            Known::first(CertificateFiles { chain: self.path("own.crt"), key: self.path("own.key"), directory }).expect("usable")
        }
    }

    fn shown(known: &Known, host: &str) -> Vec<u8> {
        known.set().find(Some(host)).proof.cert[0].to_vec()
    }

    fn remove(path: &Path) {
        fs::remove_file(path).expect("removed");
    }

    #[test]
    fn every_layout_is_found() {
        let place = Place::new();
        place.pair("others/a.crt", "others/a.key", "a.example");
        place.pair("others/b.example/fullchain.pem", "others/b.example/privkey.pem", "b.example");
        place.pair("others/secret/tls.crt", "others/secret/tls.key", "c.example");
        place.pair("others/.hidden.crt", "others/.hidden.key", "d.example");
        fs::write(place.path("others/README"), "as certbot leaves one").expect("written");
        let (known, look) = place.look();
        assert_eq!((look.used, look.refused), (4, 0));
        let own = shown(&known, "own.example");
        for host in ["a.example", "b.example", "c.example"] {
            assert_ne!(shown(&known, host), own, "{host}");
        }
        assert_eq!(shown(&known, "d.example"), own);
    }

    #[test]
    fn a_pair_that_breaks_stays_as_it_was_until_it_is_whole_again() {
        let place = Place::new();
        place.pair("others/a.crt", "others/a.key", "a.example");
        let (mut known, _) = place.look();
        let before = shown(&known, "a.example");
        let key = fs::read(place.path("others/a.key")).expect("read");
        place.pair("others/a.crt", "others/other.key", "a.example");
        for key in [Some(&key[..]), Some(&key[..key.len() / 2]), Some(b""), None] {
            match key {
                Some(key) => fs::write(place.path("others/a.key"), key).expect("written"),
                None => remove(&place.path("others/a.key")),
            }
            let look = known.look(false);
            assert_eq!((look.changed, look.used, look.refused), (false, 2, 1), "{key:?}");
            assert_eq!(shown(&known, "a.example"), before);
        }
        fs::rename(place.path("others/other.key"), place.path("others/a.key")).expect("renamed");
        let look = known.look(false);
        assert_eq!((look.changed, look.used, look.refused), (true, 2, 0));
        assert_ne!(shown(&known, "a.example"), before);
        assert!(!known.look(false).changed);
    }

    #[test]
    fn a_new_pair_that_is_broken_is_refused_and_the_rest_is_shown() {
        let place = Place::new();
        place.pair("others/a.crt", "others/a.key", "a.example");
        fs::write(place.path("others/b.crt"), "nothing").expect("written");
        fs::write(place.path("others/b.key"), "nothing").expect("written");
        let (known, look) = place.look();
        assert_eq!((look.used, look.refused), (2, 1));
        assert_ne!(shown(&known, "a.example"), shown(&known, "own.example"));
    }

    #[test]
    fn what_is_gone_at_two_looks_is_forgotten() {
        let place = Place::new();
        place.pair("others/a.crt", "others/a.key", "a.example");
        let (mut known, _) = place.look();
        let before = shown(&known, "a.example");
        remove(&place.path("others/a.crt"));
        assert!(!known.look(false).changed);
        assert_eq!(shown(&known, "a.example"), before);
        assert!(known.look(false).changed);
        assert_eq!(shown(&known, "a.example"), shown(&known, "own.example"));
    }

    #[test]
    fn the_own_certificate_is_renewed_like_the_others_and_has_to_be_there_at_first() {
        let place = Place::new();
        let (mut known, look) = place.look();
        let before = shown(&known, "any.example");
        assert!(look.expires_at > 0);
        place.pair("own.crt", "own.key", "own.example");
        assert!(known.look(false).changed);
        assert_ne!(shown(&known, "any.example"), before);
        remove(&place.path("own.key"));
        assert_eq!(known.look(true).refused, 1);
        let files = CertificateFiles { chain: place.path("own.crt"), key: place.path("own.key"), directory: None };
        Known::first(files).expect_err("no key");
    }
}
