//! New shares of the unseal key or of the recovery key, for whoever brings enough of the old ones.
//!
//! With verification the new key takes effect only after its shares were brought back once, so
//! that a lost answer does not lock anybody out.

use signet_storage::seal::shamir;
use signet_storage::{SealConfig, SealKind, UnsealKey, system_random};
use subtle::ConstantTimeEq;
use zeroize::Zeroizing;

use crate::error::ApiError;
use crate::node::{Core, Node};
use crate::random::uuid;
use crate::seal::authority;
use crate::seal::recovery::{self, Recovery};
use crate::seal::shares::{Share, ShareSet};

/// Which key gets new shares.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Target {
    Recovery,
    /// The unseal key, which opens the root key.
    Root,
}

/// The rekey under way.
#[derive(Debug)]
pub(super) struct Rekey {
    nonce: String,
    shares: u8,
    threshold: u8,
    verification_required: bool,
    brought: ShareSet,
    /// The new key, waiting to be verified.
    pending: Option<Pending>,
}

struct Pending {
    nonce: String,
    key: Key,
    brought: ShareSet,
}

type Key = Zeroizing<[u8; UnsealKey::LENGTH]>;

impl std::fmt::Debug for Pending {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Pending").finish_non_exhaustive()
    }
}

/// What the new key is to be split into.
#[derive(Clone, Copy, Debug)]
pub struct NewShares {
    pub shares: u8,
    pub threshold: u8,
    pub verification_required: bool,
}

/// How far a rekey has come.
#[derive(Clone, Debug, Default)]
pub struct RekeyStatus {
    pub nonce: String,
    pub started: bool,
    /// Of the new key; 0 when nothing was started.
    pub threshold: u8,
    pub shares: u8,
    pub progress: usize,
    /// Shares of the old key that are needed.
    pub required: u8,
    pub verification_required: bool,
    /// Set while the new shares wait to be verified.
    pub verification_nonce: Option<String>,
}

/// What one more share led to.
#[derive(Debug)]
pub enum RekeyStep {
    Waiting(RekeyStatus),
    Done {
        nonce: String,
        shares: Vec<Share>,
        /// With verification: the new shares have no effect yet.
        verification_nonce: Option<String>,
    },
}

/// How far a verification has come.
#[derive(Clone, Debug)]
pub struct VerifyStatus {
    pub nonce: String,
    pub threshold: u8,
    pub shares: u8,
    pub progress: usize,
}

/// What one more share led to.
#[derive(Debug)]
pub enum VerifyStep {
    Waiting(VerifyStatus),
    Done { nonce: String },
}

impl Node {
    pub async fn rekey_status(&self, core: &Core, target: Target) -> Result<RekeyStatus, ApiError> {
        self.check_target(target).await?;
        let required = authority::required_shares(self, core).await?;
        let guard = self.rekey(target).lock();
        Ok(guard.as_ref().map_or_else(
            || RekeyStatus {
                required,
                ..RekeyStatus::default()
            },
            |rekey| rekey.status(required),
        ))
    }

    pub async fn start_rekey(
        &self,
        core: &Core,
        target: Target,
        new: NewShares,
    ) -> Result<RekeyStatus, ApiError> {
        self.check_target(target).await?;
        if target == Target::Root && self.seal_config().await?.kind == SealKind::Static {
            return Err(ApiError::bad_request(
                "the unseal key is part of the server's configuration; change it there",
            ));
        }
        let required = authority::required_shares(self, core).await?;
        let nonce = uuid(self.rng())?;
        let mut guard = self.rekey(target).lock();
        if guard.is_some() {
            return Err(ApiError::bad_request("rekey already in progress"));
        }
        let rekey = guard.insert(Rekey {
            nonce,
            shares: new.shares,
            threshold: new.threshold,
            verification_required: new.verification_required,
            brought: ShareSet::default(),
            pending: None,
        });
        Ok(rekey.status(required))
    }

    pub fn cancel_rekey(&self, target: Target) {
        *self.rekey(target).lock() = None;
    }

