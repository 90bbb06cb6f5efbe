//! The store before its keys are known.

use std::sync::Arc;

use rand_core::CryptoRng;
use zeroize::Zeroizing;

use super::cipher::{Cipher, KEY_LENGTH, OpenError, to_key};
use super::keyring::KeyRing;
use super::unsealed::Unsealed;
use super::{BarrierError, paths};
use crate::backend::{Backend, Batch, Entry, Expect};
use crate::error::StorageError;
use crate::record;
use crate::seal::{SealConfig, SealKind, UnsealKey, shamir};

/// Knows whether there is something to unseal and how; can read nothing.
#[derive(Clone, Debug)]
pub struct Sealed {
    backend: Arc<dyn Backend>,
}

/// What a new store is made with.
#[derive(Debug)]
pub struct InitParams {
    pub config: SealConfig,
    /// For Shamir a fresh one, [`UnsealKey::generate`]; for a static seal the configured one.
    pub unseal_key: UnsealKey,
    pub now_unix_nanos: u64,
}

/// A new store, open.
#[derive(Debug)]
pub struct Initialized {
    /// The shares of the unseal key; none for a static seal. Shown once, kept nowhere.
    pub shares: Vec<Zeroizing<Vec<u8>>>,
    pub unsealed: Arc<Unsealed>,
}

impl Sealed {
    pub fn new(backend: Arc<dyn Backend>) -> Self {
        Self { backend }
    }

    /// `None` means that the store was never initialized.
    pub async fn seal_config(&self) -> Result<Option<SealConfig>, StorageError> {
        match self.backend.get(paths::SEAL_CONFIG).await? {
            None => Ok(None),
            Some(Entry { value, .. }) => record::decode(paths::SEAL_CONFIG, value).map(Some),
        }
    }

    /// Makes the keys of a new store. Of several callers one succeeds.
    ///
    /// # Errors
    /// [`BarrierError::AlreadyInitialized`].
    pub async fn initialize(
        &self,
        params: InitParams,
        rng: &mut (dyn CryptoRng + Send),
    ) -> Result<Initialized, BarrierError> {
        let InitParams {
            config,
            unseal_key,
            now_unix_nanos,
        } = params;
        let shares = match config.kind {
            SealKind::Shamir => shamir::split(
                unseal_key.as_bytes(),
                config.secret_shares,
                config.secret_threshold,
                rng,
            )?,
            SealKind::Static => Vec::new(),
        };
        let root_key = random_key(rng);
        let derivation_secret = random_key(rng);
        let keyring = KeyRing::new(random_key(rng), now_unix_nanos)?;

        let mut batch = Batch::new();
        for path in [paths::SEAL_CONFIG, paths::ROOT_KEY, paths::KEYRING] {
            batch.expect(path, Expect::Absent);
        }
        batch.put(
            paths::SEAL_CONFIG,
            record::encode(paths::SEAL_CONFIG, &config)?,
        );
        batch.put(paths::ROOT_KEY, wrap_root_key(&root_key, &unseal_key)?);
        batch.put(paths::KEYRING, seal_ring(&keyring, &root_key)?);
        batch.put(
            paths::DERIVATION_SECRET,
            keyring.seal(paths::DERIVATION_SECRET, derivation_secret.as_slice())?,
        );
        match self.backend.commit(batch).await {
            Ok(_) => {}
            Err(StorageError::Conflict { .. }) => return Err(BarrierError::AlreadyInitialized),
            Err(error) => return Err(error.into()),
        }
        Ok(Initialized {
            shares,
            unsealed: self.unseal(&unseal_key).await?,
        })
    }

