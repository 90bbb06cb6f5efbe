//! From when to when a certificate is valid.

use serde::{Deserialize, Serialize};

use super::{Refusal, Warning, timestamp};
use crate::{
    role::{DEFAULT_NOT_BEFORE_DURATION_SECS, NotAfterBound, NotBeforeBound},
    time::{UnixTime, Validity},
};

/// Lifetimes of a mount, with its system defaults applied.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct MountLifetimes {
    pub default_ttl_secs: u64,
    pub max_ttl_secs: u64,
}

/// What an issuer does with a certificate that would outlive it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum LeafNotAfterBehavior {
    #[default]
    Err,
    Permit,
    Truncate,
}

/// What a role says about validity.
pub(super) struct ValidityRules<'a> {
    /// 0 for the mount's default.
    pub(super) ttl_secs: u64,
    /// 0 for the mount's maximum.
    pub(super) max_ttl_secs: u64,
    pub(super) not_before_duration_secs: u64,
    /// Empty for none.
    pub(super) not_before: &'a str,
    pub(super) not_before_bound: NotBeforeBound,
    /// Empty for none.
    pub(super) not_after: &'a str,
    pub(super) not_after_bound: &'a NotAfterBound,
}

impl ValidityRules<'_> {
    /// The rules where there is no role.
    pub(super) fn permissive(not_before_duration_secs: u64) -> Self {
        Self {
            ttl_secs: 0,
            max_ttl_secs: 0,
            not_before_duration_secs,
            not_before: "",
            not_before_bound: NotBeforeBound::Permit,
            not_after: "",
            not_after_bound: &NotAfterBound::Permit,
        }
    }
}

/// What a request says about validity.
#[derive(Clone, Copy)]
pub(super) struct ValidityRequest<'a> {
    /// 0 for none.
    pub(super) ttl_secs: u64,
    /// Empty for none.
    pub(super) not_before: &'a str,
    /// An empty text is not a time.
    pub(super) not_after: Option<&'a str>,
}

/// What the certificate is made for; decides how the beginning is chosen.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Purpose {
    /// The beginning can be chosen, and must not come after the end.
    Issue,
    /// A wish for the beginning is judged, but the certificate begins at its usual age.
    Sign,
}

/// The end of the issuer and what it does about it; `None` for certificates that sign themselves.
pub(super) type IssuerEnd = Option<(UnixTime, LeafNotAfterBehavior)>;

/// Decides the validity period.
pub(super) fn decide(
    rules: &ValidityRules<'_>,
    request: ValidityRequest<'_>,
    purpose: Purpose,
    now: UnixTime,
    mount: MountLifetimes,
    issuer: IssuerEnd,
) -> Result<(Validity, Option<Warning>), Refusal> {
    let chosen_not_before = choose_not_before(rules, request.not_before, now)?;
    let (not_after, warning) = choose_not_after(rules, request, now, mount, issuer)?;
    let not_before = match (purpose, chosen_not_before) {
        (Purpose::Issue, Some(chosen)) => chosen,
        _ => before(now, usual_age_secs(rules.not_before_duration_secs)),
    };
    if purpose == Purpose::Issue && not_before >= not_after {
        return Err(Refusal::NotBeforeAfterNotAfter {
            not_before,
            not_after,
        });
    }
    let validity = Validity {
        not_before,
        not_after,
    };
    Ok((validity, warning))
}

fn choose_not_before(
    rules: &ValidityRules<'_>,
    requested: &str,
    now: UnixTime,
) -> Result<Option<UnixTime>, Refusal> {
    if !rules.not_before.is_empty() {
        return Ok(Some(timestamp::parse(rules.not_before)?));
    }
    if requested.is_empty() {
        return Ok(None);
    }
    if rules.not_before_bound == NotBeforeBound::Forbid {
        return Err(Refusal::NotBeforeForbidden);
    }
    let not_before = timestamp::parse(requested)?;
    let oldest_secs = rules.not_before_duration_secs;
    if rules.not_before_bound == NotBeforeBound::Duration && not_before < before(now, oldest_secs) {
        return Err(Refusal::NotBeforeTooOld {
            not_before,
            oldest_secs,
        });
    }
    Ok(Some(not_before))
}