    /// Takes a share of the old key; with the last one needed the new key is made.
    ///
    /// # Errors
    /// `BadRequest`; a set that proves nothing is dropped, the rekey goes on.
    pub async fn update_rekey(
        &self,
        core: &Core,
        target: Target,
        share: Share,
        nonce: &str,
    ) -> Result<RekeyStep, ApiError> {
        self.check_target(target).await?;
        let required = authority::required_shares(self, core).await?;
        let complete = {
            let mut guard = self.rekey(target).lock();
            let rekey = guard.as_mut().ok_or_else(|| not_started(target))?;
            if rekey.nonce != nonce {
                return Err(ApiError::bad_request(format!(
                    "incorrect nonce supplied; nonce for this rekey operation is {:?}",
                    rekey.nonce
                )));
            }
            if rekey.pending.is_some() {
                return Err(ApiError::bad_request(
                    "the new shares must be verified, or the rekey cancelled",
                ));
            }
            if !rekey.brought.add(share) {
                return Err(ApiError::bad_request(
                    "given key has already been provided during this generation operation",
                ));
            }
            match rekey.brought.take_if_complete(required) {
                Some(shares) => shares,
                None => return Ok(RekeyStep::Waiting(rekey.status(required))),
            }
        };
        authority::verify(self, core, &complete)
            .await
            .map_err(|error| error.into_api_error("failed to read root key: "))?;
        self.make_key(core, target, nonce).await
    }

    pub async fn verify_status(&self, target: Target) -> Result<VerifyStatus, ApiError> {
        self.check_target(target).await?;
        let guard = self.rekey(target).lock();
        guard
            .as_ref()
            .and_then(Rekey::verify_status)
            .ok_or_else(nothing_to_verify)
    }

    /// Forgets the shares brought for verification; the new key keeps waiting.
    pub async fn restart_verify(&self, target: Target) -> Result<VerifyStatus, ApiError> {
        self.check_target(target).await?;
        let nonce = uuid(self.rng())?;
        let mut guard = self.rekey(target).lock();
        let rekey = guard.as_mut().ok_or_else(nothing_to_verify)?;
        rekey.restart_verification(nonce);
        rekey.verify_status().ok_or_else(nothing_to_verify)
    }

    /// Takes a share of the new key; with the last one needed the new key takes effect.
    pub async fn update_verify(
        &self,
        core: &Core,
        target: Target,
        share: Share,
        nonce: &str,
    ) -> Result<VerifyStep, ApiError> {
        self.check_target(target).await?;
        let next_nonce = uuid(self.rng())?;
        let verified = {
            let mut guard = self.rekey(target).lock();
            let rekey = guard.as_mut().ok_or_else(nothing_to_verify)?;
            let threshold = rekey.threshold;
            let pending = rekey.pending.as_mut().ok_or_else(nothing_to_verify)?;
            if pending.nonce != nonce {
                return Err(ApiError::bad_request(format!(
                    "incorrect nonce supplied; nonce for this verify operation is {:?}",
                    pending.nonce
                )));
            }
            if !pending.brought.add(share) {
                return Err(ApiError::bad_request(
                    "given key has already been provided during this verify operation",
                ));
            }
            let Some(shares) = pending.brought.take_if_complete(threshold) else {
                let status = rekey.verify_status().ok_or_else(nothing_to_verify)?;
                return Ok(VerifyStep::Waiting(status));
            };
            let is_right = shares
                .join()
                .is_ok_and(|key| key.as_slice().ct_eq(pending.key.as_slice()).into());
            if !is_right {
                rekey.restart_verification(next_nonce);
                return Err(ApiError::bad_request(
                    "rekey verification failed; incorrect key shares supplied",
                ));
            }
            guard.take()
        };
        let Some(Rekey {
            shares,
            threshold,
            pending: Some(pending),
            ..
        }) = verified
        else {
            return Err(nothing_to_verify());
        };
        put_in_force(core, target, shares, threshold, &pending.key).await?;
        Ok(VerifyStep::Done {
            nonce: pending.nonce,
        })
    }

