//! A new root token, for whoever brings enough shares.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD_NO_PAD;
use signet_storage::Batch;
use zeroize::Zeroizing;

use crate::error::ApiError;
use crate::node::{Core, Node};
use crate::random::{base62, uuid};
use crate::seal::authority::{self, AuthorityError};
use crate::seal::initialize::root_token_record;
use crate::seal::shares::{Share, ShareSet};

/// Characters of the one-time password: as many as a token has.
pub const OTP_LENGTH: usize = 28;

/// The attempt under way.
pub(super) struct Attempt {
    nonce: String,
    otp: Zeroizing<String>,
    shares: ShareSet,
}

impl std::fmt::Debug for Attempt {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Attempt")
            .field("nonce", &self.nonce)
            .field("shares", &self.shares)
            .finish_non_exhaustive()
    }
}

/// How far an attempt has come.
#[derive(Debug, Default)]
pub struct GenerateRootStatus {
    pub nonce: String,
    pub started: bool,
    pub progress: usize,
    pub required: u8,
    pub complete: bool,
    /// The token, combined with the password by XOR, in base64 without padding.
    pub encoded_token: Zeroizing<String>,
    /// Only in the answer that starts the attempt, and only when it was made here.
    pub otp: Zeroizing<String>,
}

impl Node {
    pub async fn generate_root_status(&self, core: &Core) -> Result<GenerateRootStatus, ApiError> {
        let required = authority::required_shares(self, core).await?;
        let guard = self.ceremonies.generate_root.lock();
        Ok(guard.as_ref().map_or_else(
            || GenerateRootStatus {
                required,
                ..GenerateRootStatus::default()
            },
            |attempt| attempt.status(required),
        ))
    }

    /// Begins an attempt; without `otp` a password is made.
    pub async fn start_generate_root(
        &self,
        core: &Core,
        otp: Option<Zeroizing<String>>,
    ) -> Result<GenerateRootStatus, ApiError> {
        let required = authority::required_shares(self, core).await?;
        if required == 0 {
            return Err(ApiError::bad_request(
                "no recovery key exists that could authorise a root token",
            ));
        }
        if otp.as_ref().is_some_and(|otp| otp.len() != OTP_LENGTH) {
            return Err(ApiError::bad_request("OTP string has incorrect length"));
        }
        let (otp, shown) = if let Some(given) = otp {
            (given, Zeroizing::default())
        } else {
            let made = Zeroizing::new(base62(self.rng(), OTP_LENGTH)?);
            (made.clone(), made)
        };
        let nonce = uuid(self.rng())?;
        let mut guard = self.ceremonies.generate_root.lock();
        if guard.is_some() {
            return Err(ApiError::bad_request("root generation already in progress"));
        }
        *guard = Some(Attempt {
            nonce: nonce.clone(),
            otp,
            shares: ShareSet::default(),
        });
        Ok(GenerateRootStatus {
            nonce,
            started: true,
            required,
            otp: shown,
            ..GenerateRootStatus::default()
        })
    }

    pub fn cancel_generate_root(&self) {
        *self.ceremonies.generate_root.lock() = None;
    }

    /// Takes one share; with the last one needed the token is made.
    ///
    /// # Errors
    /// `BadRequest`; a set that proves nothing is dropped, the attempt goes on.
    pub async fn update_generate_root(
        &self,
        core: &Core,
        share: Share,
        nonce: &str,
    ) -> Result<GenerateRootStatus, ApiError> {
        let required = authority::required_shares(self, core).await?;
        let complete = {
            let mut guard = self.ceremonies.generate_root.lock();
            let attempt = guard.as_mut().ok_or_else(not_started)?;
            if attempt.nonce != nonce {
                return Err(ApiError::bad_request(format!(
                    "incorrect nonce supplied; nonce for this root generation operation is {:?}",
                    attempt.nonce
                )));
            }
            if !attempt.shares.add(share) {
                return Err(ApiError::bad_request(
                    "given key has already been provided during this generation operation",
                ));
            }
            let Some(shares) = attempt.shares.take_if_complete(required) else {
                return Ok(attempt.status(required));
            };
            shares
        };
        authority::verify(self, core, &complete)
            .await
            .map_err(aborted)?;
        let attempt = self.take_attempt(nonce).ok_or_else(not_started)?;
        let mut batch = Batch::default();
        let record = root_token_record(self.now());
        let token = core.tokens.create(&mut batch, record, None)?;
        core.store.commit(batch).await?;
        Ok(GenerateRootStatus {
            nonce: attempt.nonce,
            started: true,
            progress: usize::from(required),
            required,
            complete: true,
            encoded_token: encode(&token.secret, &attempt.otp),
            otp: Zeroizing::default(),
        })
    }

    /// `None` when the attempt was cancelled meanwhile.
    fn take_attempt(&self, nonce: &str) -> Option<Attempt> {
        let mut guard = self.ceremonies.generate_root.lock();
        guard.take_if(|attempt| attempt.nonce == nonce)
    }
}

impl Attempt {
    fn status(&self, required: u8) -> GenerateRootStatus {
        GenerateRootStatus {
            nonce: self.nonce.clone(),
            started: true,
            progress: self.shares.len(),
            required,
            ..GenerateRootStatus::default()
        }
    }
}

fn not_started() -> ApiError {
    ApiError::bad_request("no root generation in progress")
}

fn aborted(error: AuthorityError) -> ApiError {
    error.into_api_error(
        "root generation aborted: unable to authenticate: unable to retrieve stored keys: ",
    )
}

fn encode(token: &str, otp: &str) -> Zeroizing<String> {
    let mixed: Zeroizing<Vec<u8>> = Zeroizing::new(
        token
            .bytes()
            .zip(otp.bytes())
            .map(|(token, otp)| token ^ otp)
            .collect(),
    );
    Zeroizing::new(STANDARD_NO_PAD.encode(mixed.as_slice()))
}
