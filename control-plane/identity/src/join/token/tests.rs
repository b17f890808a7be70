//! Tokens round trip, whatever is not a token is refused with a reason, and proofs bind what they should.

use std::sync::LazyLock;

use proptest::prelude::*;

use super::*;
use crate::authority::ClusterAuthority;

const CLUSTER: ClusterId = ClusterId([0x11; 16]);

static CA: LazyLock<CertificateDer<'static>> =
    LazyLock::new(|| ClusterAuthority::create(CLUSTER, 1_790_000_000).unwrap().certificate().clone());

fn terms() -> JoinTerms {
    JoinTerms {
        cluster_id: CLUSTER,
        ca_cert: CA.clone(),
        voter: true,
        region: Some("eu-ams".to_owned()),
        expires_at: 1_800_000_000,
        endpoints: vec!["10.0.0.1:7400".to_owned(), "[2001:db8::1]:7400".to_owned()],
    }
}

fn text(token: &JoinToken) -> String {
    token.encode().expose_secret().to_owned()
}

/// A text with these contents and a fitting checksum.
fn with_checksum(contents: &[u8]) -> String {
    let bytes = [contents, &checksum(contents)].concat();
    format!("{PREFIX}{}", URL_SAFE_NO_PAD.encode(bytes))
}

fn contents(token: &JoinToken) -> Vec<u8> {
    let mut bytes = URL_SAFE_NO_PAD.decode(&text(token)[PREFIX.len()..]).unwrap();
    bytes.truncate(bytes.len() - 4);
    bytes
}

#[test]
fn a_token_reads_back_as_it_was() {
    let token = JoinToken::issue(terms()).unwrap();
    let text = text(&token);
    assert!(text.starts_with("ncj1."));
    assert!(text.len() < 1000, "{} characters", text.len());
    let read = JoinToken::decode(&format!("  {text}\n")).unwrap();
    assert_eq!(read.id(), token.id());
    assert_eq!(read.terms(), token.terms());
    assert_eq!(read.secret.expose_secret(), token.secret.expose_secret());
    assert_eq!(read.verifier(), token.verifier());
    assert!(read.is_expired(1_800_000_000) && !read.is_expired(1_799_999_999));
}

#[test]
fn no_two_tokens_are_alike() {
    let (one, two) = (JoinToken::issue(terms()).unwrap(), JoinToken::issue(terms()).unwrap());
    assert_ne!(one.id(), two.id());
    assert_ne!(one.verifier(), two.verifier());
}

#[test]
fn every_cut_and_every_changed_character_is_noticed() {
    let text = text(&JoinToken::issue(terms()).unwrap());
    for length in 0..text.len() {
        assert!(JoinToken::decode(&text[..length]).is_err(), "length {length}");
    }
    for at in 0..text.len() {
        let mut changed = text.clone().into_bytes();
        changed[at] = if changed[at] == b'A' { b'B' } else { b'A' };
        let changed = String::from_utf8(changed).unwrap();
        assert!(JoinToken::decode(&changed).is_err(), "character {at}");
    }
}

#[test]
fn the_reason_helps() {
    let good = text(&JoinToken::issue(terms()).unwrap());
    let cases = [
        (String::new(), TokenError::NotAToken),
        ("hunter2".to_owned(), TokenError::NotAToken),
        ("ncjx.abc".to_owned(), TokenError::NotAToken),
        ("ncj2.abc".to_owned(), TokenError::Version { version: 2 }),
        ("ncj1.".to_owned(), TokenError::Damaged),
        (good[..good.len() - 1].to_owned(), TokenError::Damaged),
        (good.replace('.', ".\n"), TokenError::Damaged),
        ("ncj1.".to_owned() + &"A".repeat(MAX_TEXT), TokenError::TooLong { most: MAX_TEXT }),
    ];
    for (text, expected) in cases {
        assert_eq!(JoinToken::decode(&text).unwrap_err(), expected, "{text:.40}");
    }
}

