//! Making tokens: one function writes them, whoever asks.

use base64::Engine as _;
use zeroize::Zeroizing;

use signet_storage::{Batch, Expect};

use crate::error::ApiError;
use crate::expiry;
use crate::random::base62_in_sequence;
use crate::reply::{Auth, Grant, TokenType};
use crate::request::Request;
use crate::time::Timestamp;
use crate::token::store::{BATCH_CONTEXT, BATCH_PREFIX, SERVICE_PREFIX};
use crate::token::{Terms, TokenKind, TokenRecord, TokenStore};

/// A token that was just made; the only moment at which it is known.
pub struct NewToken {
    pub secret: Zeroizing<String>,
    pub hash: String,
    pub record: TokenRecord,
}

impl std::fmt::Debug for NewToken {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("NewToken")
            .field("record", &self.record)
            .finish_non_exhaustive()
    }
}

impl NewToken {
    /// The `auth` block that hands it to the client.
    #[must_use]
    pub fn auth(&self, now: Timestamp) -> Auth {
        auth_of(&self.record, self.secret.to_string(), now)
    }
}

/// The `auth` block of a token.
#[must_use]
pub fn auth_of(record: &TokenRecord, client_token: String, now: Timestamp) -> Auth {
    Auth {
        client_token,
        accessor: record.accessor.clone(),
        policies: record.policies.clone(),
        token_policies: record.policies.clone(),
        identity_policies: Vec::new(),
        metadata: (!record.metadata.is_empty()).then(|| record.metadata.clone()),
        lease_duration: record.expires_at.map_or(0, |at| at.secs_since(now)),
        renewable: record.renewable,
        entity_id: record.entity_id.clone(),
        token_type: record.kind.name(),
        orphan: record.parent.is_none(),
        mfa_requirement: None,
        num_uses: u64::try_from(record.num_uses).unwrap_or(0),
        display_name: record.display_name.clone(),
    }
}

impl TokenStore {
    /// Adds a new service token to `batch`, or seals a batch token. `secret` is the token itself
    /// where the caller chose it.
    pub fn create(
        &self,
        batch: &mut Batch,
        mut record: TokenRecord,
        secret: Option<Zeroizing<String>>,
    ) -> Result<NewToken, ApiError> {
        let rng = self.environment.rng.as_ref();
        if record.kind == TokenKind::Batch {
            record.renewable = false;
            let plain = serde_json::to_vec(&record).map_err(ApiError::internal)?;
            let sealed = self.store.seal_blob(BATCH_CONTEXT, &plain)?;
            let text = base64::engine::general_purpose::URL_SAFE_NO_PAD.encode(sealed);
            let secret = Zeroizing::new(format!("{BATCH_PREFIX}{text}"));
            return Ok(NewToken {
                secret,
                hash: String::new(),
                record,
            });
        }
        let secret = if let Some(chosen) = secret {
            chosen
        } else {
            let own = Zeroizing::new(base62_in_sequence(rng, record.created_at, 24)?);
            Zeroizing::new(format!("{SERVICE_PREFIX}{}", *own))
        };
        record.accessor = base62_in_sequence(rng, record.created_at, 24)?;
        let hash = self.hash(&secret);
        self.views.tokens.expect(batch, &hash, Expect::Absent);
        self.views.tokens.put_record(batch, &hash, &record)?;
        let accessor_hash = self.hash_accessor(&record.accessor);
        self.views
            .accessors
            .put(batch, &accessor_hash, hash.clone().into_bytes());
        if let Some(parent) = &record.parent {
            self.views.tokens.expect(batch, parent, Expect::Present);
            self.views
                .children
                .put(batch, &format!("{parent}/{hash}"), Vec::new());
        }
        if !record.no_lease {
            expiry::index_token(&self.store, batch, &record, &hash)?;
        }
        Ok(NewToken {
            secret,
            hash,
            record,
        })
    }

