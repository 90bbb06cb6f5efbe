//! An account gets another key (RFC 8555 §7.3.5): the old one signs what the new one has signed.

use serde_json::Value;
use signet_storage::{Batch, Expect};

use crate::call::Op;
use crate::endpoint::Route;
use crate::jwt::OwnKey;
use crate::reply::Reply;
use crate::secrets::pki::acme::accounts;
use crate::secrets::pki::acme::jws::{Message, Payload, Signer};
use crate::secrets::pki::acme::problem::{Failure, Kind, Problem};
use crate::secrets::pki::acme::records::{KeyOwner, account_path, thumbprint_path};
use crate::secrets::pki::acme::session::{Action, Plain, Session, in_every_directory};

pub(in crate::secrets::pki) struct KeyChange;

impl Action for KeyChange {
    type Params = Plain;

    const ROUTES: &'static [Route] =
        in_every_directory!(Route::unauthenticated, Op::Write, "key-change");
    const HELP: &'static str = "Give an ACME account another key.";

    async fn act(session: &Session<'_>, _params: &Plain) -> Result<Reply, Failure> {
        let account = session.account()?;
        let key = new_key(session)?;
        let view = session.view();
        let new_owner = thumbprint_path(&key.thumbprint);
        if view.get(&new_owner).await?.is_some() {
            let problem = Kind::Malformed.because("the new key belongs to an account already");
            return Err(problem.status(409).into());
        }
        let mut changed = account.record.clone();
        let mut batch = Batch::default();
        view.delete(&mut batch, &thumbprint_path(&changed.thumbprint));
        changed.jwk = key.jwk;
        changed.thumbprint = key.thumbprint;
        let owner = KeyOwner {
            account: account.id.clone(),
        };
        view.expect(&mut batch, &new_owner, Expect::Absent);
        view.put_record(&mut batch, &new_owner, &owner)?;
        session.expect_account(&mut batch)?;
        view.put_record(&mut batch, &account_path(&account.id), &changed)?;
        session.commit(batch).await?;
        accounts::reply(session, &account.id, &changed, None)
    }
}

/// The key that signed the payload, which says that it is to take the place of the account's.
fn new_key(session: &Session<'_>) -> Result<OwnKey, Problem> {
    let text = |name: &str| {
        let member = session.member(name);
        member.and_then(Value::as_str).unwrap_or_default()
    };
    let inner = Message {
        protected: text("protected"),
        payload: text("payload"),
        signature: text("signature"),
    };
    let in_inner = |problem: Problem| problem.context("inner JWS");
    let header = inner.header().map_err(in_inner)?;
    if header.url != session.directory.url_of_request(session.cx) {
        return Err(Kind::Malformed.because("inner and outer JWS have different URLs"));
    }
    let Signer::Key(key) = header.signer else {
        return Err(Kind::Malformed.because("the inner JWS has no 'jwk'"));
    };
    let payload = inner.verify(header.algorithm, &key).map_err(in_inner)?;
    check_payload(session, &payload)?;
    Ok(key)
}

fn check_payload(session: &Session<'_>, payload: &Payload) -> Result<(), Problem> {
    let account = session.account()?;
    let member = |name: &str| payload.as_ref().and_then(|payload| payload.get(name));
    let named = member("account").and_then(Value::as_str);
    if named.and_then(|url| url.rsplit('/').next()) != Some(account.id.as_str()) {
        return Err(Kind::Malformed.because("the inner JWS names another account"));
    }
    let old_key = member("oldKey").and_then(OwnKey::from_jwk);
    if old_key.is_none_or(|key| key.public != session.key.public) {
        return Err(Kind::Malformed.because("the inner JWS names another old key"));
    }
    Ok(())
}
