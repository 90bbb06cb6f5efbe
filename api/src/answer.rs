//! What a handler replied, made complete: tokens made, the envelope put around it.

use serde_json::Value;

use crate::call::Op;
use crate::error::ApiError;
use crate::reply::{AuthReply, Body, Envelope, Reply, Response};
use crate::request::Request;

/// A handler's answer with its envelope.
#[derive(Debug)]
pub struct Answer {
    pub envelope: Envelope,
    pub body: AnswerBody,
    pub status: Option<u16>,
    pub headers: Vec<(&'static str, String)>,
    pub wrapped_accessor: String,
}

#[derive(Debug)]
pub enum AnswerBody {
    Nothing,
    Envelope,
    Bare(Value),
    Raw {
        content_type: &'static str,
        bytes: bytes::Bytes,
    },
    Unwrapped(bytes::Bytes),
}

impl Answer {
    pub(crate) async fn new(request: &Request, reply: Reply) -> Result<Self, ApiError> {
        let mut envelope = Envelope {
            request_id: request.call.id.clone(),
            lease: reply.lease.unwrap_or_default(),
            warnings: reply.warnings,
            mount_type: request.mount.kind().to_owned(),
            ..Envelope::default()
        };
        let mut wrapped_accessor = reply.wrapped_accessor.unwrap_or_default();
        envelope.auth = match reply.auth {
            None => None,
            Some(AuthReply::Token(auth)) => Some(*auth),
            Some(AuthReply::Grant(grant)) => {
                let core = request.core()?;
                let (auth, warnings) = core.tokens.grant(request, *grant).await?;
                envelope.warnings.extend(warnings);
                Some(auth)
            }
        };
        if let Some(auth) = &envelope.auth {
            wrapped_accessor.clone_from(&auth.accessor);
        }
        if let Some(info) = reply.wrap_info {
            envelope = Envelope {
                wrap_info: Some(info),
                ..Envelope::default()
            };
        }
        let body = match reply.body {
            Body::Nothing if envelope.warnings.is_empty() => AnswerBody::Nothing,
            Body::Nothing => AnswerBody::Envelope,
            Body::Data(data) => {
                envelope.data = data;
                AnswerBody::Envelope
            }
            Body::Flattened(data) => {
                envelope.data = Some(data);
                envelope.flattened = true;
                AnswerBody::Envelope
            }
            Body::Bare(value) => AnswerBody::Bare(value),
            Body::Raw {
                content_type,
                bytes,
            } => AnswerBody::Raw {
                content_type,
                bytes,
            },
            Body::Unwrapped(bytes) => AnswerBody::Unwrapped(bytes),
        };
        Ok(Self {
            envelope,
            body,
            status: reply.status,
            headers: reply.headers,
            wrapped_accessor,
        })
    }

    pub(crate) fn into_response(self, op: Op) -> Response {
        let mut response = match self.body {
            AnswerBody::Nothing => match op {
                Op::List | Op::Read => Response::error(&ApiError::not_found(), false),
                Op::Delete | Op::Help | Op::Patch | Op::Write => Response::empty(204),
            },
            AnswerBody::Envelope => Response::json(200, &self.envelope),
            AnswerBody::Bare(value) => Response::json(200, &value),
            AnswerBody::Raw {
                content_type,
                bytes,
            } => Response {
                status: 200,
                content_type,
                headers: Vec::new(),
                body: bytes,
            },
            AnswerBody::Unwrapped(bytes) => Response {
                status: 200,
                content_type: crate::reply::JSON,
                headers: Vec::new(),
                body: bytes,
            },
        };
        if let Some(status) = self.status {
            response.status = status;
        }
        response.headers = self.headers;
        response
    }
}
