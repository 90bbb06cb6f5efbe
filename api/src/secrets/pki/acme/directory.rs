//! Directories: where a client begins, and what follows from the path: role, issuer, accounts.
//!
//! Each mount has one, and each issuer and each role has one of its own.

use std::sync::Arc;

use serde_json::json;
use signet_pki::issuer::Issuer;
use signet_pki::role::{CnValidation, KeyType, Role};

use crate::call::Op;
use crate::endpoint::{Cx, Endpoint, Route};
use crate::error::ApiError;
use crate::params::params;
use crate::reply::{JSON, Reply};
use crate::secrets::pki::Pki;
use crate::secrets::pki::acme::config::{DefaultPolicy, EabPolicy};
use crate::secrets::pki::acme::problem::{Failure, Kind, Problem};
use crate::secrets::pki::acme::session::{in_every_directory, json as json_reply};
use crate::secrets::pki::state::{IssuerState, State};

params! {
    pub(in crate::secrets::pki) struct DirectoryParams {}
    ignored {
        /// Name of the role whose rules apply.
        role: String,
        /// Reference to the issuer.
        issuer_ref: String,
    }
}

pub(in crate::secrets::pki) struct Read;

impl Endpoint for Read {
    type Engine = Pki;
    type Params = DirectoryParams;

    const ROUTES: &'static [Route] =
        in_every_directory!(Route::unauthenticated, Op::Read, "directory");
    const HELP: &'static str = "Read the proper URLs for various ACME operations.";

    async fn handle(cx: Cx<'_, Pki>, _params: DirectoryParams) -> Result<Reply, ApiError> {
        let state = cx.engine.state.state().await?;
        if !state.acme.is_active(cx) {
            return Ok(disabled());
        }
        match Directory::find(cx, state).await {
            Ok(directory) => json_reply(&directory.show()),
            Err(failure) => failure.into_problem().reply(),
        }
    }
}

pub(in crate::secrets::pki) struct NewNonce;

impl Endpoint for NewNonce {
    type Engine = Pki;
    type Params = DirectoryParams;

    const ROUTES: &'static [Route] =
        in_every_directory!(Route::unauthenticated, Op::Read, "new-nonce");
    const HELP: &'static str = "Get a new nonce for a request.";

    async fn handle(cx: Cx<'_, Pki>, _params: DirectoryParams) -> Result<Reply, ApiError> {
        let state = cx.engine.state.state().await?;
        if !state.acme.is_active(cx) {
            return Ok(disabled());
        }
        let directory = match Directory::find(cx, state).await {
            Ok(directory) => directory,
            Err(failure) => return failure.into_problem().reply(),
        };
        let nonce = cx.engine.acme.nonces.issue(cx.node.rng(), cx.now)?;
        let mut reply = directory.indexed(Reply::raw("", "").status(204));
        reply.headers.push(("Replay-Nonce", nonce));
        Ok(reply)
    }
}

/// The answer of a mount without ACME.
pub(super) fn disabled() -> Reply {
    Reply::raw(JSON, "").status(404)
}

/// What the path of a request leads to.
pub(super) struct Directory {
    /// Below the mount, e.g. `roles/web/acme/directory`: what accounts belong to.
    pub(super) path: String,
    /// Ends in `acme/`.
    base_url: String,
    /// Empty for no role of the mount.
    pub(super) role_name: String,
    pub(super) role: Arc<Role>,
    pub(super) issuer: Arc<IssuerState>,
    pub(super) signer: Arc<Issuer>,
    pub(super) state: Arc<State>,
}

/// Issuer and role that a path names; empty for none.
struct Named<'p> {
    /// What is before `acme/`.
    prefix: String,
    issuer: &'p str,
    role: &'p str,
}

/// The parts of a path below the mount. What the body says of them does not count.
fn named(path: &str) -> Named<'_> {
    let capture = |path: &'_ str, kind: &str| -> Option<usize> {
        let rest = path.strip_prefix(kind)?;
        rest.find('/').map(|end| kind.len() + end)
    };
    let mut rest = path;
    let mut prefix = String::new();
    let mut take = |kind: &str| {
        let Some(end) = capture(rest, kind) else {
            return "";
        };
        let (segment, after) = rest.split_at_checked(end + 1).unwrap_or((rest, ""));
        prefix.push_str(segment);
        rest = after;
        segment.get(kind.len()..end).unwrap_or_default()
    };
    let issuer = take("issuer/");
    let role = take("roles/");
    Named {
        prefix,
        issuer,
        role,
    }
}

/// Path of the directory that a path below the mount belongs to.
pub(super) fn directory_path(path: &str) -> String {
    format!("{}acme/directory", named(path).prefix)
}

