//! Response wrapping: the answer waits in the cubbyhole of a token that is good for one use.

use std::sync::Arc;

use bytes::Bytes;
use serde_json::{Map, Value};
use signet_storage::Batch;

use crate::answer::{Answer, AnswerBody};
use crate::call::{Call, Op};
use crate::error::{ApiError, ErrorKind};
use crate::node::Core;
use crate::params::FromField;
use crate::reply::{Envelope, WrapInfo};
use crate::request::Request;
use crate::secrets::cubbyhole;
use crate::time::Timestamp;
use crate::token::{GivenToken, Token, TokenKind, TokenRecord};

/// Where in the token's cubbyhole the answer waits.
pub(crate) const RESPONSE: &str = "response";

/// The warning to a client that fetches the answer there itself.
pub(crate) const DEPRECATED_READ: &str = "Reading from 'cubbyhole/response' is deprecated. Please use sys/wrapping/unwrap to unwrap \
     responses, as it provides additional security checks and other benefits.";

const POLICY: &str = "response-wrapping";
const WRAPPED_ACCESSOR: &str = "wrapped_accessor";
const INVALID: &str = "wrapping token is not valid or does not exist";

/// What is put aside, and what is told about it.
pub(crate) struct Wrapping {
    /// The whole JSON answer, without the newline at its end.
    pub(crate) text: String,
    pub(crate) ttl_secs: u64,
    /// The path whose answer it is.
    pub(crate) creation_path: String,
    /// Empty for an answer that hands out nothing that has one.
    pub(crate) wrapped_accessor: String,
}

/// An answer that was put aside, and the use of its token that fetching it costs.
pub(crate) struct Opened {
    pub(crate) token: Arc<Token>,
    pub(crate) wrapping: Wrapping,
    pub(crate) batch: Batch,
}

/// Refuses a form of token that clients may ask for and that does not exist here.
pub(crate) fn check_format(call: &Call) -> Result<(), ApiError> {
    match call.header("x-vault-wrap-format") {
        None | Some("") => Ok(()),
        Some(format) => Err(ApiError::bad_request(format!(
            "unsupported wrapping token format {format:?}"
        ))),
    }
}

/// Puts an answer aside and answers with the token that fetches it. Answers without content stay
/// as they are.
pub(crate) async fn wrap_answer(
    request: &Request,
    answer: Answer,
    ttl_secs: u64,
) -> Result<Answer, ApiError> {
    let envelope = &answer.envelope;
    let has_content = envelope.data.is_some() || envelope.auth.is_some();
    let json = match &answer.body {
        _ if answer.status.is_some_and(|status| status >= 400) => return Ok(answer),
        AnswerBody::Envelope if has_content => {
            crate::json::to_bytes(envelope).map_err(ApiError::internal)?
        }
        AnswerBody::Unwrapped(bytes) => bytes.clone(),
        AnswerBody::Bare(_) | AnswerBody::Raw { .. } if request.token.is_some() => {
            // A policy may demand the wrapping: what was granted on it must not go out bare.
            return Err(ApiError::bad_request(
                "the response of this path cannot be wrapped",
            ));
        }
        _ => return Ok(answer),
    };
    let text = String::from_utf8(json.to_vec()).map_err(ApiError::internal)?;
    let wrapping = Wrapping {
        text: text.trim_end().to_owned(),
        ttl_secs,
        creation_path: request.call.path.clone(),
        wrapped_accessor: answer.wrapped_accessor,
    };
    let mut batch = Batch::default();
    let info = put_aside(request, &mut batch, wrapping)?;
    request.commit(batch).await?;
    let envelope = Envelope {
        wrap_info: Some(info),
        ..Envelope::default()
    };
    Ok(Answer {
        envelope,
        body: AnswerBody::Envelope,
        status: None,
        headers: Vec::new(),
        wrapped_accessor: String::new(),
    })
}

/// Adds the token and what it fetches to `batch`. What is stored is encrypted like everything else
/// and removed with the token.
pub(crate) fn put_aside(
    request: &Request,
    batch: &mut Batch,
    wrapping: Wrapping,
) -> Result<WrapInfo, ApiError> {
    let core = request.core()?;
    let now = request.now;
    let mut record = TokenRecord {
        policies: vec![POLICY.into()],
        path: wrapping.creation_path.clone(),
        display_name: "token".into(),
        num_uses: 1,
        created_at: now,
        expires_at: Some(now.plus_secs(wrapping.ttl_secs)),
        last_ttl_secs: wrapping.ttl_secs,
        creation_ttl_secs: wrapping.ttl_secs,
        explicit_max_ttl_secs: wrapping.ttl_secs,
        ..TokenRecord::default()
    };
    if !wrapping.wrapped_accessor.is_empty() {
        let accessor = wrapping.wrapped_accessor.clone();
        record.internal.insert(WRAPPED_ACCESSOR.into(), accessor);
    }
    let token = core.tokens.create(batch, record, None)?;
    let data = Map::from_iter([(RESPONSE.to_owned(), Value::String(wrapping.text))]);
    cubbyhole::put(&core.store, batch, &token.hash, RESPONSE, data)?;
    Ok(WrapInfo {
        token: token.secret.to_string(),
        accessor: token.record.accessor,
        ttl: wrapping.ttl_secs,
        creation_time: now.rfc3339(),
        creation_path: wrapping.creation_path,
        wrapped_accessor: wrapping.wrapped_accessor,
    })
}

