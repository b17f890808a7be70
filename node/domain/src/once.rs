//! "Do this once": a caller's idempotency key, and what it stands for in the log.

use ncore_model::{ClientId, Idempotency, Precondition};

/// The longest key, in bytes.
const KEY_BYTES_MAX: usize = 255;

/// A key that a caller chose for one request and its retries: 1 to 255 visible ASCII characters.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OnceKey(String);

/// The text is not a key.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("an idempotency key has 1 to {KEY_BYTES_MAX} visible ASCII characters")]
pub struct OnceKeyError;

impl OnceKey {
    /// Checks `text`.
    ///
    /// # Errors
    /// [`OnceKeyError`].
    pub fn parse(text: &str) -> Result<Self, OnceKeyError> {
        let is_key = (1..=KEY_BYTES_MAX).contains(&text.len()) && text.bytes().all(|byte| matches!(byte, 0x20..=0x7e));
        is_key.then(|| Self(text.to_owned())).ok_or(OnceKeyError)
    }

    /// The key as the log has it: within one client and one operation, for one payload.
    pub(crate) fn within(&self, client: &ClientId, operation: &str, payload: &Payload) -> Idempotency {
        let mut scope = Payload::new();
        scope.add(client.as_str().as_bytes());
        scope.add(operation.as_bytes());
        scope.add(self.0.as_bytes());
        Idempotency { scope: scope.digest(), payload: payload.digest() }
    }
}

/// What was asked for, as a digest of its fields in order. Each field carries its length, so no two lists look alike.
pub(crate) struct Payload(blake3::Hasher);

impl Payload {
    pub(crate) fn new() -> Self {
        Self(blake3::Hasher::new())
    }

    pub(crate) fn add(&mut self, field: &[u8]) {
        self.0.update(&(field.len() as u64).to_le_bytes());
        self.0.update(field);
    }

    /// A field that may be left out, which is not the same as an empty one.
    pub(crate) fn add_optional(&mut self, field: Option<&[u8]>) {
        match field {
            None => self.add(&[0]),
            Some(field) => {
                self.add(&[1]);
                self.add(field);
            }
        }
    }

    pub(crate) fn add_precondition(&mut self, precondition: &Precondition) {
        match precondition {
            Precondition::None => self.add(b"none"),
            Precondition::Absent => self.add(b"absent"),
            Precondition::Present => self.add(b"present"),
            Precondition::Matches(digests) => {
                self.add(b"matches");
                self.add(&digests.concat());
            }
        }
    }

    fn digest(&self) -> [u8; 32] {
        *self.0.finalize().as_bytes()
    }
}

#[cfg(test)]
mod tests {
    use ncore_model::ClientId;

    use super::{OnceKey, Payload};

    fn payload(fields: &[&[u8]]) -> [u8; 32] {
        let mut payload = Payload::new();
        fields.iter().for_each(|field| payload.add(field));
        payload.digest()
    }

    #[test]
    fn fields_do_not_run_together() {
        assert_ne!(payload(&[b"ab", b"c"]), payload(&[b"a", b"bc"]));
        assert_ne!(payload(&[b"a"]), payload(&[b"a", b""]));
    }

    #[test]
    fn scopes_are_apart() {
        let scope = |client: &str, operation: &str, key: &str| {
            let key = OnceKey::parse(key).expect("a key");
            key.within(&ClientId::from_text(client), operation, &Payload::new()).scope
        };
        let one = scope("cl_a", "upload", "k");
        assert_eq!(one, scope("cl_a", "upload", "k"));
        assert_ne!(one, scope("cl_b", "upload", "k"));
        assert_ne!(one, scope("cl_a", "delete", "k"));
        assert_ne!(one, scope("cl_a", "upload", "l"));
    }

    #[test]
    fn keys() {
        for bad in ["", "a\n", "ä", &"x".repeat(256)] {
            assert!(OnceKey::parse(bad).is_err(), "{bad:?}");
        }
        assert!(OnceKey::parse("9f0c a-b").is_ok());
    }
}