fn choose_not_after(
    rules: &ValidityRules<'_>,
    request: ValidityRequest<'_>,
    now: UnixTime,
    mount: MountLifetimes,
    issuer: IssuerEnd,
) -> Result<(UnixTime, Option<Warning>), Refusal> {
    let latest = match rules.not_after_bound {
        NotAfterBound::Until(text) => Some((text, timestamp::parse(text)?)),
        NotAfterBound::Forbid | NotAfterBound::Permit | NotAfterBound::TtlLimited => None,
    };
    let explicit = match request.not_after {
        _ if !rules.not_after.is_empty() => Some(timestamp::parse(rules.not_after)?),
        Some(_) if *rules.not_after_bound == NotAfterBound::Forbid => {
            return Err(Refusal::NotAfterForbidden);
        }
        Some(text) => Some(timestamp::parse(text)?),
        None => None,
    };
    if request.ttl_secs > 0 && explicit.is_some() {
        return Err(Refusal::TtlAndNotAfter);
    }
    let (ttl_secs, warning) = choose_ttl(rules, request.ttl_secs, mount);
    let ttl_end = after(now, ttl_secs);
    if let Some(not_after) = explicit
        && *rules.not_after_bound == NotAfterBound::TtlLimited
        // A time fixed by the role is not a request that could be limited.
        && rules.not_after.is_empty()
        && not_after > ttl_end
    {
        return Err(Refusal::NotAfterBeyondTtl {
            not_after,
            ttl_secs,
        });
    }
    let mut not_after = explicit.unwrap_or(ttl_end);
    if let Some((issuer_not_after, behavior)) = issuer
        && not_after > issuer_not_after
    {
        not_after = match behavior {
            LeafNotAfterBehavior::Err => {
                return Err(Refusal::NotAfterBeyondIssuer {
                    not_after,
                    issuer_not_after,
                });
            }
            LeafNotAfterBehavior::Permit => not_after,
            LeafNotAfterBehavior::Truncate if explicit.is_some() && not_after < now => {
                return Err(Refusal::NotAfterPast { not_after });
            }
            LeafNotAfterBehavior::Truncate => issuer_not_after,
        };
    }
    if let Some((bound, latest)) = latest
        && not_after > latest
    {
        return Err(Refusal::NotAfterBeyondBound {
            bound: bound.clone(),
            not_after,
            latest,
        });
    }
    if not_after > UnixTime::MAX {
        return Err(Refusal::NotAfterUnwritable);
    }
    Ok((not_after, warning))
}

fn choose_ttl(
    rules: &ValidityRules<'_>,
    requested_secs: u64,
    mount: MountLifetimes,
) -> (u64, Option<Warning>) {
    let first_set = |candidates: [u64; 3]| candidates.into_iter().find(|secs| *secs > 0);
    let ttl_secs = first_set([requested_secs, rules.ttl_secs, mount.default_ttl_secs]).unwrap_or(0);
    let max_ttl_secs =
        first_set([rules.max_ttl_secs, mount.max_ttl_secs, 0]).unwrap_or(mount.max_ttl_secs);
    if ttl_secs > max_ttl_secs {
        let warning = Warning::TtlClamped {
            ttl_secs,
            max_ttl_secs,
        };
        return (max_ttl_secs, Some(warning));
    }
    (ttl_secs, None)
}

pub(super) fn usual_age_secs(not_before_duration_secs: u64) -> u64 {
    match not_before_duration_secs {
        0 => DEFAULT_NOT_BEFORE_DURATION_SECS,
        secs => secs,
    }
}

pub(super) fn after(time: UnixTime, secs: u64) -> UnixTime {
    time.plus_secs(i64::try_from(secs).unwrap_or(i64::MAX))
}

pub(super) fn before(time: UnixTime, secs: u64) -> UnixTime {
    let secs = i64::try_from(secs).unwrap_or(i64::MAX);
    UnixTime(time.0.saturating_sub(secs))
}

#[cfg(test)]
mod tests;
