//! The life of a node's identity: it joins by a token, renews when two thirds are over, and takes no wrong answers.

use ncore_identity::{
    CertificateRequest, ExposeSecret, IdentityError, InstallError, JoinProof, JoinTerms, JoinToken, NODE_VALIDITY, NodeIdentity, NodeName,
};

const NOW: u64 = 1_790_000_000;
const DAY: u64 = 24 * 60 * 60;

fn token(founder: &NodeIdentity) -> JoinToken {
    JoinToken::issue(JoinTerms {
        cluster_id: founder.cluster_id(),
        ca_cert: founder.authorities()[0].clone(),
        voter: false,
        region: None,
        expires_at: NOW + 3600,
        endpoints: vec!["127.0.0.1:7400".to_owned()],
    })
    .unwrap()
}

fn joined(founder: &NodeIdentity, node_id: u64) -> NodeIdentity {
    let request = CertificateRequest::generate().unwrap();
    let name = NodeName { cluster_id: founder.cluster_id(), node_id };
    let certificate = founder.authority().unwrap().sign_csr(request.der(), &name, NODE_VALIDITY, NOW).unwrap();
    let token = token(founder);
    NodeIdentity::from_join(request, certificate, token.terms(), founder.cluster_key().clone(), NOW).unwrap()
}

/// The whole way, each side using only what it has: the joiner the text of the token, the cluster the verifier.
#[test]
fn a_machine_joins_by_a_token() {
    let founder = NodeIdentity::found(1, NOW).unwrap();
    let issued = token(&founder);
    let (text, stored) = (issued.encode(), (issued.id(), issued.verifier()));

    let token = JoinToken::decode(text.expose_secret()).unwrap();
    let request = CertificateRequest::generate().unwrap();
    let proof = token.prove(request.der()).unwrap();
    let wire = (token.id(), proof.nonce().to_vec(), proof.signature().to_vec(), request.der().to_vec());

    let (token_id, nonce, signature, csr) = wire;
    assert_eq!(token_id, stored.0);
    let proof = JoinProof::from_parts(&nonce, &signature).unwrap();
    proof.verify(&stored.1, founder.cluster_id(), token_id, &csr).unwrap();
    let name = NodeName { cluster_id: founder.cluster_id(), node_id: 42 };
    let certificate = founder.authority().unwrap().sign_csr(&csr, &name, NODE_VALIDITY, NOW).unwrap();

    let key = founder.cluster_key().clone();
    let node = NodeIdentity::from_join(request, certificate, token.terms(), key, NOW + 1).unwrap();
    assert_eq!(node.name(), name);
    assert!(node.authority().is_none());
    // A secret sealed anywhere in the cluster opens on the new node.
    let sealed = founder.cluster_key().seal("a client's secret", b"text").unwrap();
    assert_eq!(node.cluster_key().open("a client's secret", &sealed).unwrap().as_slice(), b"text");
}

#[test]
fn renewal_is_due_at_two_thirds() {
    let node = NodeIdentity::found(1, NOW).unwrap();
    let begin = node.as_peer().not_before;
    let life = node.expires_at() - begin;
    assert_eq!(node.expires_at(), NOW + 7 * DAY);
    assert_eq!(node.renew_at(), begin + life * 2 / 3);
    assert!(!node.needs_renewal(NOW));
    assert!(!node.needs_renewal(node.renew_at() - 1));
    assert!(node.needs_renewal(node.renew_at()));
    assert!(node.needs_renewal(node.expires_at() + DAY));
}

#[test]
fn a_renewal_has_a_fresh_key_and_the_same_name() {
    let founder = NodeIdentity::found(1, NOW).unwrap();
    let node = joined(&founder, 2);
    let later = node.renew_at();
    let request = node.new_csr().unwrap();
    assert_ne!(request.der(), node.new_csr().unwrap().der());
    let authority = founder.authority().unwrap();
    let certificate = authority.sign_csr(request.der(), &node.name(), NODE_VALIDITY, later).unwrap();
    let renewed = node.install(request, certificate, later).unwrap();
    assert_eq!(renewed.name(), node.name());
    assert_eq!(renewed.expires_at(), later + 7 * DAY);
    assert!(!renewed.needs_renewal(later));
    assert_ne!(renewed.as_peer().serial, node.as_peer().serial);
}

#[test]
fn wrong_answers_are_not_taken() {
    let founder = NodeIdentity::found(1, NOW).unwrap();
    let authority = founder.authority().unwrap();
    let node = joined(&founder, 2);

    // A certificate for another key.
    let (asked, other) = (node.new_csr().unwrap(), node.new_csr().unwrap());
    let certificate = authority.sign_csr(other.der(), &node.name(), NODE_VALIDITY, NOW).unwrap();
    let refused = node.install(asked, certificate, NOW);
    assert!(matches!(refused, Err(InstallError::Unfit(IdentityError::KeyMismatch))), "{refused:?}");

    // A certificate for another node.
    let asked = node.new_csr().unwrap();
    let certificate = authority.sign_csr(asked.der(), &founder.name(), NODE_VALIDITY, NOW).unwrap();
    let refused = node.install(asked, certificate, NOW);
    assert!(matches!(refused, Err(InstallError::OtherNode { ours: 2, found: 1 })), "{refused:?}");

    // A certificate of another cluster.
    let elsewhere = NodeIdentity::found(2, NOW).unwrap();
    let asked = node.new_csr().unwrap();
    let certificate = elsewhere.authority().unwrap().sign_csr(asked.der(), &elsewhere.name(), NODE_VALIDITY, NOW).unwrap();
    let refused = node.install(asked, certificate, NOW);
    assert!(matches!(refused, Err(InstallError::Unfit(_))), "{refused:?}");

    // Clocks that differ by more than minutes.
    for clock in [NOW - 3600, NOW + 8 * DAY] {
        let asked = node.new_csr().unwrap();
        let certificate = authority.sign_csr(asked.der(), &node.name(), NODE_VALIDITY, NOW).unwrap();
        let refused = node.install(asked, certificate, clock);
        assert!(matches!(refused, Err(InstallError::NotValidNow { .. })), "{refused:?}");
    }
}

#[test]
fn only_the_authority_of_this_cluster_is_taken() {
    let founder = NodeIdentity::found(1, NOW).unwrap();
    let sealed = founder.authority().unwrap().seal(founder.cluster_key()).unwrap();
    let voter = joined(&founder, 2).with_authority(&sealed).unwrap();
    assert_eq!(voter.authority().unwrap().cluster_id(), founder.cluster_id());
    assert!(NodeIdentity::found(2, NOW).unwrap().with_authority(&sealed).is_err());
}
