//! One endpoint, one declaration: routes, access, parameters, help and handler.
//!
//! Routing, warnings about unknown parameters, path-help and the access tests derive from it.

use std::future::Future;
use std::pin::Pin;

use serde_json::{Map, Value};

use crate::call::Op;
use crate::engine::Engine;
use crate::error::ApiError;
use crate::params::{Field, FieldError, Params};
use crate::reply::{Body, Reply};
use crate::request::Request;
use crate::route::Captures;

/// Who may call a route.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Access {
    /// Nobody needs a token, and it answers while sealed too.
    Open,
    /// A token whose policies grant the operation and `sudo`.
    Sudo,
    /// A token whose policies grant the operation.
    Token,
    /// Nobody needs a token; a token that is sent is ignored.
    Unauthenticated,
}

impl Access {
    #[must_use]
    pub fn needs_token(self) -> bool {
        matches!(self, Self::Sudo | Self::Token)
    }
}

/// One operation on one path of an engine; see [`crate::route`] for the pattern syntax.
#[derive(Clone, Copy, Debug)]
pub struct Route {
    pub op: Op,
    pub path: &'static str,
    pub access: Access,
}

impl Route {
    #[must_use]
    pub const fn new(op: Op, path: &'static str, access: Access) -> Self {
        Self { op, path, access }
    }

    #[must_use]
    pub const fn token(op: Op, path: &'static str) -> Self {
        Self::new(op, path, Access::Token)
    }

    #[must_use]
    pub const fn sudo(op: Op, path: &'static str) -> Self {
        Self::new(op, path, Access::Sudo)
    }

    #[must_use]
    pub const fn unauthenticated(op: Op, path: &'static str) -> Self {
        Self::new(op, path, Access::Unauthenticated)
    }

    #[must_use]
    pub const fn open(op: Op, path: &'static str) -> Self {
        Self::new(op, path, Access::Open)
    }
}

pub type BoxFuture<'a, T> = Pin<Box<dyn Future<Output = T> + Send + 'a>>;

/// What a handler gets besides its parameters.
#[derive(Debug)]
pub struct Cx<'a, E> {
    pub engine: &'a E,
    pub request: &'a Request,
}

impl<E> Clone for Cx<'_, E> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<E> Copy for Cx<'_, E> {}

impl<E> std::ops::Deref for Cx<'_, E> {
    type Target = Request;

    fn deref(&self) -> &Request {
        self.request
    }
}

/// One endpoint of an engine.
pub trait Endpoint: Send + Sync + 'static {
    type Engine: Engine;
    type Params: Params;

    const ROUTES: &'static [Route];
    /// One line.
    const HELP: &'static str;
    /// True when writing a new object needs `create` and an existing one `update`.
    const CREATES: bool = false;
    /// True when one `cx.commit` writes all that the handler changes: the use of a counted token is
    /// then written with it. Otherwise it is written before the handler runs.
    const ONE_COMMIT: bool = false;

    fn handle(
        cx: Cx<'_, Self::Engine>,
        params: Self::Params,
    ) -> impl Future<Output = Result<Reply, ApiError>> + Send;

    /// With `CREATES`: does the object that the captures name exist?
    fn exists(
        _cx: Cx<'_, Self::Engine>,
        _captures: &Captures,
    ) -> impl Future<Output = Result<bool, ApiError>> + Send {
        async { Ok(true) }
    }
}

/// The erased row that stands in an engine's table.
pub struct Row<E: 'static> {
    pub routes: &'static [Route],
    pub help: &'static str,
    pub creates: bool,
    pub one_commit: bool,
    pub fields: &'static [Field],
    pub run: for<'a> fn(Cx<'a, E>, Map<String, Value>, Captures) -> Run<'a>,
    pub exists: for<'a> fn(Cx<'a, E>, &'a Captures) -> Exists<'a>,
}

pub type Run<'a> = BoxFuture<'a, Result<Reply, ApiError>>;

pub type Exists<'a> = BoxFuture<'a, Result<bool, ApiError>>;

impl<E> std::fmt::Debug for Row<E> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Row")
            .field("routes", &self.routes)
            .finish_non_exhaustive()
    }
}

/// The row of one endpoint.
#[must_use]
pub const fn row<P: Endpoint>() -> Row<P::Engine> {
    Row {
        routes: P::ROUTES,
        help: P::HELP,
        creates: P::CREATES,
        one_commit: P::ONE_COMMIT,
        fields: P::Params::FIELDS,
        run: run::<P>,
        exists: |cx, captures| Box::pin(P::exists(cx, captures)),
    }
}

fn run<P: Endpoint>(
    cx: Cx<'_, P::Engine>,
    mut data: Map<String, Value>,
    captures: Captures,
) -> Run<'_> {
    Box::pin(async move {
        let mut replaced = Vec::new();
        for (name, value) in captures {
            if data.insert(name.to_owned(), Value::String(value)).is_some() {
                replaced.push(name);
            }
        }
        let params = P::Params::take(&mut data).map_err(|error| refused::<P>(&error))?;
        let mut reply = P::handle(cx, params).await?;
        if matches!(reply.body, Body::Nothing) {
            return Ok(reply);
        }
        if !data.is_empty() {
            let unknown: Vec<&str> = data.keys().map(String::as_str).collect();
            reply.warnings.push(format!(
                "Endpoint ignored these unrecognized parameters: [{}]",
                unknown.join(" ")
            ));
        }
        if !replaced.is_empty() {
            replaced.sort_unstable();
            reply.warnings.push(captured(&replaced));
        }
        Ok(reply)
    })
}

/// The warning that the path decides over these parameters, not the body.
pub(crate) fn captured(parameters: &[&str]) -> String {
    format!(
        "Endpoint replaced the value of these parameters with the values captured from the \
         endpoint's path: [{}]",
        parameters.join(" ")
    )
}

fn refused<P: Endpoint>(error: &FieldError) -> ApiError {
    let prefix = if P::CREATES {
        ""
    } else {
        "Field validation failed: "
    };
    ApiError::bad_request(format!("{prefix}{}", error.text()))
}