    async fn make_key(
        &self,
        core: &Core,
        target: Target,
        nonce: &str,
    ) -> Result<RekeyStep, ApiError> {
        let mut key: Key = Zeroizing::new([0; UnsealKey::LENGTH]);
        self.rng().fill(key.as_mut_slice())?;
        let verification_nonce = uuid(self.rng())?;
        let (shares, threshold, split) = {
            let mut guard = self.rekey(target).lock();
            // Cancelled meanwhile: then nobody gets shares.
            let rekey = guard
                .as_mut()
                .filter(|rekey| rekey.nonce == nonce && rekey.pending.is_none())
                .ok_or_else(|| not_started(target))?;
            let (shares, threshold) = (rekey.shares, rekey.threshold);
            let split = shamir::split(key.as_slice(), shares, threshold, &mut system_random())
                .map_err(ApiError::internal)?;
            if rekey.verification_required {
                rekey.pending = Some(Pending {
                    nonce: verification_nonce.clone(),
                    key,
                    brought: ShareSet::default(),
                });
                return Ok(RekeyStep::Done {
                    nonce: nonce.to_owned(),
                    shares: split,
                    verification_nonce: Some(verification_nonce),
                });
            }
            *guard = None;
            (shares, threshold, split)
        };
        put_in_force(core, target, shares, threshold, &key).await?;
        Ok(RekeyStep::Done {
            nonce: nonce.to_owned(),
            shares: split,
            verification_nonce: None,
        })
    }

    async fn check_target(&self, target: Target) -> Result<(), ApiError> {
        let kind = self.seal_config().await?.kind;
        if target == Target::Recovery && kind == SealKind::Shamir {
            return Err(ApiError::bad_request("recovery rekeying not supported"));
        }
        Ok(())
    }

    fn rekey(&self, target: Target) -> &parking_lot::Mutex<Option<Rekey>> {
        match target {
            Target::Recovery => &self.ceremonies.rekey_recovery,
            Target::Root => &self.ceremonies.rekey_root,
        }
    }
}

impl Rekey {
    fn status(&self, required: u8) -> RekeyStatus {
        RekeyStatus {
            nonce: self.nonce.clone(),
            started: true,
            threshold: self.threshold,
            shares: self.shares,
            progress: self.brought.len(),
            required,
            verification_required: self.verification_required,
            verification_nonce: self.pending.as_ref().map(|pending| pending.nonce.clone()),
        }
    }

    fn verify_status(&self) -> Option<VerifyStatus> {
        self.pending.as_ref().map(|pending| VerifyStatus {
            nonce: pending.nonce.clone(),
            threshold: self.threshold,
            shares: self.shares,
            progress: pending.brought.len(),
        })
    }

    fn restart_verification(&mut self, nonce: String) {
        if let Some(pending) = &mut self.pending {
            pending.nonce = nonce;
            pending.brought = ShareSet::default();
        }
    }
}

async fn put_in_force(
    core: &Core,
    target: Target,
    shares: u8,
    threshold: u8,
    key: &Key,
) -> Result<(), ApiError> {
    match target {
        Target::Recovery => {
            let recovery = Recovery::new(shares, threshold, key.as_slice());
            recovery::save(&core.store, &recovery).await
        }
        Target::Root => {
            let config = SealConfig::shamir(i64::from(shares), i64::from(threshold))
                .map_err(ApiError::internal)?;
            let key = UnsealKey::from_bytes(key.as_slice()).map_err(ApiError::internal)?;
            core.store.rewrap(&config, &key).await?;
            Ok(())
        }
    }
}

fn not_started(target: Target) -> ApiError {
    ApiError::bad_request(match target {
        Target::Recovery => "no recovery rekey in progress",
        Target::Root => "no barrier rekey in progress",
    })
}

fn nothing_to_verify() -> ApiError {
    ApiError::bad_request("no rekey configuration found")
}
