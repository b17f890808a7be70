//! What is on disk: private, whole, checked when it is read, and after a crash the old or the new.

use std::convert::Infallible;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use tempfile::TempDir;

use super::*;
use crate::authority::NODE_VALIDITY;
use crate::error::{AuthorityError, IdentityError, SealError};

const NOW: u64 = 1_790_000_000;

fn founded() -> (TempDir, IdentityStore, NodeIdentity) {
    let dir = TempDir::new().unwrap();
    let store = IdentityStore::at(dir.path());
    let identity = NodeIdentity::found(1, NOW).unwrap();
    store.create(&identity).unwrap();
    (dir, store, identity)
}

fn renewed(identity: &NodeIdentity, now: u64) -> NodeIdentity {
    let request = identity.new_csr().unwrap();
    let authority = identity.authority().unwrap();
    let certificate = authority.sign_csr(request.der(), &identity.name(), NODE_VALIDITY, now).unwrap();
    identity.install(request, certificate, now).unwrap()
}

fn same(one: &NodeIdentity, two: &NodeIdentity) -> bool {
    one.as_peer() == two.as_peer()
        && one.key().public_key() == two.key().public_key()
        && one.authorities() == two.authorities()
        && one.cluster_key().expose() == two.cluster_key().expose()
        && one.authority().is_some() == two.authority().is_some()
}

#[test]
fn what_is_saved_loads() {
    let (_dir, store, identity) = founded();
    let loaded = store.load().unwrap();
    assert!(same(&loaded, &identity));
    // The authority that was loaded is the one that was saved: it can sign for the node that was loaded.
    assert!(renewed(&loaded, NOW + 60).authority().is_some());
}

#[test]
fn files_and_directory_are_private() {
    let (dir, store, identity) = founded();
    let handle = IdentityHandle::new(identity);
    let mode = |path: &Path| fs::metadata(path).unwrap().permissions().mode() & 0o7777;
    let check = || {
        let identity_dir = dir.path().join("identity");
        assert_eq!(mode(&identity_dir), 0o700);
        let mut names = Vec::new();
        for entry in fs::read_dir(identity_dir).unwrap() {
            let entry = entry.unwrap();
            assert_eq!(mode(&entry.path()), 0o600, "{entry:?}");
            names.push(entry.file_name());
        }
        names.sort();
        assert_eq!(names, ["authority.key", "node.json"]);
    };
    check();
    // A file or directory whose mode was widened is private again after the next change, whatever is left over.
    fs::set_permissions(dir.path().join("identity"), fs::Permissions::from_mode(0o755)).unwrap();
    fs::set_permissions(dir.path().join("identity/node.json"), fs::Permissions::from_mode(0o644)).unwrap();
    fs::write(dir.path().join("identity/.node.json.new"), "left over").unwrap();
    store.update(&handle, |current| Ok::<_, Infallible>(renewed(current, NOW + 60))).unwrap();
    check();
}

#[test]
fn a_machine_is_a_node_of_one_cluster() {
    let (_dir, store, identity) = founded();
    let refused = store.create(&NodeIdentity::found(1, NOW).unwrap());
    assert!(matches!(refused, Err(SaveError::AlreadyExists { .. })));
    assert!(same(&store.load().unwrap(), &identity));
}

#[test]
fn a_new_machine_is_told_what_to_do() {
    let dir = TempDir::new().unwrap();
    let missing = IdentityStore::at(dir.path()).load().unwrap_err();
    assert!(matches!(missing, LoadError::Missing { .. }));
    assert!(missing.to_string().contains("ncore init"), "{missing}");
}

#[test]
fn an_update_is_on_disk_before_it_is_in_use() {
    let (_dir, store, identity) = founded();
    let handle = IdentityHandle::new(identity.clone());
    let new = store.update(&handle, |current| Ok::<_, Infallible>(renewed(current, NOW + 60))).unwrap();
    assert!(!same(&new, &identity));
    assert!(same(&handle.current(), &new));
    assert!(same(&store.load().unwrap(), &new));
}

