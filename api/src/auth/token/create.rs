//! `auth/token/create`: new tokens.

use signet_storage::Batch;
use zeroize::Zeroizing;

use crate::auth::token::TokenAuth;
use crate::auth::token::child::{PolicyRequest, any_glob, is_root};
use crate::auth::token::renew::lesser_given;
use crate::auth::token::roles::{REQUESTED_MAX_TTL, REQUESTED_PERIOD, Role};
use crate::call::Op;
use crate::endpoint::{Cx, Endpoint, Route};
use crate::error::ApiError;
use crate::params::{Pairs, Seconds, SecretText, StringList, params, parse_duration_secs};
use crate::reply::{Reply, TokenType};
use crate::token::{BATCH_USES, Terms, Token, TokenKind, TokenRecord};

params! {
    pub(super) struct CreateParams {
        /// Name to associate with this token
        display_name: String,
        /// Name of the entity alias to associate with this token
        entity_alias: String,
        /// Explicit Max TTL of this token
        explicit_max_ttl: String,
        /// Value for the token
        id: SecretText,
        /// Use 'ttl' instead
        lease: String,
        /// Arbitrary key=value metadata to associate with the token
        meta: Pairs,
        /// Do not include default policy for this token
        no_default_policy: bool,
        /// Create the token with no parent
        no_parent: bool,
        /// Max number of uses for this token
        num_uses: i64,
        /// Renew period
        period: String,
        /// List of policies for the token
        policies: StringList,
        /// Allow token to be renewed past its initial TTL up to system/mount maximum TTL
        renewable: bool = true,
        /// Name of the role
        role_name: String,
        /// Time to live for this token
        ttl: String,
        /// Token type
        r#type: String,
    }
}

pub(super) struct Create;

impl Endpoint for Create {
    type Engine = TokenAuth;
    type Params = CreateParams;

    const ROUTES: &'static [Route] = &[Route::token(Op::Write, "create")];
    const HELP: &'static str = "The token create path is used to create new tokens.";
    const ONE_COMMIT: bool = true;

    async fn handle(cx: Cx<'_, TokenAuth>, params: CreateParams) -> Result<Reply, ApiError> {
        let is_orphan = params.no_parent;
        if is_orphan && !cx.has_sudo() {
            check_caller(cx.caller()?)?;
            return Err(needs_sudo("create orphan token"));
        }
        create(cx, params, None, is_orphan).await
    }
}

pub(super) struct CreateOrphan;

impl Endpoint for CreateOrphan {
    type Engine = TokenAuth;
    type Params = CreateParams;

    const ROUTES: &'static [Route] = &[Route::token(Op::Write, "create-orphan")];
    const HELP: &'static str = "The token create path is used to create new orphan tokens.";
    const ONE_COMMIT: bool = true;

    async fn handle(cx: Cx<'_, TokenAuth>, params: CreateParams) -> Result<Reply, ApiError> {
        create(cx, params, None, true).await
    }
}

pub(super) struct CreateWithRole;

impl Endpoint for CreateWithRole {
    type Engine = TokenAuth;
    type Params = CreateParams;

    const ROUTES: &'static [Route] = &[Route::token(Op::Write, "create/{role_name}")];
    const HELP: &'static str = "This token create path is used to create new tokens adhering to \
        the given role.";
    const ONE_COMMIT: bool = true;

    async fn handle(cx: Cx<'_, TokenAuth>, params: CreateParams) -> Result<Reply, ApiError> {
        let Some(role) = Role::load(cx.engine, &params.role_name).await? else {
            let text = format!("unknown role {}", params.role_name);
            return Err(ApiError::bad_request(text));
        };
        let is_orphan = role.orphan;
        create(cx, params, Some(&role), is_orphan).await
    }
}

