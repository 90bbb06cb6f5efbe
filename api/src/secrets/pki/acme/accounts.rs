//! Accounts (RFC 8555 §7.1.2, §7.3).

use serde_json::{Map, Value};
use signet_storage::{Batch, Expect};

use crate::call::Op;
use crate::endpoint::Route;
use crate::reply::Reply;
use crate::secrets::pki::acme::config::EabPolicy;
use crate::secrets::pki::acme::eab;
use crate::secrets::pki::acme::problem::{Failure, Kind, Problem};
use crate::secrets::pki::acme::records::{
    Account, KeyOwner, Status, account_path, thumbprint_path,
};
use crate::secrets::pki::acme::session::{
    Action, Plain, Session, SignedIn, in_every_directory, json, signed_params, wrong_type,
};

pub(in crate::secrets::pki) struct New;

impl Action for New {
    type Params = Plain;

    const ROUTES: &'static [Route] =
        in_every_directory!(Route::unauthenticated, Op::Write, "new-account");
    const HELP: &'static str = "Create an ACME account, or find one by its key.";

    async fn act(session: &Session<'_>, _params: &Plain) -> Result<Reply, Failure> {
        if session.signed_in().is_some() {
            let text = "cannot submit new account requests with a 'kid'";
            return Err(Kind::Malformed.because(text).into());
        }
        let contact = contact(session)?;
        if let Some(account) = own_account(session).await? {
            account.may_act(session.directory)?;
            return reply(session, &account.id, &account.record, None);
        }
        if flag(session, "onlyReturnExisting")? {
            let text = "an account with this key does not exist";
            return Err(Kind::AccountDoesNotExist.because(text).into());
        }
        create(session, contact.unwrap_or_default()).await
    }
}

/// The account whose key signed.
async fn own_account(session: &Session<'_>) -> Result<Option<SignedIn>, Failure> {
    let path = thumbprint_path(&session.key.thumbprint);
    let Some(owner) = session.view().record::<KeyOwner>(&path).await? else {
        return Ok(None);
    };
    Ok(SignedIn::find(session.view(), &owner.value.account).await?)
}

async fn create(session: &Session<'_>, contact: Vec<String>) -> Result<Reply, Failure> {
    let mut batch = Batch::default();
    let binding = match session.member("externalAccountBinding") {
        None => None,
        Some(Value::Object(binding)) if binding.is_empty() => None,
        Some(Value::Object(binding)) => Some(binding),
        Some(_) => {
            let text = "externalAccountBinding field was unparseable";
            return Err(Kind::Malformed.with(text).into());
        }
    };
    let external_key = match binding {
        Some(binding) => Some(eab::bind(session, binding, &mut batch).await?),
        None if session.directory.state.acme.eab_policy == EabPolicy::Nobody => None,
        None => return Err(Kind::ExternalAccountRequired.alone().into()),
    };
    let id = session.new_id()?;
    let account = Account {
        status: Status::Valid,
        contact,
        directory: session.directory.path.clone(),
        jwk: session.key.jwk.clone(),
        thumbprint: session.key.thumbprint.clone(),
        external_key,
        created_at: session.now(),
        ended_at: None,
    };
    let view = session.view();
    let owner_path = thumbprint_path(&account.thumbprint);
    view.expect(&mut batch, &owner_path, Expect::Absent);
    view.put_record(
        &mut batch,
        &owner_path,
        &KeyOwner {
            account: id.clone(),
        },
    )?;
    view.put_record(&mut batch, &account_path(&id), &account)?;
    session.commit(batch).await?;
    Ok(reply(session, &id, &account, binding)?.status(201))
}

signed_params!(AccountParams {
    /// The account's id.
    kid,
});

pub(in crate::secrets::pki) struct Existing;

impl Action for Existing {
    type Params = AccountParams;

    const ROUTES: &'static [Route] =
        in_every_directory!(Route::unauthenticated, Op::Write, "account/{kid:uuid}");
    const HELP: &'static str = "Read, change or deactivate an ACME account.";

    async fn act(session: &Session<'_>, params: &AccountParams) -> Result<Reply, Failure> {
        let account = session.account()?;
        if account.id != params.kid {
            return Err(Kind::Unauthorized.with("this is another account").into());
        }
        let mut changed = account.record.clone();
        if let Some(contact) = contact(session)? {
            changed.contact = contact;
        }
        let status = session.member("status").and_then(Value::as_str);
        if status == Some(Status::Deactivated.name()) {
            changed.status = Status::Deactivated;
            changed.ended_at = Some(session.now());
        }
        let is_changed =
            changed.contact != account.record.contact || changed.status != account.record.status;
        if is_changed {
            let mut batch = Batch::default();
            session.expect_account(&mut batch)?;
            let path = account_path(&account.id);
            session.view().put_record(&mut batch, &path, &changed)?;
            session.commit(batch).await?;
        }
        reply(session, &account.id, &changed, None)
    }
}

pub(super) fn reply(
    session: &Session<'_>,
    id: &str,
    account: &Account,
    binding: Option<&Map<String, Value>>,
) -> Result<Reply, Failure> {
    let url = session.directory.url(&format!("account/{id}"));
    let mut shown = Map::new();
    shown.insert("status".into(), account.status.name().into());
    if !account.contact.is_empty() {
        shown.insert("contact".into(), account.contact.clone().into());
    }
    shown.insert("orders".into(), format!("{url}/orders").into());
    if let Some(binding) = binding {
        shown.insert("externalAccountBinding".into(), binding.clone().into());
    }
    let mut reply = json(&shown)?;
    reply.headers.push(("Location", url));
    Ok(reply)
}

/// `None` where the request says nothing of it.
fn contact(session: &Session<'_>) -> Result<Option<Vec<String>>, Problem> {
    let Some(value) = session.member("contact") else {
        return Ok(None);
    };
    let Value::Array(values) = value else {
        return Err(wrong_type("contact", value));
    };
    if values.len() > MAX_CONTACTS {
        return Err(Kind::InvalidContact.with(format!("more than {MAX_CONTACTS} contacts")));
    }
    let text = |value: &Value| match value {
        Value::String(text) if text.len() <= MAX_CONTACT_BYTES => Ok(text.clone()),
        Value::String(_) => Err(Kind::InvalidContact.with("too long")),
        other => Err(wrong_type("contact", other)),
    };
    values.iter().map(text).collect::<Result<_, _>>().map(Some)
}

fn flag(session: &Session<'_>, name: &str) -> Result<bool, Problem> {
    match session.member(name) {
        None => Ok(false),
        Some(Value::Bool(flag)) => Ok(*flag),
        Some(other) => Err(wrong_type(name, other)),
    }
}

const MAX_CONTACTS: usize = 16;
const MAX_CONTACT_BYTES: usize = 1024;
