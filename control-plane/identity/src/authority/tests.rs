//! What the authority writes into certificates, and what it refuses to sign.

use std::time::Duration;

use proptest::prelude::*;
use rustls_pki_types::UnixTime;
use x509_parser::extensions::GeneralName;

use super::*;
use crate::certificate::{PeerIdentity, peer_identity};
use crate::error::VerifyError;
use crate::request::CertificateRequest;
use crate::trust::Trust;

const NOW: u64 = 1_790_000_000;
const CLUSTER: ClusterId = ClusterId([0x5a; 16]);

fn authority() -> ClusterAuthority {
    ClusterAuthority::create(CLUSTER, NOW).unwrap()
}

fn name(node_id: u64) -> NodeName {
    NodeName { cluster_id: CLUSTER, node_id }
}

fn at(now: u64) -> UnixTime {
    UnixTime::since_unix_epoch(Duration::from_secs(now))
}

#[test]
fn a_certificate_says_what_the_authority_decided() {
    let authority = authority();
    let request = CertificateRequest::generate().unwrap();
    let der = authority.sign_csr(request.der(), &name(42), NODE_VALIDITY, NOW).unwrap();

    let peer = peer_identity(std::slice::from_ref(&der)).unwrap();
    assert_eq!(peer.name(), name(42));
    assert_eq!(peer.not_before, NOW - BACKDATE_S);
    assert_eq!(peer.not_after, NOW + 7 * DAY);

    let (_, cert) = x509_parser::parse_x509_certificate(&der).unwrap();
    assert!(!cert.is_ca());
    let usage = cert.extended_key_usage().unwrap().unwrap().value;
    assert!(usage.server_auth && usage.client_auth && !usage.any && !usage.code_signing);
    let names = &cert.subject_alternative_name().unwrap().unwrap().value.general_names;
    let uri = format!("ncore://{CLUSTER}/node/42");
    assert_eq!(*names, [GeneralName::DNSName("node-42.ncore.internal"), GeneralName::URI(&uri)]);
}

#[test]
fn names_and_powers_that_a_request_asks_for_are_ignored() {
    let key = SigningKey::generate().unwrap();
    let mut wish = CertificateParams::new(vec!["node-1.ncore.internal".to_owned()]).unwrap();
    wish.subject_alt_names.push(uri(&name(1).uri()).unwrap());
    wish.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    wish.key_usages = vec![KeyUsagePurpose::KeyCertSign];
    wish.distinguished_name = subject("node-1.ncore.internal".to_owned());
    let csr = wish.serialize_request(&key).unwrap();

    let der = authority().sign_csr(csr.der(), &name(9), NODE_VALIDITY, NOW).unwrap();
    assert_eq!(peer_identity(std::slice::from_ref(&der)).unwrap().node_id, 9);
    let (_, cert) = x509_parser::parse_x509_certificate(&der).unwrap();
    assert!(!cert.is_ca());
    assert!(!cert.subject().to_string().contains("node-1"));
    let usage = cert.key_usage().unwrap().unwrap().value;
    assert!(usage.digital_signature() && !usage.key_cert_sign());
}

#[test]
fn pem_and_der_requests_are_the_same() {
    let key = SigningKey::generate().unwrap();
    let csr = CertificateParams::default().serialize_request(&key).unwrap();
    let pem = csr.pem().unwrap();
    authority().sign_csr(pem.as_bytes(), &name(1), NODE_VALIDITY, NOW).unwrap();
    authority().sign_csr(csr.der(), &name(1), NODE_VALIDITY, NOW).unwrap();
}

#[test]
fn serial_numbers_differ() {
    let authority = authority();
    let request = CertificateRequest::generate().unwrap();
    let serial = || {
        let der = authority.sign_csr(request.der(), &name(1), NODE_VALIDITY, NOW).unwrap();
        peer_identity(&[der]).unwrap().serial
    };
    assert_ne!(serial(), serial());
}

#[test]
fn a_request_with_a_broken_signature_is_refused() {
    let request = CertificateRequest::generate().unwrap();
    let mut csr = request.der().to_vec();
    *csr.last_mut().unwrap() ^= 1;
    let refused = authority().sign_csr(&csr, &name(1), NODE_VALIDITY, NOW);
    assert!(matches!(refused, Err(IssueError::RequestMalformed(_))), "{refused:?}");
}

#[test]
fn other_kinds_of_keys_are_refused() {
    for algorithm in [&rcgen::PKCS_ECDSA_P384_SHA384, &rcgen::PKCS_ED25519] {
        let key = rcgen::KeyPair::generate_for(algorithm).unwrap();
        let csr = CertificateParams::default().serialize_request(&key).unwrap();
        let refused = authority().sign_csr(csr.der(), &name(1), NODE_VALIDITY, NOW);
        assert!(matches!(refused, Err(IssueError::RequestKey)), "{refused:?}");
    }
}