#[must_use]
pub(crate) fn is_wrapping(token: &Token) -> bool {
    token.kind == TokenKind::Service && token.policies == [POLICY]
}

/// Before anything else is asked: a path that takes a wrapping token needs a good one, in the body
/// or else as the caller's.
pub(crate) async fn check_token(core: &Core, call: &Call, now: Timestamp) -> Result<(), ApiError> {
    let takes_one = matches!(
        call.path.as_str(),
        "sys/wrapping/unwrap" | "sys/wrapping/rewrap"
    );
    if !takes_one || call.op != Op::Write {
        return Ok(());
    }
    let given = call.data.get("token").cloned();
    let given = given.map_or(Ok(GivenToken::Absent), GivenToken::from_value);
    find(core, call, &given.map_err(ApiError::bad_request)?, now).await?;
    Ok(())
}

/// The wrapping token that a request names, in the body or else as the caller's. Takes no use.
///
/// # Errors
/// `Forbidden` when it names none, `BadRequest` when it is not a wrapping token that is valid.
pub(crate) async fn find(
    core: &Core,
    call: &Call,
    given: &GivenToken,
    now: Timestamp,
) -> Result<Arc<Token>, ApiError> {
    let refused = |detail: &str| {
        let text = format!("error validating wrapping token: {detail}");
        Err(ApiError::plain(ErrorKind::Forbidden, text))
    };
    let secret = match given {
        GivenToken::NotText => return refused("could not decode token in request body"),
        GivenToken::Text(text) if text.is_empty() => {
            return refused("empty token in request body");
        }
        GivenToken::Text(text) => text,
        GivenToken::Absent | GivenToken::Null => match &call.token {
            Some(token) => token,
            None => return refused("token is empty"),
        },
    };
    let found = core.tokens.lookup(secret, now).await?;
    found
        .filter(|token| is_wrapping(token))
        .ok_or_else(|| ApiError::bad_request(INVALID))
}

/// Finds what the wrapping token of a request holds. Its one use is in the batch, so that of all
/// who fetch at the same time one gets the answer.
pub(crate) async fn open(request: &Request, given: &GivenToken) -> Result<Opened, ApiError> {
    let core = request.core()?;
    let caller = request.caller()?;
    let names_itself = match given {
        GivenToken::Text(text) => core.tokens.hash(text) == caller.hash,
        GivenToken::Absent | GivenToken::NotText | GivenToken::Null => true,
    };
    let (token, batch) = if names_itself {
        // The pipeline took the use.
        if !is_wrapping(caller) {
            return Err(ApiError::bad_request(INVALID));
        }
        (caller.clone(), Batch::default())
    } else {
        let token = find(core, &request.call, given, request.now).await?;
        let (token, use_of_it) = core.tokens.take_use(token)?;
        (token, use_of_it.unwrap_or_default())
    };
    let stored = cubbyhole::get(&core.store, &token.hash, RESPONSE).await?;
    let Some(Value::String(text)) = stored.and_then(|mut data| data.remove(RESPONSE)) else {
        return Err(ApiError::bad_request(INVALID));
    };
    let wrapped_accessor = token.internal.get(WRAPPED_ACCESSOR).cloned();
    let wrapping = Wrapping {
        text,
        ttl_secs: token.creation_ttl_secs,
        creation_path: token.path.clone(),
        wrapped_accessor: wrapped_accessor.unwrap_or_default(),
    };
    Ok(Opened {
        token,
        wrapping,
        batch,
    })
}

/// Removes a wrapping token that was used. The pipeline does it for the caller's own.
pub(crate) async fn discard(request: &Request, token: &Token) -> Result<(), ApiError> {
    let core = request.core()?;
    let is_own = request.caller()?.hash == token.hash;
    if !is_own
        && let Err(error) = core
            .tokens
            .revoke_tree(core, &token.hash, request.now)
            .await
    {
        // It is of no use any more, and the answer must not be lost; the sweep removes the rest.
        tracing::warn!(%error, "used wrapping token cannot be removed");
    }
    Ok(())
}

impl Wrapping {
    /// The answer as the client would have got it.
    pub(crate) fn into_bytes(self) -> Bytes {
        let mut text = self.text;
        text.push('\n');
        text.into()
    }
}
