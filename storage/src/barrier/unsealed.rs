//! The store with its keys.

use std::fmt;
use std::sync::Arc;

use arc_swap::ArcSwap;
use aws_lc_rs::hmac;
use parking_lot::Mutex;
use rand_core::CryptoRng;
use subtle::ConstantTimeEq;
use zeroize::{Zeroize, Zeroizing};

use super::cipher::{KEY_LENGTH, to_key};
use super::keyring::{EncryptionCount, KeyRing, ROTATION_DUE};
use super::sealed::{random_key, read_ring, read_root_key, seal_ring, wrap_root_key};
use super::{BarrierError, paths};
use crate::backend::{Backend, Batch, Entry, Expect, Observer, Version};
use crate::error::StorageError;
use crate::record;
use crate::seal::{SealConfig, UnsealKey};
use crate::view::Relative;

/// Encrypts what goes down and decrypts what comes up. Made by [`super::Sealed`] only; wipes its
/// keys when the last holder drops it.
pub struct Unsealed {
    backend: Arc<dyn Backend>,
    root_key: Zeroizing<[u8; KEY_LENGTH]>,
    ring: ArcSwap<KeyRing>,
    derivation: hmac::Key,
    relatives: Mutex<Vec<Arc<Relative>>>,
}

/// The active key, as `sys/key-status` shows it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct KeyStatus {
    pub term: u32,
    pub install_time_unix_nanos: u64,
    /// Rounded up at every restart.
    pub encryptions: u64,
    /// Whether the key has been used so often that it should be rotated.
    pub rotation_due: bool,
}

impl Unsealed {
    pub(super) async fn open(
        backend: Arc<dyn Backend>,
        root_key: Zeroizing<[u8; KEY_LENGTH]>,
    ) -> Result<Self, StorageError> {
        let ring = read_ring(&*backend, &root_key, None).await?;
        if let Some(stored) = backend.get(paths::ENCRYPTIONS).await? {
            let plaintext = ring.open(paths::ENCRYPTIONS, paths::ENCRYPTIONS, stored.value)?;
            let count: EncryptionCount = record::decode(paths::ENCRYPTIONS, plaintext)?;
            if count.term == ring.active().number {
                ring.active().resume(count.encryptions);
            }
        }
        let path = paths::DERIVATION_SECRET;
        let stored = backend
            .get(path)
            .await?
            .ok_or_else(|| StorageError::corrupt(path, "missing"))?;
        let secret = to_key(ring.open(path, path, stored.value)?)
            .ok_or_else(|| StorageError::corrupt(path, "secret of the wrong length"))?;
        Ok(Self {
            backend,
            root_key,
            ring: ArcSwap::from_pointee(ring),
            derivation: hmac::Key::new(hmac::HMAC_SHA256, secret.as_slice()),
            relatives: Mutex::default(),
        })
    }

    pub async fn get(&self, path: &str) -> Result<Option<Entry>, StorageError> {
        match self.backend.get(path).await? {
            None => Ok(None),
            Some(entry) => self.decrypt(path, entry).await.map(Some),
        }
    }

    /// See [`Backend::keys`].
    pub async fn keys(
        &self,
        prefix: &str,
        after: Option<&str>,
        limit: usize,
    ) -> Result<Vec<String>, StorageError> {
        self.backend.keys(prefix, after, limit).await
    }

    /// See [`Backend::scan`]. The barrier's own key records are left out, so that in a scan that
    /// covers them a page may be shorter than `limit` without being the last.
    pub async fn scan(
        &self,
        prefix: &str,
        after: Option<&str>,
        limit: usize,
    ) -> Result<Vec<(String, Entry)>, StorageError> {
        let page = self.backend.scan(prefix, after, limit).await?;
        let mut plain = Vec::with_capacity(page.len());
        for (key, entry) in page {
            let path = format!("{prefix}{key}");
            if !paths::is_outside_ring(&path) {
                plain.push((key, self.decrypt(&path, entry).await?));
            }
        }
        Ok(plain)
    }

    /// See [`Backend::children`].
    pub async fn children(
        &self,
        prefix: &str,
        after: Option<&str>,
        limit: usize,
    ) -> Result<Vec<String>, StorageError> {
        self.backend.children(prefix, after, limit).await
    }

    /// Encrypts the values of `batch` and commits it. See [`Backend::commit`].
    ///
    /// # Errors
    /// Also [`StorageError::InvalidPath`] for the barrier's own records.
    pub async fn commit(&self, batch: Batch) -> Result<Version, StorageError> {
        if let Some(path) = batch.paths().find(|path| paths::is_reserved(path)) {
            let reason = "belongs to the encryption barrier";
            return Err(StorageError::InvalidPath {
                path: path.to_owned(),
                reason,
            });
        }
        let ring = self.ring.load_full();
        let (changes, expectations) = batch.into_parts();
        let mut sealed = Batch::new();
        for (path, expect) in expectations {
            sealed.expect(path, expect);
        }
        for (path, value) in changes {
            match value {
                None => sealed.delete(path),
                Some(mut value) => {
                    let record = ring.seal(&path, &value);
                    value.zeroize();
                    sealed.put(path, record?);
                }
            }
        }
        let count = ring.active().count_to_record();
        if let Some(count) = &count {
            let plaintext = record::encode(paths::ENCRYPTIONS, count)?;
            sealed.put(
                paths::ENCRYPTIONS,
                ring.seal(paths::ENCRYPTIONS, &plaintext)?,
            );
        }
        let result = self.backend.commit(sealed).await;
        if count.is_some() && result.is_err() {
            ring.active().count_was_not_recorded();
        }
        result
    }

