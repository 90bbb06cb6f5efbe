//! External account binding (RFC 8555 §7.3.4): keys with which an operator lets somebody make an
//! account. A key is good for one account in one directory.

use aws_lc_rs::hmac;
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::{Map, Value, json};
use signet_storage::{Batch, Expect};
use zeroize::Zeroizing;

use crate::call::Op;
use crate::endpoint::{Cx, Endpoint, Route};
use crate::error::ApiError;
use crate::jwt::OwnKey;
use crate::params::{PageParams, params};
use crate::reply::Reply;
use crate::secrets::pki::Pki;
use crate::secrets::pki::acme::directory::directory_path;
use crate::secrets::pki::acme::jws::{MAX_HEADER_BYTES, Message, decode, object};
use crate::secrets::pki::acme::problem::{Failure, Kind};
use crate::secrets::pki::acme::records::{
    EXTERNAL_KEYS, ExternalKey, external_key_path, whole_secs,
};
use crate::secrets::pki::acme::session::{Session, in_every_directory};
use crate::secrets::pki::certs::list::goes_on;

params! {
    pub(in crate::secrets::pki) struct NewParams {}
    ignored {
        /// Name of the role whose directory the key is for.
        role: String,
        /// Reference to the issuer whose directory the key is for.
        issuer_ref: String,
    }
}

pub(in crate::secrets::pki) struct New;

impl Endpoint for New {
    type Engine = Pki;
    type Params = NewParams;

    const ROUTES: &'static [Route] = in_every_directory!(Route::token, Op::Write, "new-eab");
    const HELP: &'static str = "Generate a key with which one ACME account can be made.";

    async fn handle(cx: Cx<'_, Pki>, _params: NewParams) -> Result<Reply, ApiError> {
        let rng = cx.node.rng();
        let id = crate::random::uuid(rng)?;
        let mut secret = Zeroizing::new([0; 32]);
        rng.fill(secret.as_mut_slice())?;
        let random = Zeroizing::new(URL_SAFE_NO_PAD.encode(secret.as_slice()));
        let record = ExternalKey {
            key: Zeroizing::new(format!("{KEY_PREFIX}{}", random.as_str())),
            directory: directory_path(cx.relative_path()),
            created_at: cx.now,
        };
        let view = &cx.engine.env.view;
        let mut batch = Batch::default();
        view.put_record(&mut batch, &external_key_path(&id), &record)?;
        cx.commit(batch).await?;
        let mut data = show(&record);
        data.insert("id".into(), id.into());
        data.insert("key".into(), record.key.as_str().into());
        Ok(Reply::map(data))
    }
}

/// Itself the base64 of nine bytes: clients decode the key with it.
const KEY_PREFIX: &str = "vault-eab-0-";

fn show(key: &ExternalKey) -> Map<String, Value> {
    Map::from_iter([
        ("key_type".to_owned(), "hs".into()),
        ("acme_directory".to_owned(), key.directory.clone().into()),
        ("created_on".to_owned(), whole_secs(key.created_at).into()),
    ])
}

pub(in crate::secrets::pki) struct List;

impl Endpoint for List {
    type Engine = Pki;
    type Params = PageParams;

    const ROUTES: &'static [Route] = &[Route::token(Op::List, "eab")];
    const HELP: &'static str = "List the keys with which no ACME account was made yet.";

    async fn handle(cx: Cx<'_, Pki>, params: PageParams) -> Result<Reply, ApiError> {
        let (after, limit) = params.bounds();
        let view = &cx.engine.env.view;
        let page = view
            .scan_records::<ExternalKey>(EXTERNAL_KEYS, after, limit.min(MAX_LISTED))
            .await?;
        if page.is_empty() {
            return Err(ApiError::not_found());
        }
        let infos: Map<String, Value> = page
            .iter()
            .map(|(id, stored)| (id.clone(), show(&stored.value).into()))
            .collect();
        let is_cut = limit > MAX_LISTED && page.len() == MAX_LISTED;
        let ids: Vec<String> = page.into_iter().map(|(id, _)| id).collect();
        let last = ids.last().cloned().filter(|_| is_cut);
        let reply = Reply::data(json!({ "keys": ids, "key_info": infos }))?;
        Ok(reply.warn_all(last.map(|last| goes_on(&last))))
    }
}

