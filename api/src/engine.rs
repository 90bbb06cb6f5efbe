//! What every secrets engine and auth method is to the pipeline.

use std::any::Any;
use std::collections::BTreeMap;
use std::future::Future;
use std::sync::Arc;

use serde_json::{Map, Value};

use crate::call::Op;
use crate::endpoint::{Access, BoxFuture, Cx, Route, Row, Run};
use crate::error::ApiError;
use crate::request::Request;
use crate::route::{Captures, Found, Router};
use crate::time::Timestamp;

/// A kind of secrets engine or auth method. One value serves one mount.
pub trait Engine: Send + Sync + Sized + 'static {
    /// The type in the mount table, e.g. `pki`.
    const KIND: &'static str;
    const ENDPOINTS: &'static [Row<Self>];
    /// What `path-help` says of the mount.
    const HELP: &'static str;
    /// Paths that need no token although no row has them, so that whoever asks learns just that;
    /// with a slash at the end, all that is below.
    const WITHOUT_TOKEN: &'static [&'static str] = &[];
    /// Patterns of public routes, as the rows have them, that parties which know nothing of this
    /// server follow from certificates: a listener may serve these and nothing else.
    const DISTRIBUTED: &'static [&'static str] = &[];

    /// Work that the clock asks for; called about once a minute and after unsealing.
    fn periodic(&self, _now: Timestamp) -> impl Future<Output = Result<(), ApiError>> + Send {
        async { Ok(()) }
    }

    /// A lease of this mount ended: what `lease` says was handed out is to be taken back.
    fn revoke_lease(
        &self,
        _lease: &Map<String, Value>,
        _now: Timestamp,
    ) -> impl Future<Output = Result<(), ApiError>> + Send {
        async { Ok(()) }
    }

    /// The terms on which a token of this auth method is renewed, as its role has them now.
    /// `internal` is what the login's grant noted. `None`: as they were at the login.
    ///
    /// # Errors
    /// What speaks against renewing, e.g. `role "web" does not exist during renewal`.
    fn renew_terms(
        &self,
        _internal: &BTreeMap<String, String>,
    ) -> impl Future<Output = Result<Option<RenewTerms>, ApiError>> + Send {
        async { Ok(None) }
    }

    /// May a token of this auth method be renewed by this request? Asked before the terms.
    ///
    /// # Errors
    /// What speaks against it.
    fn check_renewal(
        &self,
        _internal: &BTreeMap<String, String>,
        _request: &Request,
    ) -> impl Future<Output = Result<(), ApiError>> + Send {
        async { Ok(()) }
    }

    /// Called when the mount goes away, before its storage is deleted.
    fn shut_down(&self) {}
}

/// How long a renewed token lives.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct RenewTerms {
    /// 0 for the mount's default.
    pub ttl_secs: u64,
    /// Upper bound counted from creation; 0 for the mount's maximum.
    pub max_ttl_secs: u64,
    /// 0 for a token that is not periodic.
    pub period_secs: u64,
}

/// A route of an engine, found for one request.
#[derive(Clone, Copy, Debug)]
pub struct RouteHandle {
    row: usize,
    pub route: Route,
    /// The row makes a difference between creating and updating.
    pub creates: bool,
    /// The handler writes the use of a counted token itself.
    pub one_commit: bool,
}

/// An engine behind its mount, with its type erased.
pub trait Mounted: Send + Sync {
    fn kind(&self) -> &'static str;
    fn find(&self, op: Op, path: &str) -> Found<RouteHandle>;
    /// Is the route one of those that a listener for distribution serves?
    fn is_distributed(&self, handle: RouteHandle) -> bool;
    /// Must a caller of `path`, where [`Self::find`] has found `found`, have a token?
    fn needs_token(&self, op: Op, path: &str, found: &Found<RouteHandle>) -> bool;
    fn run<'a>(
        &'a self,
        handle: RouteHandle,
        request: &'a Request,
        data: Map<String, Value>,
        captures: Captures,
    ) -> Run<'a>;
    fn exists<'a>(
        &'a self,
        handle: RouteHandle,
        request: &'a Request,
        captures: &'a Captures,
    ) -> BoxFuture<'a, Result<bool, ApiError>>;
    fn periodic(&self, now: Timestamp) -> BoxFuture<'_, Result<(), ApiError>>;
    fn revoke_lease<'a>(
        &'a self,
        lease: &'a Map<String, Value>,
        now: Timestamp,
    ) -> BoxFuture<'a, Result<(), ApiError>>;
    fn renew_terms<'a>(
        &'a self,
        internal: &'a BTreeMap<String, String>,
    ) -> BoxFuture<'a, Result<Option<RenewTerms>, ApiError>>;
    fn check_renewal<'a>(
        &'a self,
        internal: &'a BTreeMap<String, String>,
        request: &'a Request,
    ) -> BoxFuture<'a, Result<(), ApiError>>;
    fn shut_down(&self);
    fn help(&self, path: &str) -> Option<String>;
    /// The rows, for documentation and tests.
    fn rows(&self) -> Vec<RowInfo>;
    /// The engine itself, for the edges that join below the pipeline.
    fn as_any(&self) -> &(dyn Any + Send + Sync);
}

