//! What can be set on a token role.

use crate::acl::normalize_policy_name;
use crate::auth::token::roles::Role;
use crate::error::ApiError;
use crate::params::{CommaList, Seconds, params};
use crate::reply::TokenType;
use crate::token::parse_bound_cidrs;

params! {
    pub(super) struct RoleParams {
        /// String or JSON list of allowed entity aliases.
        allowed_entity_aliases: Option<CommaList>,
        /// If set, tokens can be created with any subset of the policies in this list, rather than the normal semantics of tokens being a subset of the calling token's policies.
        allowed_policies: Option<CommaList>,
        /// If set, tokens can be created with any subset of glob matched policies in this list.
        allowed_policies_glob: Option<CommaList>,
        /// Use 'token_bound_cidrs' instead.
        bound_cidrs: Option<CommaList>,
        /// If set, successful token creation via this role will require that no policies in the given list are requested.
        disallowed_policies: Option<CommaList>,
        /// If set, successful token creation via this role will require that no requested policies glob match any of policies in this list.
        disallowed_policies_glob: Option<CommaList>,
        /// Use 'token_explicit_max_ttl' instead.
        explicit_max_ttl: Option<Seconds>,
        /// If true, tokens created via this role will be orphan tokens (have no parent)
        orphan: Option<bool>,
        /// If set, tokens created via this role will contain the given suffix as a part of their path.
        path_suffix: Option<String>,
        /// Use 'token_period' instead.
        period: Option<Seconds>,
        /// Tokens created via this role will be renewable or not according to this value. Defaults to "true".
        renewable: Option<bool>,
        /// Name of the role
        role_name: String,
        /// List of CIDR blocks. If set, specifies the blocks of IP addresses which are allowed to use the generated token.
        token_bound_cidrs: Option<CommaList>,
        /// If set, tokens created via this role carry an explicit maximum TTL.
        token_explicit_max_ttl: Option<Seconds>,
        /// If true, the 'default' policy will not automatically be added to generated tokens
        token_no_default_policy: Option<bool>,
        /// The maximum number of times a token may be used, a value of zero means unlimited
        token_num_uses: Option<i64>,
        /// If set, tokens created via this role will have no max lifetime; instead, their renewal period will be fixed to this value.
        token_period: Option<Seconds>,
        /// The type of token to generate, service or batch
        token_type: Option<String>,
    }
}

impl RoleParams {
    /// Changes what is given and returns warnings.
    pub(super) fn apply(self, role: &mut Role) -> Result<Vec<String>, ApiError> {
        let mut warnings = Vec::new();
        for (list, given) in [
            (&mut role.allowed_policies, self.allowed_policies),
            (&mut role.allowed_policies_glob, self.allowed_policies_glob),
            (&mut role.disallowed_policies, self.disallowed_policies),
            (
                &mut role.disallowed_policies_glob,
                self.disallowed_policies_glob,
            ),
        ] {
            if let Some(given) = given {
                *list = policy_names(&given)?;
            }
        }
        if let Some(aliases) = self.allowed_entity_aliases {
            let aliases = aliases.0.iter().map(|alias| alias.trim().to_lowercase());
            role.allowed_entity_aliases = aliases.filter(|alias| !alias.is_empty()).collect();
        }
        role.orphan = self.orphan.unwrap_or(role.orphan);
        role.renewable = self.renewable.unwrap_or(role.renewable);
        role.no_default_policy = self
            .token_no_default_policy
            .unwrap_or(role.no_default_policy);
        if let Some(suffix) = self.path_suffix {
            check_suffix(&suffix)?;
            role.path_suffix = suffix;
        }
        if let Some(text) = self.token_type {
            role.token_type = parse_token_type(&text)?;
        }
        if let Some(uses) = self.token_num_uses {
            role.num_uses = u64::try_from(uses)
                .map_err(|_| role_fields("'token_num_uses' cannot be negative"))?;
        }
        let mut choose = |name: &str, current: bool, old: bool| -> Option<bool> {
            if current && old {
                warnings.push(format!(
                    "Both 'token_{name}' and deprecated '{name}' value supplied, ignoring the \
                     deprecated value"
                ));
            }
            (current || old).then_some(!current)
        };
        if let Some(legacy) = choose("period", self.token_period.is_some(), self.period.is_some()) {
            role.period_secs = self.token_period.or(self.period).unwrap_or_default().0;
            role.legacy.period = legacy;
        }
        if let Some(legacy) = choose(
            "explicit_max_ttl",
            self.token_explicit_max_ttl.is_some(),
            self.explicit_max_ttl.is_some(),
        ) {
            let given = self.token_explicit_max_ttl.or(self.explicit_max_ttl);
            role.explicit_max_ttl_secs = given.unwrap_or_default().0;
            role.legacy.explicit_max_ttl = legacy;
        }
        if let Some(legacy) = choose(
            "bound_cidrs",
            self.token_bound_cidrs.is_some(),
            self.bound_cidrs.is_some(),
        ) {
            let given = self.token_bound_cidrs.or(self.bound_cidrs);
            role.bound_cidrs = parse_bound_cidrs(&given.unwrap_or_default().0)
                .map_err(|error| role_fields(&error.to_string()))?;
            role.legacy.bound_cidrs = legacy;
        }
        check_batch(role)?;
        Ok(warnings)
    }
}

