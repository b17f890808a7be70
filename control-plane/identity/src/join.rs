//! How a machine without a certificate becomes a node.
//!
//! # The scheme
//!
//! A join token carries 32 secret bytes. They are the seed of an Ed25519 key pair: the secret key exists only in the token,
//! and the public key ([`JoinToken::verifier`]) is all that the replicated state keeps.
//!
//! ```text
//!   ncore join-token create          replicated state             joiner (has the token)
//!   ───────────────────────          ────────────────             ──────────────────────
//!   seed  = 32 random bytes
//!   key   = Ed25519(KDF(seed))
//!   token = seed + terms ───────────────────────────────────────► (by hand)
//!   public half of key ────────────► token id → verifier,
//!                                    uses, expiry, roles
//!                                                                 TLS, server checked by the
//!                                                                 authority in the token
//!                                                   ◄──────────── token id, CSR, nonce,
//!                                                                 proof = sign(key, H(cluster id,
//!                                                                     token id, nonce, CSR))
//!                                    check proof, count the use
//!                                    ─────────────► certificate, cluster key
//! ```
//!
//! * The secret never crosses a wire. The joiner knows that it talks to the right cluster before it sends anything,
//!   because the authority's certificate is in the token.
//! * The proof is over the CSR, so whoever repeats it gets a certificate for a key that it does not have. The nonce makes
//!   two proofs over one CSR differ; nothing depends on its being remembered.
//! * Why a signature and not a keyed hash: a server that checks a keyed hash must store its key, and every node holds the
//!   replicated state. Any edge, snapshot or backup would then be a stock of working join tokens, those for voters
//!   included. From a public key no proof can be made. Nor is there a secret on the server's side whose comparison could
//!   leak by its timing.
//! * Expiry, number of uses, region and role are decided by the replicated state. In the token they are for the joiner's
//!   information, and changing them in the text changes nothing.

mod fields;
mod proof;
mod token;

pub use proof::JoinProof;
pub use token::{JoinTerms, JoinToken, TokenId};