#[test]
fn names_of_other_clusters_are_refused() {
    let request = CertificateRequest::generate().unwrap();
    let foreign = NodeName { cluster_id: ClusterId([1; 16]), node_id: 1 };
    let refused = authority().sign_csr(request.der(), &foreign, NODE_VALIDITY, NOW);
    assert!(matches!(refused, Err(IssueError::OtherCluster { .. })), "{refused:?}");
}

#[test]
fn times_that_make_no_sense_are_refused() {
    let authority = authority();
    let request = CertificateRequest::generate().unwrap();
    let sign = |validity, now| authority.sign_csr(request.der(), &name(1), validity, now);
    assert!(matches!(sign(Duration::ZERO, NOW), Err(IssueError::NoValidity)));
    assert!(matches!(sign(Duration::MAX, NOW), Err(IssueError::Clock { .. })));
    let end = NOW + AUTHORITY_VALIDITY.as_secs();
    assert!(matches!(sign(NODE_VALIDITY, end), Err(IssueError::AuthorityExpired { .. })));
    assert!(matches!(ClusterAuthority::create(CLUSTER, u64::MAX), Err(IssueError::Clock { .. })));
}

#[test]
fn no_certificate_outlives_the_authority() {
    let request = CertificateRequest::generate().unwrap();
    let end = NOW + AUTHORITY_VALIDITY.as_secs();
    let der = authority().sign_csr(request.der(), &name(1), NODE_VALIDITY, end - DAY).unwrap();
    assert_eq!(peer_identity(&[der]).unwrap().not_after, end);
}

#[test]
fn the_sealed_key_signs_for_the_same_cluster_again() {
    let cluster_key = ClusterKey::generate().unwrap();
    let authority = authority();
    let trusted = [authority.certificate().clone()];
    let sealed = authority.seal(&cluster_key).unwrap();

    let opened = ClusterAuthority::open(&sealed, &cluster_key, &trusted).unwrap();
    let request = CertificateRequest::generate().unwrap();
    let der = opened.sign_csr(request.der(), &name(3), NODE_VALIDITY, NOW).unwrap();
    let trust = Trust::new(CLUSTER, &trusted).unwrap();
    assert_eq!(trust.verify_server(Some(3), &der, &[], at(NOW)).unwrap().node_id, 3);

    let other = ClusterAuthority::create(CLUSTER, NOW).unwrap();
    let refused = ClusterAuthority::open(&sealed, &cluster_key, &[other.certificate().clone()]);
    assert!(matches!(refused, Err(AuthorityError::OtherAuthority)));
    let refused = ClusterAuthority::open(&sealed, &ClusterKey::generate().unwrap(), &trusted);
    assert!(matches!(refused, Err(AuthorityError::Sealed(SealError::OtherKey))));
    let nonsense = cluster_key.seal(SEAL_PURPOSE, b"no key").unwrap();
    let refused = ClusterAuthority::open(&nonsense, &cluster_key, &trusted);
    assert!(matches!(refused, Err(AuthorityError::NotAKey)));
}

/// Certificates that the right authority signed, but that are not those of a node.
mod odd_certificates {
    use super::*;

    fn check(change: impl FnOnce(&mut CertificateParams)) -> (Result<PeerIdentity, VerifyError>, Result<PeerIdentity, VerifyError>) {
        let authority = authority();
        let mut params = node_params(&name(5), NOW, NOW + DAY).unwrap();
        change(&mut params);
        let der = authority.sign(&params, &SigningKey::generate().unwrap()).unwrap();
        let trust = Trust::new(CLUSTER, &[authority.certificate().clone()]).unwrap();
        (trust.verify_server(None, &der, &[], at(NOW)), trust.verify_client(&der, &[], at(NOW)))
    }

    #[test]
    fn unchanged_it_is_accepted() {
        let (server, client) = check(|_| {});
        assert_eq!(server.unwrap().node_id, 5);
        assert_eq!(client.unwrap().node_id, 5);
    }

    #[test]
    fn without_our_name_it_is_nobody() {
        let (server, client) = check(|params| params.subject_alt_names.truncate(1));
        assert_eq!(server, Err(VerifyError::Nameless));
        assert_eq!(client, Err(VerifyError::Nameless));
    }

    #[test]
    fn with_two_of_our_names_it_is_nobody() {
        let (server, client) = check(|params| params.subject_alt_names.push(uri(&name(6).uri()).unwrap()));
        assert_eq!(server, Err(VerifyError::Nameless));
        assert_eq!(client, Err(VerifyError::Nameless));
    }

    #[test]
    fn the_two_spellings_must_agree_on_a_server() {
        let (server, _) = check(|params| {
            params.subject_alt_names[0] = SanType::DnsName("node-6.ncore.internal".try_into().unwrap());
        });
        assert!(matches!(server, Err(VerifyError::Untrusted { .. })), "{server:?}");
    }

