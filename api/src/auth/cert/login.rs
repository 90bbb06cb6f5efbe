//! `login`: the certificate of a TLS connection for a token.

use std::collections::BTreeMap;
use std::sync::Arc;

use aws_lc_rs::digest::{SHA256, digest};
use signet_pki::cert::Certificate;
use signet_pki::serial::separated_hex;

use crate::call::Op;
use crate::endpoint::{Cx, Endpoint, Route};
use crate::error::ApiError;
use crate::node::Metadata;
use crate::params::params;
use crate::reply::Reply;
use crate::request::Request;

use super::describe::{Subject, decimal, extension_text};
use super::ocsp::Standing;
use super::role::LoadedRole;
use super::state::{State, Store};
use super::verify::{Presented, Untrusted};
use super::{CERT_NAME, CertAuth, FINGERPRINT, POLICIES};

pub(super) struct Login;

params! {
    pub(super) struct LoginParams {
        /// The name of the certificate role to authenticate against. The default is any that fits.
        name: String,
    }
}

impl Endpoint for Login {
    type Engine = CertAuth;
    type Params = LoginParams;

    const ROUTES: &'static [Route] = &[Route::unauthenticated(Op::Write, "login")];
    const HELP: &'static str = "Log in with the client certificate of the connection.";

    async fn handle(cx: Cx<'_, CertAuth>, params: LoginParams) -> Result<Reply, ApiError> {
        let store = &cx.engine.store;
        let state = store.state().await?;
        let (presented, role) = find(cx.request, state, params.name).await?;
        let leaf = &presented.leaf;
        let subject = Subject::of(leaf);
        let token = &role.role.token;
        let source = cx.call.peer.address.ip();
        token.check_source(source)?;
        let mut grant = token.grant(source);
        store.expect_unchanged(&mut grant.batch, &role);
        grant.display_name.clone_from(&role.role.display_name);
        grant.metadata = metadata(&role, leaf, &subject);
        grant.internal = Metadata::from([
            (CERT_NAME.into(), role.name.clone()),
            (FINGERPRINT.into(), fingerprint(leaf)),
            (POLICIES.into(), token.policies_text()),
        ]);
        grant.alias = subject.common_name;
        Ok(Reply::login(grant))
    }
}

/// Refuses the renewal of a token over a connection that does not have the certificate with which
/// it was made, or whose certificate may not log in any more.
pub(super) async fn check_renewal(
    store: &Store,
    internal: &BTreeMap<String, String>,
    request: &Request,
) -> Result<(), ApiError> {
    let state = store.state().await?;
    if state.config.disable_binding {
        return Ok(());
    }
    let name = internal.get(CERT_NAME).cloned().unwrap_or_default();
    let (presented, _) = find(request, state, name).await?;
    if internal.get(FINGERPRINT) == Some(&fingerprint(&presented.leaf)) {
        return Ok(());
    }
    Err(ApiError::bad_request(
        "client identity during renewal not matching client identity used during login",
    ))
}

/// The first role, of this name or of any, that lets the client in.
async fn find(
    request: &Request,
    state: Arc<State>,
    name: String,
) -> Result<(Presented, Arc<LoadedRole>), ApiError> {
    let certificates = request.call.peer.certificates.clone();
    if certificates.is_empty() {
        return Err(ApiError::bad_request("no client certificate found"));
    }
    let now = request.now;
    // Several signatures of any algorithm, for whoever connects.
    let work = move || {
        let presented = Presented::read(&certificates).ok_or_else(unknown)?;
        let subject = Subject::of(&presented.leaf);
        let mut fitting = Vec::new();
        let mut refusal = unknown();
        for role in candidates(&state, &name) {
            match presented.check(role, &state, now) {
                Ok(()) if role.role.constraints.allow(&presented.leaf, &subject) => {
                    let is_asked_about = role.responders.are_asked();
                    let issuer = is_asked_about.then(|| presented.issuer(role)).flatten();
                    fitting.push((role.clone(), issuer));
                    if !is_asked_about {
                        break;
                    }
                }
                Ok(()) | Err(Untrusted::Revoked) => refusal = no_chain(),
                Err(Untrusted::Invalid(reason)) => {
                    refusal = ApiError::bad_request(format!(
                        "failed to verify client's certificate: {reason}"
                    ));
                }
                Err(Untrusted::Unknown) => {}
            }
        }
        Ok::<_, ApiError>((presented, fitting, refusal))
    };
    let environment = &request.node.environment;
    let (presented, fitting, mut refusal) = environment.pool.run(work).await??;
    for (role, issuer) in fitting {
        let outbound = environment.outbound.as_ref();
        let asked = role
            .responders
            .admit(&presented.leaf, issuer.as_ref(), outbound, now);
        match asked.await {
            Standing::Good => return Ok((presented, role)),
            Standing::Revoked => refusal = no_chain(),
            Standing::Unclear => refusal = unclear(),
        }
    }
    Err(refusal)
}

fn candidates<'s>(state: &'s State, name: &str) -> Vec<&'s Arc<LoadedRole>> {
    if name.is_empty() {
        state.roles.iter().collect()
    } else {
        state.role(name).into_iter().collect()
    }
}

fn unknown() -> ApiError {
    ApiError::bad_request("invalid certificate or no client certificate supplied")
}

const NO_CHAIN: &str =
    "no chain matching all constraints could be found for this login certificate";

fn no_chain() -> ApiError {
    ApiError::bad_request(NO_CHAIN)
}

/// The cause, with the addresses of responders, is in the log.
fn unclear() -> ApiError {
    ApiError::bad_request(format!(
        "{NO_CHAIN}; additionally got errors during verification: 1 error occurred:\n\t* its OCSP \
         status could not be determined\n\n"
    ))
}

fn metadata(role: &LoadedRole, leaf: &Certificate, subject: &Subject) -> Metadata {
    let key_id = |id: Option<&[u8]>| separated_hex(id.unwrap_or_default(), ':');
    let mut metadata = Metadata::from([
        ("authority_key_id".into(), key_id(leaf.authority_key_id())),
        ("cert_name".into(), role.name.clone()),
        ("common_name".into(), subject.common_name.clone()),
        ("serial_number".into(), decimal(leaf.serial())),
        ("subject_key_id".into(), key_id(leaf.subject_key_id())),
    ]);
    for oid in &role.role.metadata_extensions {
        if let Some(value) = extension_text(leaf, oid) {
            metadata.insert(oid.replace('.', "-"), value);
        }
    }
    metadata
}

fn fingerprint(certificate: &Certificate) -> String {
    hex::encode(digest(&SHA256, certificate.der()))
}