    /// Makes this the store that `draft` is, in one commit: whatever happens, there is all of it or
    /// nothing. Of several callers one succeeds.
    ///
    /// # Errors
    /// [`BarrierError::AlreadyInitialized`].
    pub async fn adopt(&self, draft: &dyn Backend) -> Result<(), BarrierError> {
        let mut batch = Batch::new();
        for path in [paths::SEAL_CONFIG, paths::ROOT_KEY, paths::KEYRING] {
            batch.expect(path, Expect::Absent);
        }
        let mut after: Option<String> = None;
        loop {
            let page = draft.scan("", after.as_deref(), DRAFT_PAGE).await?;
            let is_full = page.len() == DRAFT_PAGE;
            after = page.last().map(|(path, _)| path.clone());
            for (path, entry) in page {
                batch.put(path, entry.value);
            }
            if !is_full {
                break;
            }
        }
        match self.backend.commit(batch).await {
            Ok(_) => Ok(()),
            Err(StorageError::Conflict { .. }) => Err(BarrierError::AlreadyInitialized),
            Err(error) => Err(error.into()),
        }
    }

    /// # Errors
    /// [`BarrierError::NotInitialized`], [`BarrierError::WrongUnsealKey`].
    pub async fn unseal(&self, unseal_key: &UnsealKey) -> Result<Arc<Unsealed>, BarrierError> {
        let root_key = read_root_key(&*self.backend, unseal_key).await?;
        Ok(Arc::new(
            Unsealed::open(Arc::clone(&self.backend), root_key).await?,
        ))
    }
}

pub(super) fn random_key(rng: &mut dyn CryptoRng) -> Zeroizing<[u8; KEY_LENGTH]> {
    let mut key = Zeroizing::new([0; KEY_LENGTH]);
    rng.fill_bytes(key.as_mut_slice());
    key
}

pub(super) async fn read_root_key(
    backend: &dyn Backend,
    unseal_key: &UnsealKey,
) -> Result<Zeroizing<[u8; KEY_LENGTH]>, BarrierError> {
    let Some(wrapped) = backend.get(paths::ROOT_KEY).await? else {
        return Err(BarrierError::NotInitialized);
    };
    let opened = cipher(unseal_key.as_bytes())?.open(paths::ROOT_KEY, wrapped.value);
    match opened {
        Ok(bytes) => to_key(bytes).ok_or_else(|| {
            StorageError::corrupt(paths::ROOT_KEY, "key of the wrong length").into()
        }),
        Err(OpenError::Authentication) => Err(BarrierError::WrongUnsealKey),
        Err(OpenError::Malformed) => {
            Err(StorageError::corrupt(paths::ROOT_KEY, "not an encrypted record").into())
        }
    }
}

pub(super) fn wrap_root_key(
    root_key: &[u8; KEY_LENGTH],
    unseal_key: &UnsealKey,
) -> Result<Vec<u8>, StorageError> {
    cipher(unseal_key.as_bytes())?
        .seal(NO_TERM, paths::ROOT_KEY, root_key)
        .map_err(|_unspecified| StorageError::Encrypt)
}

pub(super) fn seal_ring(
    ring: &KeyRing,
    root_key: &[u8; KEY_LENGTH],
) -> Result<Vec<u8>, StorageError> {
    cipher(root_key)?
        .seal(NO_TERM, paths::KEYRING, &ring.encode(paths::KEYRING)?)
        .map_err(|_unspecified| StorageError::Encrypt)
}

pub(super) async fn read_ring(
    backend: &dyn Backend,
    root_key: &[u8; KEY_LENGTH],
    known: Option<&KeyRing>,
) -> Result<KeyRing, StorageError> {
    let Some(stored) = backend.get(paths::KEYRING).await? else {
        return Err(StorageError::corrupt(paths::KEYRING, "missing"));
    };
    let plaintext = cipher(root_key)?
        .open(paths::KEYRING, stored.value)
        .map_err(|_| StorageError::corrupt(paths::KEYRING, "message authentication failed"))?;
    KeyRing::decode(paths::KEYRING, plaintext, stored.version, known)
}

fn cipher(key: &[u8; KEY_LENGTH]) -> Result<Cipher, StorageError> {
    Cipher::new(key).map_err(|_unspecified| StorageError::Encrypt)
}

/// Entries of a new store that are read in one go.
const DRAFT_PAGE: usize = 500;
/// Keys that wrap keys have no term.
const NO_TERM: u32 = 0;