/// A row without its engine's type.
#[derive(Clone, Copy, Debug)]
pub struct RowInfo {
    pub routes: &'static [Route],
    pub help: &'static str,
    pub fields: &'static [crate::params::Field],
    pub creates: bool,
}

struct Loaded<E: Engine> {
    engine: E,
    router: Router<RouteHandle>,
}

/// Makes an engine ready to be mounted.
pub fn mounted<E: Engine>(engine: E) -> Arc<dyn Mounted> {
    let patterns = E::ENDPOINTS.iter().enumerate().flat_map(|(index, row)| {
        row.routes.iter().map(move |route| {
            let handle = RouteHandle {
                row: index,
                route: *route,
                creates: row.creates,
                one_commit: row.one_commit,
            };
            (route.op, route.path, handle)
        })
    });
    Arc::new(Loaded {
        router: Router::new(patterns),
        engine,
    })
}

impl<E: Engine> Loaded<E> {
    fn row(&self, handle: RouteHandle) -> Result<(&'static Row<E>, &E), ApiError> {
        let row = E::ENDPOINTS
            .get(handle.row)
            .ok_or_else(ApiError::unsupported_path)?;
        Ok((row, &self.engine))
    }
}

impl<E: Engine> Mounted for Loaded<E> {
    fn kind(&self) -> &'static str {
        E::KIND
    }

    fn find(&self, op: Op, path: &str) -> Found<RouteHandle> {
        self.router.find(op, path)
    }

    fn is_distributed(&self, handle: RouteHandle) -> bool {
        !handle.route.access.needs_token() && E::DISTRIBUTED.contains(&handle.route.path)
    }

    fn needs_token(&self, op: Op, path: &str, found: &Found<RouteHandle>) -> bool {
        let declared = || {
            E::WITHOUT_TOKEN.iter().any(|public| {
                path == *public || (public.ends_with('/') && path.starts_with(public))
            })
        };
        match found {
            // Only `ca/` is listed where only `ca` is public.
            Found::WrongOperation(handle) if handle.route.access == Access::Unauthenticated => {
                (op == Op::List) != (handle.route.op == Op::List) && !declared()
            }
            Found::Route(handle, _) | Found::WrongOperation(handle) => {
                handle.route.access.needs_token()
            }
            Found::NoPath => !declared(),
        }
    }

    fn run<'a>(
        &'a self,
        handle: RouteHandle,
        request: &'a Request,
        data: Map<String, Value>,
        captures: Captures,
    ) -> Run<'a> {
        match self.row(handle) {
            Ok((row, engine)) => (row.run)(Cx { engine, request }, data, captures),
            Err(error) => Box::pin(async { Err(error) }),
        }
    }

    fn exists<'a>(
        &'a self,
        handle: RouteHandle,
        request: &'a Request,
        captures: &'a Captures,
    ) -> BoxFuture<'a, Result<bool, ApiError>> {
        match self.row(handle) {
            Ok((row, engine)) => (row.exists)(Cx { engine, request }, captures),
            Err(error) => Box::pin(async { Err(error) }),
        }
    }

    fn periodic(&self, now: Timestamp) -> BoxFuture<'_, Result<(), ApiError>> {
        Box::pin(self.engine.periodic(now))
    }

    fn revoke_lease<'a>(
        &'a self,
        lease: &'a Map<String, Value>,
        now: Timestamp,
    ) -> BoxFuture<'a, Result<(), ApiError>> {
        Box::pin(self.engine.revoke_lease(lease, now))
    }

    fn renew_terms<'a>(
        &'a self,
        internal: &'a BTreeMap<String, String>,
    ) -> BoxFuture<'a, Result<Option<RenewTerms>, ApiError>> {
        Box::pin(self.engine.renew_terms(internal))
    }

    fn check_renewal<'a>(
        &'a self,
        internal: &'a BTreeMap<String, String>,
        request: &'a Request,
    ) -> BoxFuture<'a, Result<(), ApiError>> {
        Box::pin(self.engine.check_renewal(internal, request))
    }

    fn shut_down(&self) {
        self.engine.shut_down();
    }

    fn help(&self, path: &str) -> Option<String> {
        crate::help::text(E::HELP, &self.rows(), &self.router, path)
    }

    fn rows(&self) -> Vec<RowInfo> {
        E::ENDPOINTS
            .iter()
            .map(|row| RowInfo {
                routes: row.routes,
                help: row.help,
                fields: row.fields,
                creates: row.creates,
            })
            .collect()
    }

    fn as_any(&self) -> &(dyn Any + Send + Sync) {
        &self.engine
    }
}