#[test]
fn a_refused_or_failed_update_changes_nothing() {
    let (dir, store, identity) = founded();
    let handle = IdentityHandle::new(identity.clone());
    let refused = store.update(&handle, |_| Err("no"));
    assert!(matches!(refused, Err(UpdateError::Change("no"))));
    // A directory where the file should go: the rename fails.
    let target = dir.path().join("identity/node.json");
    fs::remove_file(&target).unwrap();
    fs::create_dir(&target).unwrap();
    let failed = store.update(&handle, |current| Ok::<_, Infallible>(renewed(current, NOW + 60)));
    assert!(matches!(failed, Err(UpdateError::Save(SaveError::Io { .. }))), "{failed:?}");
    assert!(same(&handle.current(), &identity));
    // The new key does not lie around.
    assert!(!dir.path().join("identity/.node.json.new").exists());
}

#[test]
fn the_authority_comes_and_goes_with_the_role() {
    let (dir, store, founder) = founded();
    let handle = IdentityHandle::new(founder);
    let key = dir.path().join("identity/authority.key");
    let sealed = fs::read(&key).unwrap();
    store.update(&handle, |current| Ok::<_, Infallible>(current.without_authority())).unwrap();
    assert!(!key.exists());
    assert!(store.load().unwrap().authority().is_none());
    store.update(&handle, |current| current.with_authority(&sealed)).unwrap();
    assert!(store.load().unwrap().authority().is_some());
}

/// The state after a crash of `ncore init` between its two files.
#[test]
fn a_founding_that_crashed_half_way_starts_again() {
    let (dir, store, _) = founded();
    fs::remove_file(dir.path().join("identity/node.json")).unwrap();
    assert!(matches!(store.load(), Err(LoadError::Missing { .. })));
    // Joining another cluster instead must not trip over the authority of the one that never was.
    let joined = NodeIdentity::found(7, NOW).unwrap().without_authority();
    store.create(&joined).unwrap();
    assert!(same(&store.load().unwrap(), &joined));
}

#[test]
fn an_expired_identity_loads_and_renews_itself_with_the_authority() {
    let (_dir, store, _) = founded();
    let loaded = store.load().unwrap();
    let later = NOW + 100 * 24 * 60 * 60;
    assert!(loaded.expires_at() < later && loaded.needs_renewal(later));
    let new = renewed(&loaded, later);
    assert!(new.expires_at() > later && !new.needs_renewal(later));
}

mod damage {
    use super::*;

    fn edited(edit: impl FnOnce(&mut serde_json::Value)) -> LoadError {
        let (dir, store, _) = founded();
        let path = dir.path().join("identity/node.json");
        let mut value = serde_json::from_slice(&fs::read(&path).unwrap()).unwrap();
        edit(&mut value);
        fs::write(&path, serde_json::to_vec(&value).unwrap()).unwrap();
        store.load().unwrap_err()
    }

    fn unfit(edit: impl FnOnce(&mut serde_json::Value)) -> IdentityError {
        match edited(edit) {
            LoadError::Unfit { source, .. } => source,
            other => panic!("{other:?}"),
        }
    }

    fn fields_of(identity: &NodeIdentity) -> serde_json::Value {
        serde_json::from_slice(&record::encode(identity).unwrap()).unwrap()
    }

    #[test]
    fn the_key_of_another_node_does_not_fit() {
        let other = fields_of(&NodeIdentity::found(1, NOW).unwrap());
        assert_eq!(unfit(|value| value["key"] = other["key"].clone()), IdentityError::KeyMismatch);
    }

    #[test]
    fn the_certificate_of_another_cluster_does_not_fit() {
        let other = fields_of(&NodeIdentity::found(1, NOW).unwrap());
        let error = unfit(|value| value["chain"] = other["chain"].clone());
        assert!(matches!(error, IdentityError::AuthorityOfOtherCluster { .. }), "{error:?}");
        let error = unfit(|value| value["authorities"] = other["authorities"].clone());
        assert!(matches!(error, IdentityError::AuthorityOfOtherCluster { .. }), "{error:?}");
    }

    #[test]
    fn empty_lists_do_not_fit() {
        let none = serde_json::json!([]);
        assert!(matches!(unfit(|value| value["chain"] = none.clone()), IdentityError::ChainLength { .. }));
        assert!(matches!(unfit(|value| value["authorities"] = none.clone()), IdentityError::AuthorityCount { .. }));
    }

    #[test]
    fn a_certificate_whose_signature_is_broken_does_not_hold() {
        let error = unfit(|value| {
            let mut der = STANDARD.decode(value["chain"][0].as_str().unwrap()).unwrap();
            *der.last_mut().unwrap() ^= 1;
            value["chain"][0] = STANDARD.encode(der).into();
        });
        assert!(matches!(error, IdentityError::Certificate(_)), "{error:?}");
    }