    /// See [`Backend::watch`]: `observer` is held weakly.
    pub fn watch(&self, observer: Arc<dyn Observer>) {
        self.backend.watch(observer);
    }

    /// Watches with an adapter that nobody else holds, for as long as what it adapts is alive.
    pub(crate) fn watch_kept(&self, relative: Arc<Relative>) {
        let observer: Arc<dyn Observer> = Arc::<Relative>::clone(&relative);
        self.backend.watch(observer);
        let mut relatives = self.relatives.lock();
        relatives.retain(|relative| relative.is_alive());
        relatives.push(relative);
    }

    /// Makes a new data key, with which everything is encrypted from now on. What is stored stays
    /// as it is and readable. Returns the new term.
    pub async fn rotate(
        &self,
        now_unix_nanos: u64,
        rng: &mut (dyn CryptoRng + Send),
    ) -> Result<u32, StorageError> {
        let current = read_ring(&*self.backend, &self.root_key, Some(&self.ring.load())).await?;
        let mut next = current.rotated(random_key(rng), now_unix_nanos)?;
        let mut batch = Batch::new();
        batch.expect(paths::KEYRING, Expect::Version(current.version));
        batch.put(paths::KEYRING, seal_ring(&next, &self.root_key)?);
        next.version = self.backend.commit(batch).await?;
        let term = next.active().number;
        self.adopt(next);
        Ok(term)
    }

    pub fn key_status(&self) -> KeyStatus {
        let ring = self.ring.load();
        let active = ring.active();
        KeyStatus {
            term: active.number,
            install_time_unix_nanos: active.install_time_unix_nanos,
            encryptions: active.encryptions(),
            rotation_due: active.encryptions() >= ROTATION_DUE,
        }
    }

    /// Puts the root key under a new unseal key; the old one opens nothing any more. For Shamir the
    /// caller splits the key ([`crate::seal::shamir::split`]) and hands out the shares first.
    pub async fn rewrap(
        &self,
        config: &SealConfig,
        unseal_key: &UnsealKey,
    ) -> Result<(), StorageError> {
        let mut batch = Batch::new();
        batch.expect(paths::SEAL_CONFIG, Expect::Present);
        batch.expect(paths::ROOT_KEY, Expect::Present);
        batch.put(
            paths::SEAL_CONFIG,
            record::encode(paths::SEAL_CONFIG, config)?,
        );
        batch.put(paths::ROOT_KEY, wrap_root_key(&self.root_key, unseal_key)?);
        self.backend.commit(batch).await?;
        Ok(())
    }

    /// Whether this is the store's unseal key: proof of authority for a rekey or a new root token.
    pub async fn verify_unseal_key(&self, unseal_key: &UnsealKey) -> Result<bool, StorageError> {
        match read_root_key(&*self.backend, unseal_key).await {
            Ok(root_key) => Ok(root_key.as_slice().ct_eq(self.root_key.as_slice()).into()),
            Err(BarrierError::Storage(error)) => Err(error),
            Err(_) => Ok(false),
        }
    }

    /// Encrypts what is not stored but handed out, such as a self-contained token. Opens only with
    /// the same `context`.
    pub fn seal_blob(&self, context: &str, plaintext: &[u8]) -> Result<Vec<u8>, StorageError> {
        self.ring
            .load()
            .seal(&blob_associated_data(context), plaintext)
    }

    /// # Errors
    /// [`StorageError::Corrupt`] for anything that [`Unsealed::seal_blob`] did not make with this
    /// context.
    pub fn open_blob(&self, context: &str, blob: &[u8]) -> Result<Vec<u8>, StorageError> {
        self.ring
            .load()
            .open(context, &blob_associated_data(context), blob.to_vec())
    }

    /// A secret for one purpose, always the same for one store: neither a rotation nor a rekey
    /// changes it.
    pub fn derive_key(&self, label: &str) -> Zeroizing<[u8; 32]> {
        // HKDF-Expand (RFC 5869 §2.3) of one block; the stored secret is uniformly random and needs
        // no HKDF-Extract.
        let mut context = hmac::Context::with_key(&self.derivation);
        context.update(label.as_bytes());
        context.update(&[1]);
        let mut key = Zeroizing::new([0; 32]);
        key.copy_from_slice(context.sign().as_ref());
        key
    }

    async fn decrypt(&self, path: &str, entry: Entry) -> Result<Entry, StorageError> {
        let Entry { value, version } = entry;
        let ring = self.ring.load_full();
        let value = if ring.knows_term_of(&value) {
            ring.open(path, path, value)?
        } else {
            // Another process may have rotated the key.
            let ring = read_ring(&*self.backend, &self.root_key, Some(&ring)).await?;
            let value = ring.open(path, path, value)?;
            self.adopt(ring);
            value
        };
        Ok(Entry { value, version })
    }

    /// Never goes back to an older ring.
    fn adopt(&self, ring: KeyRing) {
        let ring = Arc::new(ring);
        self.ring.rcu(|current| {
            if ring.version > current.version {
                Arc::clone(&ring)
            } else {
                Arc::clone(current)
            }
        });
    }
}

/// No storage path contains a control character, so no blob can pass for a record.
fn blob_associated_data(context: &str) -> String {
    format!("\0blob\0{context}")
}

impl fmt::Debug for Unsealed {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("Unsealed")
            .field("ring", &self.ring.load())
            .finish_non_exhaustive()
    }
}
