//! Where tokens are: found by a keyed hash, never by themselves.

use std::sync::Arc;

use aws_lc_rs::hmac;
use quick_cache::sync::Cache;
use signet_storage::{Batch, Expect, Observer, Unsealed, View};

use crate::error::ApiError;
use crate::node::Environment;
use crate::time::Timestamp;
use crate::token::{Token, TokenKind, TokenRecord};

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

    /// The name under which storage knows a token or accessor.
    #[must_use]
    pub fn hash(&self, secret: &str) -> String {
        hex::encode(hmac::sign(&self.hash_key, secret.as_bytes()))
    }

    /// A token that is valid at `now`.
    pub async fn lookup(
        &self,
        secret: &str,
        now: Timestamp,
    ) -> Result<Option<Arc<Token>>, ApiError> {
        let token = match secret.strip_prefix(BATCH_PREFIX) {
            Some(sealed) => self.open_batch(sealed),
            None => self.by_hash(&self.hash(secret)).await?,
        };
        Ok(token.filter(|token| {
            !token.is_used_up() && token.expires_at.is_none_or(|expires_at| now < expires_at)
        }))
    }

    /// A stored token, valid or not.
    pub async fn by_hash(&self, hash: &str) -> Result<Option<Arc<Token>>, ApiError> {
        if let Some(token) = self.cache.0.get(hash) {
            return Ok(Some(token));
        }
        let Some(stored) = self.views.tokens.record::<TokenRecord>(hash).await? else {
            return Ok(None);
        };
        let token = Arc::new(Token {
            hash: hash.to_owned(),
            record: stored.value,
            version: Some(stored.version),
        });
        self.cache.0.insert(hash.to_owned(), token.clone());
        Ok(Some(token))
    }

    pub async fn exists(&self, hash: &str) -> Result<bool, ApiError> {
        Ok(self.by_hash(hash).await?.is_some())
    }

    /// The hash of the token that an accessor belongs to.
    pub async fn hash_of_accessor(&self, accessor: &str) -> Result<Option<String>, ApiError> {
        let entry = self.views.accessors.get(&self.hash(accessor)).await?;
        Ok(entry.and_then(|entry| String::from_utf8(entry.value).ok()))
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
        if let Some(version) = token.version {
            self.views
                .tokens
                .expect(&mut batch, &token.hash, Expect::Version(version));
        }
        self.views
            .tokens
            .put_record(&mut batch, &token.hash, &used.record)?;
        Ok((Arc::new(used), Some(batch)))
    }

    fn open_batch(&self, sealed: &str) -> Option<Arc<Token>> {
        use base64::Engine as _;
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

pub(super) const BATCH_PREFIX: &str = "hvb.";
pub(super) const BATCH_CONTEXT: &str = "batch token";