    #[test]
    fn unknown_and_missing_fields_are_refused() {
        assert!(matches!(edited(|value| value["surprise"] = 1.into()), LoadError::Malformed { .. }));
        assert!(matches!(edited(|value| value["key"] = serde_json::Value::Null), LoadError::Malformed { .. }));
        assert!(matches!(edited(|value| value["key"] = "!".into()), LoadError::Field { field: "key", .. }));
        assert!(matches!(edited(|value| value["cluster_key"] = "AA==".into()), LoadError::Field { field: "cluster_key", .. }));
    }

    #[test]
    fn a_later_format_is_named() {
        let error = edited(|value| value["format"] = 2.into());
        assert!(matches!(error, LoadError::NewerFormat { found: 2, .. }), "{error:?}");
    }

    #[test]
    fn another_cluster_key_does_not_open_the_authority() {
        let error = edited(|value| value["cluster_key"] = STANDARD.encode([1; 32]).into());
        let LoadError::Authority { source, .. } = error else { panic!("{error:?}") };
        assert!(matches!(source, AuthorityError::Sealed(SealError::OtherKey)));
    }

    #[test]
    fn every_cut_of_the_file_is_noticed_and_no_message_quotes_it() {
        let (dir, store, identity) = founded();
        let path = dir.path().join("identity/node.json");
        let whole = fs::read(&path).unwrap();
        let key = STANDARD.encode(identity.cluster_key().expose());
        // The last byte is the end of the line, after which the object is complete.
        for length in (0..whole.len() - 1).step_by(7) {
            fs::write(&path, &whole[..length]).unwrap();
            let error = store.load().unwrap_err();
            let shown = format!("{error} {error:?}");
            assert!(!shown.contains(&key[..16]), "{shown}");
        }
    }
}

#[test]
fn debug_keeps_every_secret() {
    let (_dir, store, identity) = founded();
    let handle = IdentityHandle::new(identity.clone());
    let request = identity.new_csr().unwrap();
    let shown = format!(
        "{identity:?} {identity:#?} {handle:?} {store:?} {request:?} {:?} {:?} {:?}",
        identity.cluster_key(),
        identity.authority(),
        identity.key(),
    );
    let pkcs8 = identity.key().to_pkcs8().unwrap();
    // The private scalar: where it is in PKCS#8 depends on the writer, so every window of the document counts.
    let secrets = pkcs8.as_ref().windows(32).chain([identity.cluster_key().expose().as_slice()]);
    for secret in secrets {
        assert!(!shown.contains(&hex::encode(secret)));
        assert!(!shown.contains(&format!("{secret:?}")));
    }
    assert!(!shown.contains(&STANDARD.encode(identity.cluster_key().expose())));
}

const CRASH_DIR: &str = "NCORE_IDENTITY_CRASH_DIR";

/// Not a test by itself: the process that the next one kills. Renews for ever.
#[test]
#[ignore = "run by `a_killed_process_leaves_the_old_or_the_new`"]
fn renew_until_killed() {
    let Some(dir) = std::env::var_os(CRASH_DIR) else { return };
    let store = IdentityStore::at(Path::new(&dir));
    let handle = IdentityHandle::new(store.load().unwrap());
    for step in 1.. {
        store.update(&handle, |current| Ok::<_, Infallible>(renewed(current, NOW + step))).unwrap();
    }
}

#[test]
fn a_killed_process_leaves_the_old_or_the_new() {
    let (dir, store, founder) = founded();
    let deadline = Instant::now() + Duration::from_secs(120);
    let mut seen = vec![founder.as_peer().serial];
    for round in 0..12_u32 {
        let mut child = Command::new(std::env::current_exe().unwrap())
            .args(["--exact", "store::tests::renew_until_killed", "--ignored", "--test-threads=1"])
            .env(CRASH_DIR, dir.path())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        // While it writes, every look at the disk finds a whole identity: a few changes later, it is killed.
        let mut changes = 0;
        while changes < 2 + round % 3 {
            let loaded = store.load().expect("a whole identity at any time");
            if seen.last() != Some(&loaded.as_peer().serial) {
                seen.push(loaded.as_peer().serial);
                changes += 1;
            }
            assert!(Instant::now() < deadline, "the writer makes no progress");
        }
        child.kill().unwrap();
        child.wait().unwrap();
        let left = store.load().expect("a whole identity after a kill");
        assert_eq!(left.name(), founder.name());
        assert!(left.authority().is_some());
    }
}
