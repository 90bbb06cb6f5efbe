//! Passwords, kept as Argon2id (RFC 9106).

use argon2::{Algorithm, Argon2, Params, Version};
use serde::{Deserialize, Serialize};
use subtle::ConstantTimeEq as _;
use zeroize::Zeroizing;

use crate::error::ApiError;
use crate::offload::Pool;
use crate::params::SecretText;
use crate::random::Random;

/// Longest password, in bytes.
pub(super) const MAX_PASSWORD_BYTES: usize = 4096;

/// What is kept of a password. The cost stands with it, so that it can be raised later.
#[derive(Clone, Default, Serialize, Deserialize)]
pub(super) struct PasswordHash {
    memory_kib: u32,
    passes: u32,
    lanes: u32,
    /// Hexadecimal.
    salt: String,
    /// Hexadecimal.
    hash: Zeroizing<String>,
}

impl std::fmt::Debug for PasswordHash {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("PasswordHash")
    }
}

/// 19 MiB and two passes: what OWASP asks for at least. About 20 ms of one core.
const MEMORY_KIB: u32 = 19 * 1024;
const PASSES: u32 = 2;
const LANES: u32 = 1;
const SALT_BYTES: usize = 16;
const HASH_BYTES: usize = 32;

impl PasswordHash {
    /// Hashes a new password with a salt of its own.
    pub(super) async fn new(
        password: SecretText,
        rng: &dyn Random,
        pool: &Pool,
    ) -> Result<Self, ApiError> {
        let mut salt = [0; SALT_BYTES];
        rng.fill(&mut salt)?;
        let mut made = Self {
            memory_kib: MEMORY_KIB,
            passes: PASSES,
            lanes: LANES,
            salt: hex::encode(salt),
            hash: Zeroizing::default(),
        };
        let hash = made.computed(password, pool).await?;
        made.hash = Zeroizing::new(hex::encode(hash.as_slice()));
        Ok(made)
    }

    /// Stands in for users that do not exist: refusing costs the same. No password has this hash.
    pub(super) fn decoy() -> Self {
        Self {
            memory_kib: MEMORY_KIB,
            passes: PASSES,
            lanes: LANES,
            salt: hex::encode([0; SALT_BYTES]),
            hash: Zeroizing::default(),
        }
    }

    pub(super) async fn is_of(&self, password: SecretText, pool: &Pool) -> Result<bool, ApiError> {
        let computed = self.computed(password, pool).await?;
        let computed = Zeroizing::new(hex::encode(computed.as_slice()));
        Ok(computed.as_bytes().ct_eq(self.hash.as_bytes()).into())
    }

    async fn computed(
        &self,
        password: SecretText,
        pool: &Pool,
    ) -> Result<Zeroizing<[u8; HASH_BYTES]>, ApiError> {
        let params = Params::new(self.memory_kib, self.passes, self.lanes, Some(HASH_BYTES))
            .map_err(ApiError::internal)?;
        let salt = hex::decode(&self.salt).map_err(ApiError::internal)?;
        let work = move || {
            let mut out = Zeroizing::new([0; HASH_BYTES]);
            Argon2::new(Algorithm::Argon2id, Version::V0x13, params)
                .hash_password_into(password.0.as_bytes(), &salt, out.as_mut_slice())
                .map(|()| out)
        };
        pool.run(work).await?.map_err(ApiError::internal)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::random::SeededRng;

    fn text(password: &str) -> SecretText {
        SecretText(Zeroizing::new(password.to_owned()))
    }

    #[tokio::test]
    async fn only_the_password_itself_is_the_password() {
        let (rng, pool) = (SeededRng::default(), Pool::new(1, 10));
        let hash = PasswordHash::new(text("hunter2"), &rng, &pool)
            .await
            .unwrap();
        let again = PasswordHash::new(text("hunter2"), &rng, &pool)
            .await
            .unwrap();
        assert_ne!(hash.hash, again.hash, "each has a salt of its own");
        let stored = serde_json::to_string(&hash).unwrap();
        let read: PasswordHash = serde_json::from_str(&stored).unwrap();
        for (password, expected) in [("hunter2", true), ("hunter", false), ("", false)] {
            let found = read.is_of(text(password), &pool).await.unwrap();
            assert_eq!(found, expected, "{password:?}");
        }
        assert!(!stored.contains("hunter2"));
    }

    #[tokio::test]
    async fn nothing_is_the_password_of_a_user_that_does_not_exist() {
        let pool = Pool::new(1, 10);
        assert!(!PasswordHash::decoy().is_of(text(""), &pool).await.unwrap());
    }

    /// Computed with the reference implementation in C.
    #[tokio::test]
    async fn the_hash_is_argon2id() {
        let hash = PasswordHash {
            salt: hex::encode("0123456789abcdef"),
            ..PasswordHash::decoy()
        };
        let computed = hash.computed(text("password"), &Pool::new(1, 1)).await;
        assert_eq!(
            hex::encode(computed.unwrap().as_slice()),
            "d2ab07b39ef7f8b806227cd86fbb11aa5393066a98e17eacacd126eb26e9276d"
        );
    }
}