#[test]
fn contents_past_the_checksum_are_checked_too() {
    let token = JoinToken::issue(terms()).unwrap();
    let good = contents(&token);
    assert!(JoinToken::decode(&with_checksum(&good)).is_ok());

    let longer = [good.as_slice(), b"x"].concat();
    let mut unknown_flag = good.clone();
    unknown_flag[64] |= 2;
    let mut other_cluster = good.clone();
    other_cluster[0] ^= 1;
    for (what, bytes) in [("longer", longer), ("flag", unknown_flag), ("cluster", other_cluster)] {
        let refused = JoinToken::decode(&with_checksum(&bytes));
        assert!(matches!(refused, Err(TokenError::Invalid { .. })), "{what}: {refused:?}");
    }
    for length in 0..good.len() {
        assert!(JoinToken::decode(&with_checksum(&good[..length])).is_err());
    }
}

#[test]
fn terms_have_limits() {
    let refused = |change: fn(&mut JoinTerms)| {
        let mut terms = terms();
        change(&mut terms);
        matches!(JoinToken::issue(terms), Err(TokenError::Invalid { .. }))
    };
    assert!(!refused(|_| {}));
    assert!(!refused(|terms| terms.region = None));
    assert!(refused(|terms| terms.region = Some(String::new())));
    assert!(refused(|terms| terms.region = Some("x".repeat(65))));
    assert!(refused(|terms| terms.endpoints.clear()));
    assert!(refused(|terms| terms.endpoints = vec!["a:1".to_owned(); 17]));
    assert!(refused(|terms| terms.cluster_id = ClusterId([0; 16])));
    assert!(refused(|terms| terms.ca_cert = CertificateDer::from(vec![0; 10])));
    assert!(refused(|terms| terms.ca_cert = CertificateDer::from(vec![0; MAX_CA + 1])));
    for endpoint in ["", "host", "host:", ":1", "host:0", "host:65536", "host:x", "a b:1", "h\u{e9}:1"] {
        let mut terms = terms();
        terms.endpoints = vec![endpoint.to_owned()];
        assert!(JoinToken::issue(terms).is_err(), "{endpoint:?}");
    }
}

#[test]
fn a_proof_holds_for_its_token_and_request_only() {
    let token = JoinToken::issue(terms()).unwrap();
    let proof = token.prove(b"the request").unwrap();
    let verifier = token.verifier();
    let check = |proof: &JoinProof, verifier, cluster, id, csr: &[u8]| proof.verify(&verifier, cluster, id, csr);
    assert_eq!(check(&proof, verifier, CLUSTER, token.id(), b"the request"), Ok(()));

    let refused = Err(ProofError::Refused);
    let other = JoinToken::issue(terms()).unwrap();
    assert_eq!(check(&proof, verifier, CLUSTER, token.id(), b"another request"), refused);
    assert_eq!(check(&proof, other.verifier(), CLUSTER, token.id(), b"the request"), refused);
    assert_eq!(check(&proof, verifier, CLUSTER, other.id(), b"the request"), refused);
    assert_eq!(check(&proof, verifier, ClusterId([0; 16]), token.id(), b"the request"), refused);
    let by_another = other.prove(b"the request").unwrap();
    assert_eq!(check(&by_another, verifier, CLUSTER, token.id(), b"the request"), refused);
    // A verifier that is no point of the curve at all.
    assert_eq!(check(&proof, [0xff; 32], CLUSTER, token.id(), b"the request"), refused);
}

