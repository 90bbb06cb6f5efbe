//! The two doors to a ceremony: old paths that need no token and answer bare JSON, and new ones that
//! need a token and answer an envelope.

use serde::Serialize;

use crate::endpoint::Cx;
use crate::error::ApiError;
use crate::reply::Reply;
use crate::seal::Target;
use crate::sys::Sys;

/// By which door a request came.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Door {
    Bare,
    Token,
}

impl Door {
    pub(super) fn of(cx: Cx<'_, Sys>) -> Self {
        if cx.token.is_none() {
            Self::Bare
        } else {
            Self::Token
        }
    }

    pub(super) fn reply(self, body: impl Serialize) -> Result<Reply, ApiError> {
        match self {
            Self::Bare => Reply::bare(body),
            Self::Token => Reply::data(body),
        }
    }
}

/// The key that the path speaks of.
pub(super) fn target(cx: Cx<'_, Sys>) -> Target {
    if cx.call.path.contains("recovery") {
        Target::Recovery
    } else {
        Target::Root
    }
}
