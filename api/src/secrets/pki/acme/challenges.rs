//! Challenges (RFC 8555 §7.1.5, §7.5.1): one way to prove control over a name. A client says when it
//! is ready for one; the proof is looked at in the background.

use signet_storage::Batch;

use crate::call::Op;
use crate::endpoint::Route;
use crate::reply::Reply;
use crate::secrets::pki::acme::authorizations::{self, challenge_url};
use crate::secrets::pki::acme::directory::LINK;
use crate::secrets::pki::acme::problem::{Failure, Kind};
use crate::secrets::pki::acme::records::{
    Authorization, ChallengeKind, Status, authorization_path,
};
use crate::secrets::pki::acme::session::{
    Action, Session, in_every_directory, json as json_reply, signed_params,
};
use crate::secrets::pki::acme::validate::Due;

signed_params!(ChallengeParams {
    /// The authorization's id.
    auth_id,
    /// `http-01`, `dns-01` or `tls-alpn-01`.
    challenge_type,
});

pub(in crate::secrets::pki) struct Existing;

impl Action for Existing {
    type Params = ChallengeParams;

    const ROUTES: &'static [Route] = in_every_directory!(
        Route::unauthenticated,
        Op::Write,
        "challenge/{auth_id:uuid}/{challenge_type}"
    );
    const HELP: &'static str = "Read an ACME challenge, or have its proof looked at.";

    async fn act(session: &Session<'_>, params: &ChallengeParams) -> Result<Reply, Failure> {
        let id = &params.auth_id;
        let mut found = authorizations::find(session, id).await?;
        let authorization = &mut found.authorization;
        let kind = ChallengeKind::from_name(&params.challenge_type)
            .filter(|kind| authorization.challenge(*kind).is_some())
            .ok_or_else(|| {
                Kind::Malformed.because(format!(
                    "unknown challenge of type '{}' in authorization",
                    params.challenge_type
                ))
            })?;
        if session.payload.is_some() && accept(session, id, authorization, kind)? {
            let account = &session.account()?.id;
            let path = authorization_path(account, id);
            let view = session.view();
            let mut batch = Batch::default();
            view.expect(&mut batch, &path, found.expect);
            view.put_record(&mut batch, &path, authorization)?;
            Due::at(session.now(), account, id).put(view, &mut batch, kind)?;
            session.expect_account(&mut batch)?;
            session.commit(batch).await?;
            let engine = session.cx.engine;
            engine.acme.wake(engine);
        }
        let Some(challenge) = authorization.challenge(kind) else {
            return Err(Kind::Malformed.alone().into());
        };
        let mut reply = json_reply(&challenge.show(challenge_url(session, id, challenge)))?;
        let up = session.directory.url(&format!("authorization/{id}"));
        reply.headers.push((LINK, format!("<{up}>;rel=\"up\"")));
        Ok(reply)
    }
}

/// Marks a challenge as one to be looked at; false when it is already.
fn accept(
    session: &Session<'_>,
    id: &str,
    authorization: &mut Authorization,
    kind: ChallengeKind,
) -> Result<bool, Failure> {
    let refused = |text: String| {
        let problem = Kind::Malformed.with(text);
        Failure::from(problem.context("error submitting challenge for validation"))
    };
    let status = authorization.status_at(session.now());
    if status != Status::Pending {
        return Err(refused(format!(
            "cannot accept already validated authorization {id} ({})",
            status.name()
        )));
    }
    let accepted = authorization
        .challenges
        .iter()
        .find(|challenge| challenge.status != Status::Pending);
    if let Some(accepted) = accepted {
        if accepted.kind == kind {
            return Ok(false);
        }
        return Err(refused(format!(
            "only a single challenge within an authorization can be accepted ({}) in status {}",
            accepted.kind.name(),
            accepted.status.name()
        )));
    }
    if let Some(challenge) = authorization.challenge_mut(kind) {
        challenge.status = Status::Processing;
    }
    Ok(true)
}
