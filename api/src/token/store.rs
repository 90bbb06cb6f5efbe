//! Where tokens are: found by a keyed hash, never by themselves.

use std::sync::Arc;

use aws_lc_rs::hmac;
use base64::Engine as _;
use quick_cache::sync::Cache;
use signet_storage::{Batch, Expect, Observer, Unsealed, View};

use crate::error::ApiError;
use crate::expiry;
use crate::node::Environment;
use crate::random::clock_of;
use crate::time::Timestamp;
use crate::token::{Token, TokenKind, TokenRecord};

/// Bytes of a keyed hash, and digits of its hexadecimal form.
const HASH_BYTES: usize = 32;
const HASH_LENGTH: usize = 2 * HASH_BYTES;

/// Bytes of the clock that new names begin with; see [`base62_in_sequence`]. The hash behind it is
/// cut by as many.
///
/// [`base62_in_sequence`]: crate::random::base62_in_sequence
const CLOCK_BYTES: usize = 3;

/// Tokens kept in memory; each is about a kilobyte.
const CACHED_TOKENS: usize = 10_000;

/// All tokens of an unsealed server.
pub struct TokenStore {
    pub(super) store: Arc<Unsealed>,
    pub(super) environment: Environment,
    pub(super) views: Views,
    hash_key: hmac::Key,
    cache: Arc<TokenCache>,
}

/// The areas of storage that a token is written to, always in one commit.
#[derive(Clone, Debug)]
pub(super) struct Views {
    /// Token hash → record.
    pub(super) tokens: View,
    /// Accessor hash → token hash.
    pub(super) accessors: View,
    /// `<parent hash>/<child hash>`.
    pub(super) children: View,
}

#[derive(Debug)]
struct TokenCache(Cache<String, Arc<Token>>);

impl Observer for TokenCache {
    fn changed(&self, paths: &[&str]) {
        for hash in paths {
            self.0.remove(*hash);
        }
    }
}

impl std::fmt::Debug for TokenStore {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("TokenStore").finish_non_exhaustive()
    }
}

impl TokenStore {
    pub fn open(store: Arc<Unsealed>, environment: Environment) -> Result<Self, ApiError> {
        let key = store.derive_key("token hash");
        let view = |prefix: &str| View::new(store.clone(), prefix);
        let views = Views {
            tokens: view("sys/token/id/"),
            accessors: view("sys/token/accessor/"),
            children: view("sys/token/parent/"),
        };
        let cache = Arc::new(TokenCache(Cache::new(CACHED_TOKENS)));
        views.tokens.watch(cache.clone());
        Ok(Self {
            hash_key: hmac::Key::new(hmac::HMAC_SHA256, key.as_slice()),
            store,
            environment,
            views,
            cache,
        })
    }

    /// The name under which storage knows a token.
    #[must_use]
    pub fn hash(&self, secret: &str) -> String {
        hex::encode(self.name(secret))
    }

    /// The name under which storage knows an accessor.
    #[must_use]
    pub fn hash_accessor(&self, accessor: &str) -> String {
        hex::encode(self.name_after(clock_of(accessor), accessor))
    }

    fn name(&self, secret: &str) -> [u8; HASH_BYTES] {
        // The prefix is the server's own: tokens that somebody chose do not have it.
        let clock = secret.strip_prefix(SERVICE_PREFIX).and_then(clock_of);
        self.name_after(clock, secret)
    }

    fn name_after(&self, clock: Option<u32>, secret: &str) -> [u8; HASH_BYTES] {
        let tag = hmac::sign(&self.hash_key, secret.as_bytes());
        let clock = clock.map(u32::to_be_bytes);
        let clock = clock.iter().flatten().skip(4 - CLOCK_BYTES);
        let mut name = [0; HASH_BYTES];
        for (byte, given) in name.iter_mut().zip(clock.chain(tag.as_ref())) {
            *byte = *given;
        }
        name
    }

    /// A token that is valid at `now`.
    pub async fn lookup(
        &self,
        secret: &str,
        now: Timestamp,
    ) -> Result<Option<Arc<Token>>, ApiError> {
        let found = if let Some(sealed) = secret.strip_prefix(BATCH_PREFIX) {
            self.open_batch(sealed)
        } else {
            // As `hash`, without an allocation: every request comes here.
            let mut digits = [0; HASH_LENGTH];
            hex::encode_to_slice(self.name(secret), &mut digits).map_err(ApiError::internal)?;
            let hash = std::str::from_utf8(&digits).map_err(ApiError::internal)?;
            self.by_hash(hash).await?
        };
        match found {
            Some(token) if !token.is_used_up() && self.lives(&token, now).await? => Ok(Some(token)),
            _ => Ok(None),
        }
    }

    /// A token whose use was taken already; it may have been the last.
    pub(crate) async fn lookup_used(
        &self,
        hash: &str,
        now: Timestamp,
    ) -> Result<Option<Arc<Token>>, ApiError> {
        match self.by_hash(hash).await? {
            Some(token) if self.lives(&token, now).await? => Ok(Some(token)),
            _ => Ok(None),
        }
    }