#[test]
fn every_changed_bit_of_a_proof_is_noticed() {
    let token = JoinToken::issue(terms()).unwrap();
    let proof = token.prove(b"the request").unwrap();
    let parts = [proof.nonce(), proof.signature()].concat();
    for bit in 0..parts.len() * 8 {
        let mut changed = parts.clone();
        changed[bit / 8] ^= 1 << (bit % 8);
        let (nonce, signature) = changed.split_at(proof.nonce().len());
        let changed = JoinProof::from_parts(nonce, signature).unwrap();
        let refused = changed.verify(&token.verifier(), CLUSTER, token.id(), b"the request");
        assert_eq!(refused, Err(ProofError::Refused), "bit {bit}");
    }
}

/// What the state stores must not be what proofs are made with.
#[test]
fn the_verifier_makes_no_proofs() {
    let token = JoinToken::issue(terms()).unwrap();
    let thief = JoinProof::make(&token.verifier(), CLUSTER, token.id(), b"the request").unwrap();
    let refused = thief.verify(&token.verifier(), CLUSTER, token.id(), b"the request");
    assert_eq!(refused, Err(ProofError::Refused));
}

#[test]
fn proofs_of_another_shape_are_malformed() {
    assert_eq!(JoinProof::from_parts(&[0; 15], &[0; 64]), Err(ProofError::Malformed));
    assert_eq!(JoinProof::from_parts(&[0; 16], &[0; 32]), Err(ProofError::Malformed));
    assert_eq!(TokenId::try_from([0; 15].as_slice()), Err(ProofError::Malformed));
}

/// Tokens and verifiers of version 1 outlive the software that made them: this one was made once and must stay readable,
/// with this verifier.
#[test]
fn the_derivation_of_the_verifier_never_changes() {
    assert_eq!(hex::encode(proof::verifier(&[7; 32])), VERIFIER_OF_SEVENS);
}

#[test]
fn debug_keeps_the_secret() {
    let token = JoinToken::issue(terms()).unwrap();
    let shown = format!("{token:?} {:?}", token.encode());
    let secret = token.secret.expose_secret();
    assert!(!shown.contains(&hex::encode(secret)));
    assert!(!shown.contains(&format!("{secret:?}")));
    assert!(!shown.contains(&URL_SAFE_NO_PAD.encode(secret)[..40]));
    assert!(!shown.contains("ncj1."));
    assert!(shown.contains(&token.id().to_string()));
}

proptest! {
    #[test]
    fn decoding_any_text_never_panics(text in ".*") {
        prop_assert!(JoinToken::decode(&text).is_err());
        let prefixed = PREFIX.to_owned() + &text;
        prop_assert!(JoinToken::decode(&prefixed).is_err());
    }

    #[test]
    fn decoding_any_contents_never_panics(bytes: Vec<u8>) {
        prop_assert!(JoinToken::decode(&with_checksum(&bytes)).is_err());
    }

    /// Damage where the checksum does not help, because it was made to fit.
    #[test]
    fn decoding_changed_contents_never_panics(at: prop::sample::Index, byte: u8, cut: prop::sample::Index) {
        let mut bytes = contents(&JoinToken::issue(terms()).unwrap());
        let index = at.index(bytes.len());
        bytes[index] = byte;
        let _ = JoinToken::decode(&with_checksum(&bytes));
        let _ = JoinToken::decode(&with_checksum(&bytes[..cut.index(bytes.len())]));
    }

    #[test]
    fn terms_within_limits_round_trip(
        voter: bool,
        region in prop::option::of("[a-z]{1,8}(-[a-z]{1,8}){0,3}"),
        expires_at: u64,
        endpoints in prop::collection::vec("[a-z0-9.]{1,60}:[1-9][0-9]{0,3}", 1..16),
    ) {
        let terms = JoinTerms { voter, region, expires_at, endpoints, ..terms() };
        let token = JoinToken::issue(terms.clone()).unwrap();
        let read = JoinToken::decode(token.encode().expose_secret()).unwrap();
        prop_assert_eq!(read.terms(), &terms);
    }
}

const VERIFIER_OF_SEVENS: &str = "7db5a90638fd6c2a145dcf1cf9098d1d35a3e2d36003f5c384840f888f0aecac";
