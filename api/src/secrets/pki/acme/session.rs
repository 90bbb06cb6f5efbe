//! A signed request from its bytes to the answer: the part that all of them share.

use std::future::Future;
use std::marker::PhantomData;

use serde_json::Value;
use signet_storage::{Batch, Expect, Stored, Version, View};

use crate::endpoint::{Cx, Endpoint, Route};
use crate::error::ApiError;
use crate::jwt::OwnKey;
use crate::params::Params;
use crate::reply::{JSON, Reply};
use crate::secrets::pki::Pki;
use crate::secrets::pki::acme::config::EabPolicy;
use crate::secrets::pki::acme::directory::{Directory, disabled};
use crate::secrets::pki::acme::jws::{Message, Payload, Signer};
use crate::secrets::pki::acme::problem::{Failure, Kind, Problem};
use crate::secrets::pki::acme::records::{Account, Status, account_path};
use crate::time::Timestamp;

/// What a signed request asks for.
pub(in crate::secrets::pki) trait Action: Send + Sync + 'static {
    type Params: SignedParams;

    const ROUTES: &'static [Route];
    /// One line.
    const HELP: &'static str;

    fn act(
        session: &Session<'_>,
        params: &Self::Params,
    ) -> impl Future<Output = Result<Reply, Failure>> + Send;
}

/// The parameters of a signed request, which hold the message.
pub(in crate::secrets::pki) trait SignedParams: Params + Sync {
    fn message(&self) -> Message<'_>;
}