async fn create(
    cx: Cx<'_, TokenAuth>,
    params: CreateParams,
    role: Option<&Role>,
    is_orphan: bool,
) -> Result<Reply, ApiError> {
    let parent = cx.caller()?;
    let has_sudo = cx.has_sudo();
    check_caller(parent)?;
    check_alias(&params.entity_alias, role)?;
    let kind = kind(&params.r#type, role)?;
    let num_uses = num_uses(params.num_uses, role)?;
    let secret = chosen_secret(cx, &params.id, kind, has_sudo).await?;
    let policies = PolicyRequest {
        requested: &params.policies.0,
        no_default_policy: params.no_default_policy,
        parent: &parent.policies,
        has_sudo,
        role,
    }
    .decide()?;
    let requested = Lifetimes::parse(&params)?;
    if kind == TokenKind::Batch {
        check_batch(&requested, num_uses, &policies)?;
    }
    if requested.period.0 > 0 && !has_sudo {
        return Err(needs_sudo("create periodic token"));
    }

    let mut warnings = Vec::new();
    let bounds = requested.within_role(role, &mut warnings);
    let mut record = TokenRecord {
        path: cx.call.path.clone(),
        metadata: params.meta.0,
        display_name: display_name(&params.display_name),
        num_uses,
        created_at: cx.now,
        explicit_max_ttl_secs: bounds.explicit_max_ttl.0,
        period_secs: bounds.period.0,
        renewable: params.renewable,
        parent: (!is_orphan).then(|| parent.hash.clone()),
        kind,
        ..TokenRecord::default()
    };
    if let Some(role) = role {
        record.renewable &= role.renewable;
        record.bound_cidrs.clone_from(&role.bound_cidrs);
        requested.remember(&mut record);
        if !role.path_suffix.is_empty() {
            record.path = format!("{}/{}", record.path, role.path_suffix);
        }
        record.role = Some(params.role_name);
    }
    let never_expires = is_root(&policies)
        && bounds.ttl.0 == 0
        && bounds.period.0 == 0
        && bounds.explicit_max_ttl.0 == 0;
    if never_expires {
        if parent.expires_at.is_some() {
            return Err(ApiError::bad_request(
                "expiring root tokens cannot create non-expiring root tokens",
            ));
        }
        record.renewable = false;
        record.bound_cidrs.clear();
    } else {
        let settings = &cx.mount.settings;
        // A root token without a time of its own lives as long as it may.
        let wanted_secs = match bounds.ttl.0 {
            0 if is_root(&policies) => bounds.explicit_max_ttl.0,
            wanted => wanted,
        };
        let terms = Terms {
            wanted_secs,
            default_secs: settings.default_ttl_secs(),
            max_secs: settings.max_ttl_secs(),
            explicit_max_secs: bounds.explicit_max_ttl.0,
            period_secs: bounds.period.0,
        };
        let life = terms
            .life(cx.now, cx.now)
            .ok_or_else(|| ApiError::bad_request("token would expire at once"))?;
        record.expires_at = Some(life.ends_at);
        record.last_ttl_secs = life.ttl_secs;
        record.creation_ttl_secs = life.ttl_secs;
        warnings.extend(life.warning);
    }
    for policy in &policies {
        if cx.core()?.policies.text(policy).await?.is_none() {
            warnings.push(format!("Policy {policy:?} does not exist"));
        }
    }
    record.policies = policies;

    let mut batch = Batch::default();
    let tokens = &cx.core()?.tokens;
    tokens.expect_unchanged(&mut batch, parent);
    let token = tokens.create(&mut batch, record, secret)?;
    cx.commit(batch).await?;
    Ok(Reply::token(token.auth(cx.now)).warn_all(warnings))
}

/// What a call or a role gives; 0 for none.
#[derive(Clone, Copy, Debug, Default)]
struct Lifetimes {
    ttl: Seconds,
    explicit_max_ttl: Seconds,
    period: Seconds,
}

impl Lifetimes {
    fn parse(params: &CreateParams) -> Result<Self, ApiError> {
        let parse = |name: &str, text: &str| {
            let secs = parse_duration_secs(text).map_err(ApiError::bad_request)?;
            u64::try_from(secs)
                .map(Seconds)
                .map_err(|_| ApiError::bad_request(format!("{name} must be positive")))
        };
        Ok(Self {
            explicit_max_ttl: parse("explicit_max_ttl", &params.explicit_max_ttl)?,
            period: parse("period", &params.period)?,
            ttl: match params.ttl.as_str() {
                "" => parse("lease", &params.lease)?,
                ttl => parse("ttl", ttl)?,
            },
        })
    }

    /// The lesser of what the call and the role say.
    fn within_role(self, role: Option<&Role>, warnings: &mut Vec<String>) -> Self {
        let Some(role) = role else { return self };
        let mut lesser = |name: &str, by_call: u64, by_role: u64| {
            let secs = lesser_given(by_call, by_role);
            if by_call > 0 && by_role > 0 {
                warnings.push(format!(
                    "{name} specified both during creation call and in role; using the lesser \
                     value of {secs} seconds"
                ));
            }
            Seconds(secs)
        };
        Self {
            explicit_max_ttl: lesser(
                "Explicit max TTL",
                self.explicit_max_ttl.0,
                role.explicit_max_ttl_secs,
            ),
            period: lesser("Period", self.period.0, role.period_secs),
            ..self
        }
    }

    fn remember(self, record: &mut TokenRecord) {
        let values = [
            (REQUESTED_PERIOD, self.period.0),
            (REQUESTED_MAX_TTL, self.explicit_max_ttl.0),
        ];
        for (key, secs) in values.into_iter().filter(|(_, secs)| *secs > 0) {
            record.internal.insert(key.into(), secs.to_string());
        }
    }
}

fn check_caller(caller: &Token) -> Result<(), ApiError> {
    if caller.kind == TokenKind::Batch {
        return Err(ApiError::bad_request(
            "batch tokens cannot create more tokens",
        ));
    }
    if caller.num_uses != 0 {
        return Err(ApiError::bad_request(
            "restricted use token cannot generate child tokens",
        ));
    }
    Ok(())
}

fn check_alias(alias: &str, role: Option<&Role>) -> Result<(), ApiError> {
    let alias = alias.trim().to_lowercase();
    match role {
        _ if alias.is_empty() => Ok(()),
        None => Err(ApiError::bad_request(
            "'entity_alias' is only allowed in combination with token role",
        )),
        Some(role) if any_glob(&role.allowed_entity_aliases, &alias) => {
            Err(ApiError::bad_request("'entity_alias' is not supported"))
        }
        Some(_) => Err(ApiError::bad_request("invalid 'entity_alias' value")),
    }
}

fn kind(requested: &str, role: Option<&Role>) -> Result<TokenKind, ApiError> {
    let requested = match requested {
        "" => None,
        "batch" => Some(TokenKind::Batch),
        "service" => Some(TokenKind::Service),
        _ => return Err(ApiError::bad_request("invalid 'token_type' value")),
    };
    let by_role = role.map_or(TokenType::DefaultService, |role| role.token_type);
    Ok(match by_role {
        TokenType::Batch => TokenKind::Batch,
        TokenType::Service => TokenKind::Service,
        TokenType::DefaultBatch => requested.unwrap_or(TokenKind::Batch),
        TokenType::Default | TokenType::DefaultService => requested.unwrap_or(TokenKind::Service),
    })
}

fn num_uses(requested: i64, role: Option<&Role>) -> Result<i64, ApiError> {
    let requested = u64::try_from(requested)
        .map_err(|_| ApiError::bad_request("number of uses cannot be negative"))?;
    let uses = lesser_given(requested, role.map_or(0, |role| role.num_uses));
    Ok(i64::try_from(uses).unwrap_or(i64::MAX))
}

/// A batch token cannot be counted, renewed or taken back.
fn check_batch(requested: &Lifetimes, num_uses: i64, policies: &[String]) -> Result<(), ApiError> {
    let refusal = if is_root(policies) {
        "batch tokens cannot be root tokens"
    } else if num_uses > 0 {
        BATCH_USES
    } else if requested.period.0 > 0 {
        "batch tokens cannot have \"period\" set"
    } else if requested.explicit_max_ttl.0 > 0 {
        "batch tokens cannot have \"explicit_max_ttl\" set"
    } else {
        return Ok(());
    };
    Err(ApiError::bad_request(refusal))
}

/// The token itself, where the caller chooses it.
async fn chosen_secret(
    cx: Cx<'_, TokenAuth>,
    id: &SecretText,
    kind: TokenKind,
    has_sudo: bool,
) -> Result<Option<Zeroizing<String>>, ApiError> {
    let id = &id.0;
    if id.is_empty() {
        return Ok(None);
    }
    if !has_sudo {
        return Err(needs_sudo("specify token id"));
    }
    for prefix in ["s.", "hvs."] {
        if id.starts_with(prefix) {
            let text = format!("custom token ID cannot have the '{prefix}' prefix");
            return Err(ApiError::bad_request(text));
        }
    }
    if id.contains('.') {
        return Err(ApiError::bad_request(
            "custom token ID cannot have a '.' in the value",
        ));
    }
    if kind == TokenKind::Batch {
        return Err(ApiError::bad_request("batch tokens cannot have \"id\" set"));
    }
    let tokens = &cx.core()?.tokens;
    if tokens.by_hash(&tokens.hash(id)).await?.is_some() {
        return Err(ApiError::bad_request(
            "cannot create a token with a duplicate ID",
        ));
    }
    Ok(Some(id.clone()))
}

fn display_name(given: &str) -> String {
    if given.is_empty() {
        return "token".into();
    }
    let kept = |c: char| if c.is_ascii_alphanumeric() { c } else { '-' };
    let name: String = format!("token-{given}").chars().map(kept).collect();
    name.strip_suffix('-').unwrap_or(&name).to_owned()
}

fn needs_sudo(to_do: &str) -> ApiError {
    ApiError::bad_request(format!("root or sudo privileges required to {to_do}"))
}
