//! Authorizations (RFC 8555 §7.1.4, §7.5): for one name, the proof that a client controls it.

use serde_json::{Value, json};
use signet_storage::{Batch, Expect, Stored};

use crate::call::Op;
use crate::endpoint::Route;
use crate::error::ApiError;
use crate::reply::Reply;
use crate::secrets::pki::acme::problem::{Failure, Kind};
use crate::secrets::pki::acme::records::{
    Authorization, Challenge, Identifier, Status, authorization_path, whole_secs,
};
use crate::secrets::pki::acme::session::{
    Action, Session, in_every_directory, json as json_reply, signed_params,
};
use crate::time::Timestamp;

/// An authorization that nothing is proved of yet.
pub(super) fn new(
    session: &Session<'_>,
    identifier: &Identifier,
    expires_at: Timestamp,
) -> Result<Authorization, ApiError> {
    let (identifier, wildcard) = identifier.to_prove();
    let challenges = identifier
        .challenges(wildcard)
        .iter()
        .map(|kind| {
            Ok(Challenge {
                kind: *kind,
                token: token(session)?,
                status: Status::Pending,
                validated_at: None,
                error: String::new(),
                failures: 0,
            })
        })
        .collect::<Result<_, ApiError>>()?;
    Ok(Authorization {
        identifier,
        wildcard,
        status: Status::Pending,
        expires_at,
        challenges,
    })
}

/// 256 bits in base64.
fn token(session: &Session<'_>) -> Result<String, ApiError> {
    use base64::Engine as _;
    use base64::engine::general_purpose::URL_SAFE_NO_PAD;
    let mut random = [0; 32];
    session.cx.node.rng().fill(&mut random)?;
    Ok(URL_SAFE_NO_PAD.encode(random))
}

signed_params!(AuthorizationParams {
    /// The authorization's id.
    auth_id,
});

pub(in crate::secrets::pki) struct Existing;

impl Action for Existing {
    type Params = AuthorizationParams;

    const ROUTES: &'static [Route] = in_every_directory!(
        Route::unauthenticated,
        Op::Write,
        "authorization/{auth_id:uuid}"
    );
    const HELP: &'static str = "Read or deactivate an ACME authorization.";

    async fn act(session: &Session<'_>, params: &AuthorizationParams) -> Result<Reply, Failure> {
        let mut found = find(session, &params.auth_id).await?;
        match session.member("status").map(Value::as_str) {
            None => {}
            Some(Some("deactivated")) => deactivate(session, &params.auth_id, &mut found).await?,
            Some(_) => return Err(Kind::Malformed.alone().into()),
        }
        reply(session, &params.auth_id, &found.authorization)
    }
}

async fn deactivate(session: &Session<'_>, id: &str, found: &mut Found) -> Result<(), Failure> {
    let authorization = &mut found.authorization;
    if !matches!(authorization.status, Status::Pending | Status::Valid) {
        return Ok(());
    }
    authorization.status = Status::Deactivated;
    for challenge in &mut authorization.challenges {
        challenge.status = Status::Invalid;
    }
    let path = authorization_path(&session.account()?.id, id);
    let mut batch = Batch::default();
    session.view().expect(&mut batch, &path, found.expect);
    session
        .view()
        .put_record(&mut batch, &path, &found.authorization)?;
    Ok(session.commit(batch).await?)
}

/// An authorization of the account that signed.
pub(super) struct Found {
    pub(super) authorization: Authorization,
    pub(super) expect: Expect,
}

pub(super) async fn find(session: &Session<'_>, id: &str) -> Result<Found, Failure> {
    let path = authorization_path(&session.account()?.id, id);
    let stored = session.view().record::<Authorization>(&path).await?;
    let Some(Stored { value, version }) = stored else {
        let text = "failed to load authorization: authorization does not exist";
        return Err(Kind::Malformed.because(text).into());
    };
    Ok(Found {
        authorization: value,
        expect: Expect::Version(version),
    })
}

fn reply(session: &Session<'_>, id: &str, authorization: &Authorization) -> Result<Reply, Failure> {
    let challenges: Vec<Value> = authorization
        .challenges
        .iter()
        .map(|challenge| challenge.show(challenge_url(session, id, challenge)).into())
        .collect();
    let status = authorization.status_at(session.now());
    let mut shown = json!({
        "identifier": authorization.identifier,
        "status": status.name(),
        "wildcard": authorization.wildcard,
        "challenges": challenges,
    });
    if matches!(status, Status::Valid | Status::Expired)
        && let Some(shown) = shown.as_object_mut()
    {
        let expires = whole_secs(authorization.expires_at);
        shown.insert("expires".into(), expires.into());
    }
    Ok(json_reply(&shown)?)
}

pub(super) fn challenge_url(session: &Session<'_>, id: &str, challenge: &Challenge) -> String {
    let kind = challenge.kind.name();
    session.directory.url(&format!("challenge/{id}/{kind}"))
}