    /// Makes the token of a successful login.
    pub async fn grant(
        &self,
        request: &Request,
        grant: Grant,
    ) -> Result<(Auth, Vec<String>), ApiError> {
        let settings = &request.mount.settings;
        let now = request.now;
        let policies = login_policies(&grant)?;
        let kind = login_kind(grant.token_type, settings.config().token_type);
        if kind == TokenKind::Batch && grant.num_uses > 0 {
            return Err(ApiError::bad_request(BATCH_USES));
        }
        let max_secs = match grant.max_ttl_secs {
            0 => settings.max_ttl_secs(),
            max => max.min(settings.max_ttl_secs()),
        };
        let terms = Terms {
            wanted_secs: grant.ttl_secs,
            default_secs: settings.default_ttl_secs(),
            max_secs,
            explicit_max_secs: grant.explicit_max_ttl_secs,
            period_secs: grant.period_secs,
        };
        let life = terms
            .life(now, now)
            .ok_or_else(|| ApiError::bad_request("token would expire at once"))?;
        let warnings = life.warning.into_iter().collect();
        let ttl_secs = life.ttl_secs;
        let record = TokenRecord {
            policies,
            path: request.call.path.clone(),
            metadata: grant.metadata,
            display_name: login_name(&request.mount.path, &grant.display_name),
            num_uses: i64::try_from(grant.num_uses).unwrap_or(i64::MAX),
            created_at: now,
            expires_at: Some(life.ends_at),
            last_ttl_secs: ttl_secs,
            creation_ttl_secs: ttl_secs,
            max_ttl_secs: grant.max_ttl_secs,
            explicit_max_ttl_secs: grant.explicit_max_ttl_secs,
            period_secs: grant.period_secs,
            renewable: grant.renewable,
            kind,
            bound_cidrs: grant.bound_cidrs,
            internal: grant.internal,
            ..TokenRecord::default()
        };
        let mut batch = grant.batch;
        let token = self.create(&mut batch, record, None)?;
        if !batch.is_empty() {
            request.commit(batch).await?;
        }
        Ok((token.auth(now), warnings))
    }
}

/// `auth/team/ci/` and `bob` as `team-ci-bob`.
fn login_name(mount_path: &str, name: &str) -> String {
    let path = mount_path.strip_prefix("auth/").unwrap_or(mount_path);
    let mount = path.trim_end_matches('/').replace('/', "-");
    if name.is_empty() {
        return mount;
    }
    format!("{mount}-{name}")
}

/// A mount that is tuned to one kind makes no other; else the role decides, then the mount.
fn login_kind(role: TokenType, mount: TokenType) -> TokenKind {
    let deciding = match (mount, role) {
        (TokenType::Batch | TokenType::Service, _) | (_, TokenType::Default) => mount,
        (_, role) => role,
    };
    match deciding {
        TokenType::Batch | TokenType::DefaultBatch => TokenKind::Batch,
        TokenType::Default | TokenType::DefaultService | TokenType::Service => TokenKind::Service,
    }
}

/// The policies of a login: those of its role, and `default` unless it is refused.
fn login_policies(grant: &Grant) -> Result<Vec<String>, ApiError> {
    let mut policies = crate::acl::sanitize_policy_names(&grant.policies)
        .map_err(|error| ApiError::bad_request(error.to_string()))?;
    if policies.iter().any(|policy| policy == "root") {
        return Err(ApiError::bad_request(
            "auth methods cannot create root tokens",
        ));
    }
    if policies.iter().any(|policy| policy == "response-wrapping") {
        return Err(ApiError::bad_request(
            "cannot assign policy \"response-wrapping\"",
        ));
    }
    policies.retain(|policy| policy != "default");
    if !grant.no_default_policy {
        policies.push("default".into());
        policies.sort();
    }
    Ok(policies)
}

pub(crate) const BATCH_USES: &str = "batch tokens cannot have \"num_uses\" set";