impl Directory {
    pub(super) async fn find(cx: Cx<'_, Pki>, state: Arc<State>) -> Result<Self, Failure> {
        let path = cx.relative_path();
        let named = named(path);
        let base = state.cluster.path.trim_end_matches('/');
        if base.is_empty() {
            let text = "ACME feature requires local cluster 'path' field configuration to be set";
            return Err(Kind::ServerInternal.with(text).into());
        }
        let (role_name, role) = role(cx, &state, named.role).await?;
        let reference = if named.issuer.is_empty() {
            role.issuer_ref.as_str()
        } else {
            named.issuer
        };
        let (issuer, signer) = issuer(&state, reference)?;
        Ok(Self {
            path: directory_path(path),
            base_url: format!("{base}/{}acme/", named.prefix),
            role_name,
            role,
            issuer,
            signer,
            state,
        })
    }

    /// The URL of something in this directory.
    pub(super) fn url(&self, relative: &str) -> String {
        format!("{}{relative}", self.base_url)
    }

    /// How the client has to have called what it calls.
    pub(super) fn url_of_request(&self, cx: Cx<'_, Pki>) -> String {
        let base = self.state.cluster.path.trim_end_matches('/');
        format!("{base}/{}", cx.relative_path())
    }

    /// With a link to this directory.
    pub(super) fn indexed(&self, mut reply: Reply) -> Reply {
        let index = format!("<{}>;rel=\"index\"", self.url("directory"));
        match reply.headers.iter_mut().find(|(name, _)| *name == LINK) {
            Some((_, links)) => *links = format!("{index}, {links}"),
            None => reply.headers.push((LINK, index)),
        }
        reply
    }

    fn show(&self) -> serde_json::Value {
        json!({
            "newNonce": self.url("new-nonce"),
            "newAccount": self.url("new-account"),
            "newOrder": self.url("new-order"),
            "revokeCert": self.url("revoke-cert"),
            "keyChange": self.url("key-change"),
            "meta": {
                "externalAccountRequired": self.state.acme.eab_policy != EabPolicy::Nobody,
            },
        })
    }
}

pub(super) const LINK: &str = "Link";

async fn role(cx: Cx<'_, Pki>, state: &State, named: &str) -> Result<(String, Arc<Role>), Failure> {
    let config = &state.acme;
    let name = match (&config.default_policy, named) {
        (_, named) if !named.is_empty() => {
            if !config.allows_role(named) {
                let text = "specified role not allowed by ACME policy";
                return Err(Kind::Unauthorized.with(text).into());
            }
            named
        }
        (DefaultPolicy::Forbid, _) => {
            let text = "default directory not allowed by ACME policy";
            return Err(Kind::Unauthorized.with(text).into());
        }
        (DefaultPolicy::SignVerbatim, _) => return Ok((String::new(), Arc::new(any_name()))),
        (DefaultPolicy::Role(name), _) => name,
    };
    Ok((name.to_owned(), usable_role(cx, name).await??))
}

/// A role that certificates over ACME may have.
///
/// # Errors
/// The outer ones are ours; the inner one says why it may not.
pub(super) async fn usable_role(
    cx: Cx<'_, Pki>,
    name: &str,
) -> Result<Result<Arc<Role>, Problem>, ApiError> {
    let Some(role) = cx.engine.state.role(name).await? else {
        return Ok(Err(Kind::Malformed.with("role does not exist")));
    };
    if role.no_store {
        let text = "role can not be used as NoStore is set to true";
        return Ok(Err(Kind::ServerInternal.with(text)));
    }
    Ok(Ok(role))
}

/// The rules where no role is asked: whatever name the client controls.
fn any_name() -> Role {
    Role {
        allow_any_name: true,
        allow_ip_sans: true,
        enforce_hostnames: false,
        key_type: KeyType::Any,
        require_cn: false,
        cn_validations: vec![CnValidation::Disabled],
        ..Role::default()
    }
}

fn issuer(state: &Arc<State>, reference: &str) -> Result<(Arc<IssuerState>, Arc<Issuer>), Failure> {
    let Ok(found) = state.issuer(reference) else {
        return Err(Kind::Malformed.with("issuer does not exist").into());
    };
    if !state.acme.allows_issuer(state, &found.record.id) {
        let text = "specified issuer not allowed by ACME policy";
        return Err(Kind::Unauthorized.with(text).into());
    }
    let (issuer, signer) =
        Pki::signing_issuer(state, reference).map_err(|error| Kind::ServerInternal.with(error))?;
    Ok((issuer.clone(), signer.clone()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_names_its_issuer_and_role_and_nothing_else_does() {
        for (path, prefix, issuer, role) in [
            ("acme/directory", "", "", ""),
            ("roles/web/acme/new-order", "roles/web/", "", "web"),
            ("issuer/root/acme/orders", "issuer/root/", "root", ""),
            (
                "issuer/root/roles/web/acme/order/x/cert",
                "issuer/root/roles/web/",
                "root",
                "web",
            ),
            ("roles/acme/acme/directory", "roles/acme/", "", "acme"),
            ("issuer/roles/acme/directory", "issuer/roles/", "roles", ""),
        ] {
            let named = named(path);
            assert_eq!(
                (named.prefix.as_str(), named.issuer, named.role),
                (prefix, issuer, role),
                "{path}"
            );
        }
        assert_eq!(
            directory_path("roles/a/acme/new-eab"),
            "roles/a/acme/directory"
        );
    }
}