    /// The valid token that an accessor belongs to.
    pub async fn lookup_accessor(
        &self,
        accessor: &str,
        now: Timestamp,
    ) -> Result<Option<Arc<Token>>, ApiError> {
        let Some(hash) = self.hash_of_accessor(accessor).await? else {
            return Ok(None);
        };
        let found = self.lookup_used(&hash, now).await?;
        Ok(found.filter(|token| !token.is_used_up()))
    }

    /// A token lives no longer than its ancestors do, whether they were swept or not.
    async fn lives(&self, token: &Arc<Token>, now: Timestamp) -> Result<bool, ApiError> {
        if token.is_expired(now) {
            return Ok(false);
        }
        let mut current = token.clone();
        while let Some(hash) = &current.parent {
            current = match self.by_hash(hash).await? {
                Some(parent) if !parent.is_expired(now) && !parent.is_used_up() => parent,
                _ => return Ok(false),
            };
        }
        Ok(true)
    }

    /// A stored token, valid or not.
    pub async fn by_hash(&self, hash: &str) -> Result<Option<Arc<Token>>, ApiError> {
        // A change of the token while it is read takes the guard's place away: what is read before
        // the change is never kept.
        let guard = match self.cache.0.get_value_or_guard_async(hash).await {
            Ok(token) => return Ok(Some(token)),
            Err(guard) => guard,
        };
        let Some(stored) = self.views.tokens.record::<TokenRecord>(hash).await? else {
            return Ok(None);
        };
        let token = Arc::new(Token {
            hash: hash.to_owned(),
            record: stored.value,
            version: Some(stored.version),
        });
        let _ = guard.insert(token.clone());
        Ok(Some(token))
    }

    /// How many service tokens there are, the expired ones that were not swept yet among them.
    pub async fn count(&self) -> Result<u64, ApiError> {
        const PAGE: usize = 1_000;
        let mut count = 0;
        let mut after: Option<String> = None;
        loop {
            let page = self.views.tokens.keys("", after.as_deref(), PAGE).await?;
            let Some(last) = page.last() else {
                return Ok(count);
            };
            count += u64::try_from(page.len()).unwrap_or(0);
            after = Some(last.clone());
        }
    }

    /// The hash of the token that an accessor belongs to.
    pub async fn hash_of_accessor(&self, accessor: &str) -> Result<Option<String>, ApiError> {
        let entry = self
            .views
            .accessors
            .get(&self.hash_accessor(accessor))
            .await?;
        Ok(entry.and_then(|entry| String::from_utf8(entry.value).ok()))
    }

    /// The accessors of all valid tokens, sorted. Reads them all.
    pub async fn accessors(&self, now: Timestamp) -> Result<Vec<String>, ApiError> {
        const PAGE: usize = 256;
        let mut accessors = Vec::new();
        let mut after: Option<String> = None;
        loop {
            let tokens = &self.views.tokens;
            let page = tokens
                .scan_records::<TokenRecord>("", after.as_deref(), PAGE)
                .await?;
            let Some((last, _)) = page.last() else { break };
            after = Some(last.clone());
            let valid = page
                .into_iter()
                .map(|(_, stored)| stored.value)
                .filter(|token| token.expires_at.is_none_or(|end| now < end));
            accessors.extend(valid.map(|token| token.accessor));
        }
        accessors.sort_unstable();
        Ok(accessors)
    }

    /// Makes `batch` fail when the token has changed since it was read: whatever is to hang on a
    /// token must not come after its revocation.
    pub fn expect_unchanged(&self, batch: &mut Batch, token: &Token) {
        if let Some(version) = token.version {
            let expect = Expect::Version(version);
            self.views.tokens.expect(batch, &token.hash, expect);
        }
    }

    /// Writes a changed record over the one that was read as `token`.
    pub fn replace(
        &self,
        batch: &mut Batch,
        token: &Token,
        record: &TokenRecord,
    ) -> Result<(), ApiError> {
        self.expect_unchanged(batch, token);
        self.views.tokens.put_record(batch, &token.hash, record)?;
        if record.expires_at != token.expires_at {
            expiry::move_token(&self.store, batch, record, &token.hash, token.expires_at)?;
        }
        Ok(())
    }

    /// The token after this use, and what has to be written for it.
    pub fn take_use(&self, token: Arc<Token>) -> Result<(Arc<Token>, Option<Batch>), ApiError> {
        if token.num_uses == 0 {
            return Ok((token, None));
        }
        let mut used = Token::clone(&token);
        used.record.num_uses = if token.num_uses > 1 {
            token.num_uses - 1
        } else {
            -1
        };
        let mut batch = Batch::default();
        self.replace(&mut batch, &token, &used.record)?;
        Ok((Arc::new(used), Some(batch)))
    }

    fn open_batch(&self, sealed: &str) -> Option<Arc<Token>> {
        let bytes = base64::engine::general_purpose::URL_SAFE_NO_PAD
            .decode(sealed)
            .ok()?;
        let plain = self.store.open_blob(BATCH_CONTEXT, &bytes).ok()?;
        let record: TokenRecord = serde_json::from_slice(&plain).ok()?;
        (record.kind == TokenKind::Batch).then(|| {
            Arc::new(Token {
                hash: String::new(),
                record,
                version: None,
            })
        })
    }
}

pub(super) const SERVICE_PREFIX: &str = "hvs.";
pub(super) const BATCH_PREFIX: &str = "hvb.";
pub(super) const BATCH_CONTEXT: &str = "batch token";