/// A batch token cannot be taken back, renewed or counted.
fn check_batch(role: &Role) -> Result<(), ApiError> {
    let refused = match role.token_type {
        TokenType::Batch => [
            (!role.orphan, "non-orphan tokens"),
            (role.renewable, "renewable tokens"),
            (role.period_secs > 0, "periodic tokens"),
            (
                role.explicit_max_ttl_secs > 0,
                "tokens with an explicit max TTL",
            ),
        ]
        .into_iter()
        .find(|(applies, _)| *applies),
        _ => None,
    };
    if let Some((_, what)) = refused {
        return Err(ApiError::bad_request(format!(
            "'token_type' cannot be 'batch' when role is set to generate {what}"
        )));
    }
    if !matches!(role.token_type, TokenType::Batch | TokenType::DefaultBatch) {
        return Ok(());
    }
    let refused = [
        (role.period_secs > 0, "periodic tokens"),
        (role.num_uses > 0, "tokens with limited use count"),
    ];
    match refused.into_iter().find(|(applies, _)| *applies) {
        None => Ok(()),
        Some((_, what)) => Err(role_fields(&format!(
            "'token_type' cannot be 'batch' or 'default_batch' when set to generate {what}"
        ))),
    }
}

fn parse_token_type(text: &str) -> Result<TokenType, ApiError> {
    match TokenType::parse(text) {
        Some(TokenType::Default) if text.is_empty() => Ok(TokenType::DefaultService),
        Some(TokenType::Default) | None => Err(ApiError::bad_request(format!(
            "invalid 'token_type' value {text:?}"
        ))),
        Some(token_type) => Ok(token_type),
    }
}

fn check_suffix(suffix: &str) -> Result<(), ApiError> {
    let is_word = |byte: &u8| byte.is_ascii_alphanumeric() || *byte == b'_';
    let bytes = suffix.as_bytes();
    let fits = bytes.len() >= 3
        && bytes.first().is_some_and(is_word)
        && bytes.last().is_some_and(is_word)
        && bytes.iter().all(|b| is_word(b) || matches!(b, b'-' | b'.'));
    if suffix.is_empty() || fits {
        return Ok(());
    }
    Err(ApiError::bad_request(
        "given role path suffix contains invalid characters; must match \\w[\\w-.]+\\w",
    ))
}

/// Each in its one form, sorted, none twice. `root` does not swallow the others: a list of what is
/// disallowed may name it.
fn policy_names(given: &CommaList) -> Result<Vec<String>, ApiError> {
    let mut names = Vec::new();
    for name in &given.0 {
        let name = normalize_policy_name(name)
            .map_err(|error| ApiError::bad_request(error.to_string()))?;
        if !name.is_empty() {
            names.push(name);
        }
    }
    names.sort();
    names.dedup();
    Ok(names)
}

fn role_fields(detail: &str) -> ApiError {
    ApiError::bad_request(format!("error parsing role fields: {detail}"))
}