    #[test]
    fn the_name_of_another_cluster_is_refused_even_from_our_authority() {
        let foreign = NodeName { cluster_id: ClusterId([1; 16]), node_id: 5 };
        let (server, client) = check(|params| params.subject_alt_names[1] = uri(&foreign.uri()).unwrap());
        assert!(matches!(server, Err(VerifyError::OtherCluster { .. })), "{server:?}");
        assert!(matches!(client, Err(VerifyError::OtherCluster { .. })), "{client:?}");
    }

    #[test]
    fn it_must_be_made_for_the_side_that_uses_it() {
        let (server, client) = check(|params| params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ClientAuth]);
        assert!(matches!(server, Err(VerifyError::Untrusted { .. })), "{server:?}");
        assert!(client.is_ok());
        let (server, client) = check(|params| params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth]);
        assert!(server.is_ok());
        assert!(matches!(client, Err(VerifyError::Untrusted { .. })), "{client:?}");
    }

    /// A node's certificate can sign nothing, even with a key usage that says it might.
    #[test]
    fn a_node_cannot_vouch_for_another() {
        let authority = authority();
        let node_key = SigningKey::generate().unwrap();
        let mut params = node_params(&name(5), NOW, NOW + DAY).unwrap();
        params.key_usages.push(KeyUsagePurpose::KeyCertSign);
        let node = authority.sign(&params, &node_key).unwrap();
        let forged = node_params(&name(1), NOW, NOW + DAY)
            .unwrap()
            .signed_by(&SigningKey::generate().unwrap(), &Issuer::from_ca_cert_der(&node, node_key).unwrap())
            .unwrap();
        let trust = Trust::new(CLUSTER, &[authority.certificate().clone()]).unwrap();
        let refused = trust.verify_server(Some(1), forged.der(), std::slice::from_ref(&node), at(NOW));
        assert!(matches!(refused, Err(VerifyError::Untrusted { .. })), "{refused:?}");
        let refused = trust.verify_client(forged.der(), &[node], at(NOW));
        assert!(matches!(refused, Err(VerifyError::Untrusted { .. })), "{refused:?}");
    }

    #[test]
    fn the_authority_itself_is_no_node() {
        let authority = authority();
        let trust = Trust::new(CLUSTER, &[authority.certificate().clone()]).unwrap();
        let refused = trust.verify_server(None, authority.certificate(), &[], at(NOW));
        assert_eq!(refused, Err(VerifyError::Nameless));
    }
}

#[test]
fn certificates_hold_between_their_dates_only() {
    let authority = authority();
    let request = CertificateRequest::generate().unwrap();
    let der = authority.sign_csr(request.der(), &name(1), NODE_VALIDITY, NOW).unwrap();
    let trust = Trust::new(CLUSTER, &[authority.certificate().clone()]).unwrap();
    let holds = |now| {
        let server = trust.verify_server(Some(1), &der, &[], at(now)).is_ok();
        assert_eq!(server, trust.verify_client(&der, &[], at(now)).is_ok());
        server
    };
    assert!(!holds(NOW - BACKDATE_S - 1));
    assert!(holds(NOW - BACKDATE_S));
    assert!(holds(NOW + 7 * DAY));
    assert!(!holds(NOW + 7 * DAY + 1));
}

#[test]
fn a_certificate_in_place_of_the_authority_must_be_one_of_this_cluster() {
    let authority = authority();
    let refused = Trust::new(ClusterId([1; 16]), &[authority.certificate().clone()]).unwrap_err();
    assert!(matches!(refused, crate::IdentityError::AuthorityOfOtherCluster { .. }));
    let request = CertificateRequest::generate().unwrap();
    let node = authority.sign_csr(request.der(), &name(1), NODE_VALIDITY, NOW).unwrap();
    assert_eq!(Trust::new(CLUSTER, &[node]).unwrap_err(), crate::IdentityError::NotAnAuthority);
    assert!(matches!(Trust::new(CLUSTER, &[]), Err(crate::IdentityError::AuthorityCount { found: 0, .. })));
}

proptest! {
    #[test]
    fn no_request_makes_it_panic(bytes: Vec<u8>, pem: bool) {
        let csr = if pem { [b"-----BEGIN ".as_slice(), &bytes].concat() } else { bytes };
        prop_assert!(read_request(&csr).is_err());
    }

    /// Bytes changed anywhere in a real request: refused, or the key that comes out signed what is there.
    #[test]
    fn no_damaged_request_makes_it_panic(at: prop::sample::Index, byte: u8) {
        let mut csr = CertificateRequest::generate().unwrap().der().to_vec();
        let index = at.index(csr.len());
        csr[index] = byte;
        let _ = read_request(&csr);
    }

    #[test]
    fn no_certificate_makes_reading_panic(at: prop::sample::Index, byte: u8, cut: prop::sample::Index) {
        let mut der = authority().certificate().to_vec();
        let index = at.index(der.len());
        der[index] = byte;
        let der = CertificateDer::from(&der[..cut.index(der.len() + 1)]);
        let _ = read_authority(&der);
        let _ = peer_identity(&[der]);
    }
}