/// Declares the parameters of a signed request with these captures.
macro_rules! signed_params {
    ($name:ident { $( $(#[doc = $doc:literal])* $field:ident ),* $(,)? }) => {
        crate::params::params! {
            pub(in crate::secrets::pki) struct $name {
                /// ACME request 'protected' value.
                protected: String,
                /// ACME request 'payload' value.
                payload: String,
                /// ACME request 'signature' value.
                signature: String,
                $( $(#[doc = $doc])* $field: String, )*
            }
            ignored {
                /// Name of the role whose rules apply.
                role: String,
                /// Reference to the issuer.
                issuer_ref: String,
            }
        }

        impl crate::secrets::pki::acme::session::SignedParams for $name {
            fn message(&self) -> crate::secrets::pki::acme::jws::Message<'_> {
                crate::secrets::pki::acme::jws::Message {
                    protected: &self.protected,
                    payload: &self.payload,
                    signature: &self.signature,
                }
            }
        }
    };
}
pub(super) use signed_params;

signed_params!(Plain {});

/// The same path in each kind of directory.
macro_rules! in_every_directory {
    ($constructor:path, $op:expr, $path:literal) => {
        &[
            $constructor($op, concat!("acme/", $path)),
            $constructor($op, concat!("roles/{role}/acme/", $path)),
            $constructor($op, concat!("issuer/{issuer_ref}/acme/", $path)),
            $constructor(
                $op,
                concat!("issuer/{issuer_ref}/roles/{role}/acme/", $path),
            ),
        ]
    };
}
pub(super) use in_every_directory;

/// The endpoint of an action.
pub(in crate::secrets::pki) struct Signed<A>(PhantomData<A>);

impl<A: Action> Endpoint for Signed<A> {
    type Engine = Pki;
    type Params = A::Params;

    const ROUTES: &'static [Route] = A::ROUTES;
    const HELP: &'static str = A::HELP;

    async fn handle(cx: Cx<'_, Pki>, params: A::Params) -> Result<Reply, ApiError> {
        let state = cx.engine.state.state().await?;
        if !state.acme.is_active(cx) {
            return Ok(disabled());
        }
        let directory = match Directory::find(cx, state).await {
            Ok(directory) => directory,
            Err(failure) => return with_nonce(cx, failure.into_problem().reply()?),
        };
        let mut attempts = 1;
        let outcome = loop {
            let outcome = attempt::<A>(cx, &directory, &params, attempts == 1).await;
            match outcome {
                Err(failure) if failure.is_conflict() && attempts < MAX_ATTEMPTS => attempts += 1,
                outcome => break outcome,
            }
        };
        let reply = match outcome {
            Ok(reply) => reply,
            Err(failure) => failure.into_problem().reply()?,
        };
        with_nonce(cx, directory.indexed(reply))
    }
}

/// Two requests at one record: the loser looks again.
const MAX_ATTEMPTS: usize = 16;

async fn attempt<A: Action>(
    cx: Cx<'_, Pki>,
    directory: &Directory,
    params: &A::Params,
    is_first: bool,
) -> Result<Reply, Failure> {
    let session = open(cx, directory, params.message(), is_first).await?;
    A::act(&session, params).await
}

/// Finds out who signed and what.
async fn open<'s>(
    cx: Cx<'s, Pki>,
    directory: &'s Directory,
    message: Message<'_>,
    is_first: bool,
) -> Result<Session<'s>, Failure> {
    let header = message.header()?;
    let (key, account) = match header.signer {
        Signer::Key(key) => (key, None),
        Signer::Account(kid) => {
            let id = kid.rsplit('/').next().unwrap_or_default();
            let account = SignedIn::find(&cx.engine.env.view, id).await?;
            let account = account.ok_or_else(|| {
                let text = "failed to json unmarshal 'protected': account not found";
                Kind::AccountDoesNotExist.because(text)
            })?;
            let key = OwnKey::from_jwk(&account.record.jwk)
                .ok_or_else(|| ApiError::internal("stored key of an ACME account is damaged"))?;
            (key, Some(account))
        }
    };
    if is_first && !cx.engine.acme.nonces.redeem(&header.nonce, cx.now) {
        return Err(Kind::BadNonce.because("invalid or reused nonce").into());
    }
    if header.url.is_empty() {
        let text = "missing required parameter 'url' in 'protected'";
        return Err(Kind::Malformed.because(text).into());
    }
    let expected = directory.url_of_request(cx);
    if header.url != expected {
        let text = format!(
            "invalid value for 'url' in 'protected': got '{}' expected '{expected}'",
            header.url
        );
        return Err(Kind::Unauthorized.because(text).into());
    }
    let payload = message.verify(header.algorithm, &key)?;
    if let Some(account) = &account {
        account.may_act(directory)?;
    }
    Ok(Session {
        cx,
        directory,
        key,
        account,
        payload,
    })
}

fn with_nonce(cx: Cx<'_, Pki>, mut reply: Reply) -> Result<Reply, ApiError> {
    let nonce = cx.engine.acme.nonces.issue(cx.node.rng(), cx.now)?;
    reply.headers.push(("Replay-Nonce", nonce));
    Ok(reply)
}

/// The account that signed.
pub(super) struct SignedIn {
    pub(super) id: String,
    pub(super) record: Account,
    version: Version,
}

impl SignedIn {
    pub(super) async fn find(view: &View, id: &str) -> Result<Option<Self>, ApiError> {
        if !crate::route::is_uuid(id) {
            return Ok(None);
        }
        let stored = view.record::<Account>(&account_path(id)).await?;
        Ok(stored.map(|Stored { value, version }| Self {
            id: id.to_owned(),
            record: value,
            version,
        }))
    }

    /// # Errors
    /// When it may not, in this directory or at all.
    pub(super) fn may_act(&self, directory: &Directory) -> Result<(), Problem> {
        if self.record.directory != directory.path {
            let text = "account part of different ACME directory path";
            return Err(Kind::Malformed.with(text));
        }
        if self.record.status != Status::Valid {
            let text = format!("account in status: {}", self.record.status.name());
            return Err(Kind::Unauthorized.with(text));
        }
        let is_bound = self.record.external_key.is_some();
        if directory.state.acme.eab_policy == EabPolicy::All && !is_bound {
            return Err(Kind::ExternalAccountRequired.alone());
        }
        Ok(())
    }
}

/// A request whose signature is right.
pub(in crate::secrets::pki) struct Session<'s> {
    pub(super) cx: Cx<'s, Pki>,
    pub(super) directory: &'s Directory,
    /// What it is signed with.
    pub(super) key: OwnKey,
    /// `None` when the key came with the request.
    account: Option<SignedIn>,
    pub(super) payload: Payload,
}

impl Session<'_> {
    pub(super) fn now(&self) -> Timestamp {
        self.cx.now
    }

    pub(super) fn view(&self) -> &View {
        &self.cx.engine.env.view
    }

    pub(super) fn signed_in(&self) -> Option<&SignedIn> {
        self.account.as_ref()
    }

    /// The account, which nearly every action needs.
    pub(super) fn account(&self) -> Result<&SignedIn, Problem> {
        self.account
            .as_ref()
            .ok_or_else(|| Kind::Malformed.because("cannot submit to this path without a 'kid'"))
    }

    /// A member of the payload.
    pub(super) fn member(&self, name: &str) -> Option<&Value> {
        self.payload
            .as_ref()?
            .get(name)
            .filter(|value| !value.is_null())
    }

    /// Makes the commit fail when the account has changed: one that was ended meanwhile gets
    /// nothing more.
    pub(super) fn expect_account(&self, batch: &mut Batch) -> Result<(), Problem> {
        let account = self.account()?;
        let expect = Expect::Version(account.version);
        self.view()
            .expect(batch, &account_path(&account.id), expect);
        Ok(())
    }

    pub(super) async fn commit(&self, batch: Batch) -> Result<(), ApiError> {
        self.cx.commit(batch).await
    }

    /// A new id for something of ours.
    pub(super) fn new_id(&self) -> Result<String, ApiError> {
        crate::random::uuid(self.cx.node.rng())
    }
}

pub(super) fn json(value: &impl serde::Serialize) -> Result<Reply, ApiError> {
    let bytes = crate::json::to_bytes(value).map_err(ApiError::internal)?;
    Ok(Reply::raw(JSON, bytes))
}

/// The name of the type of a value, as clients are told it.
pub(super) fn type_name(value: &Value) -> &'static str {
    match value {
        Value::Null => "nil",
        Value::Bool(_) => "bool",
        Value::Number(_) => "float64",
        Value::String(_) => "string",
        Value::Array(_) => "[]interface {}",
        Value::Object(_) => "map[string]interface {}",
    }
}

/// A member that is not of the type that it has to have.
pub(super) fn wrong_type(name: &str, value: &Value) -> Problem {
    let text = format!("invalid type ({}) for field '{name}'", type_name(value));
    Kind::Malformed.because(text)
}