const MAX_LISTED: usize = 10_000;

params! {
    pub(in crate::secrets::pki) struct DeleteParams {
        /// Id of the key.
        key_id: String,
    }
}

pub(in crate::secrets::pki) struct Delete;

impl Endpoint for Delete {
    type Engine = Pki;
    type Params = DeleteParams;

    const ROUTES: &'static [Route] = &[Route::token(Op::Delete, "eab/{key_id:uuid}")];
    const HELP: &'static str = "Delete a key with which no ACME account was made yet.";

    async fn handle(cx: Cx<'_, Pki>, params: DeleteParams) -> Result<Reply, ApiError> {
        let view = &cx.engine.env.view;
        let path = external_key_path(&params.key_id);
        let reply = Reply::empty_data();
        if view.get(&path).await?.is_none() {
            return Ok(reply.warn(format!("No key id found with id: {}", params.key_id)));
        }
        let mut batch = Batch::default();
        view.delete(&mut batch, &path);
        cx.commit(batch).await?;
        Ok(reply)
    }
}

/// Checks the binding in a request for a new account, and takes its key: the commit with which the
/// account comes removes it.
///
/// Gives back the id of the key.
pub(super) async fn bind(
    session: &Session<'_>,
    binding: &Map<String, Value>,
    batch: &mut Batch,
) -> Result<String, Failure> {
    let text = |name: &str| {
        binding
            .get(name)
            .and_then(Value::as_str)
            .unwrap_or_default()
    };
    let message = Message {
        protected: text("protected"),
        payload: text("payload"),
        signature: text("signature"),
    };
    let header = object(
        "externalAccountBinding",
        &decode(
            "externalAccountBinding",
            message.protected,
            MAX_HEADER_BYTES,
        )?,
    )?;
    let header = |name: &str| header.get(name).and_then(Value::as_str).unwrap_or_default();
    let algorithm = match header("alg") {
        "HS256" => hmac::HMAC_SHA256,
        "HS384" => hmac::HMAC_SHA384,
        "HS512" => hmac::HMAC_SHA512,
        _ => {
            let text = "failed to json unmarshal eab 'protected': invalid header: unexpected \
                        value for 'algo'";
            return Err(Kind::Malformed.because(text).into());
        }
    };
    if !header("nonce").is_empty() {
        let text = "nonce should not be provided in eab 'protected'";
        return Err(Kind::Malformed.because(text).into());
    }
    let expected = session.directory.url_of_request(session.cx);
    if header("url") != expected {
        let text = format!(
            "invalid value for 'url' in eab 'protected': got '{}' expected '{expected}'",
            header("url")
        );
        return Err(Kind::Unauthorized.because(text).into());
    }
    let jwk = object(
        "externalAccountBinding",
        &decode("externalAccountBinding", message.payload, MAX_HEADER_BYTES)?,
    )?;
    let bound = OwnKey::from_jwk(&Value::Object(jwk));
    if bound.is_none_or(|bound| bound.public != session.key.public) {
        let text = "eab payload does not match outer JWK key";
        return Err(Kind::Malformed.because(text).into());
    }
    let unverified = || Failure::from(Kind::Unauthorized.with("failed to verify eab"));
    let id = header("kid");
    if !crate::route::is_uuid(id) {
        return Err(unverified());
    }
    let path = external_key_path(id);
    let stored = session.view().record::<ExternalKey>(&path).await?;
    let stored = stored.ok_or_else(unverified)?;
    let key = URL_SAFE_NO_PAD.decode(stored.value.key.as_bytes());
    let key = Zeroizing::new(key.map_err(ApiError::internal)?);
    let key = hmac::Key::new(algorithm, &key);
    let mac = URL_SAFE_NO_PAD
        .decode(message.signature)
        .map_err(|_| unverified())?;
    hmac::verify(&key, message.signed().as_bytes(), &mac).map_err(|_| unverified())?;
    if stored.value.directory != session.directory.path {
        return Err(unverified());
    }
    let view = session.view();
    view.expect(batch, &path, Expect::Version(stored.version));
    view.delete(batch, &path);
    Ok(id.to_owned())
}
