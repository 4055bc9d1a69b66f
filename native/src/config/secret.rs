//! Text that must never be shown: passwords, and connection strings that may hold one (rules A06, CP-47).

use std::fmt;
use std::hint::black_box;
use std::mem;

use serde::{Deserialize, Deserializer};

/// A secret text. `Debug` never shows it, there is no `Display`, and its bytes are overwritten when it is dropped.
///
/// The overwrite is best effort: copies that an allocator or the caller made earlier are out of reach.
#[derive(Clone)]
pub struct Secret(String);

impl Secret {
    /// Takes the text over.
    #[must_use]
    pub const fn new(text: String) -> Self {
        Self(text)
    }

    /// The text itself, for the one place that needs it.
    #[must_use]
    pub fn expose(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("<secret>")
    }
}

impl Drop for Secret {
    fn drop(&mut self) {
        let mut bytes = mem::take(&mut self.0).into_bytes();
        bytes.fill(0);
        // Without a reader the compiler may drop the overwrite together with the buffer.
        black_box(&bytes);
    }
}

impl<'de> Deserialize<'de> for Secret {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer).map(Self)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sec_a06_debug_shows_nothing_of_the_text() {
        let secret = Secret::new("canary".into());
        assert_eq!(
            format!("{secret:?} {:#?}", Some(secret.clone()))
                .matches("canary")
                .count(),
            0
        );
        assert_eq!(secret.expose(), "canary");
    }
}
