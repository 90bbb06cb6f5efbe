//! Auth methods that are known by name only: they mount, tune and unmount, so that configurations
//! written for Vault apply, and every login is refused.

use std::marker::PhantomData;
use std::sync::Arc;

use crate::call::Op;
use crate::endpoint::{Cx, Endpoint, Route, Row, row};
use crate::engine::{Engine, Mounted, mounted};
use crate::error::ApiError;
use crate::params::{NoParams, params};
use crate::reply::Reply;

/// Declares the methods; each has a type, because an engine's kind belongs to its type.
macro_rules! unavailable {
    ($($name:literal => $method:ident),* $(,)?) => {
        /// Their names, sorted.
        pub(crate) const KINDS: &[&str] = &[$($name),*];

        /// The engine of such a method.
        pub(crate) fn open(kind: &str) -> Option<Arc<dyn Mounted>> {
            match kind {
                $($name => Some(mounted(Unavailable::<$method>(PhantomData))),)*
                _ => None,
            }
        }

        $(
            struct $method;

            impl Method for $method {
                const NAME: &'static str = $name;
            }
        )*
    };
}

unavailable! {
    "alicloud" => AliCloud,
    "aws" => Aws,
    "azure" => Azure,
    "cf" => CloudFoundry,
    "gcp" => Gcp,
    "github" => GitHub,
    "kerberos" => Kerberos,
    "ldap" => Ldap,
    "oci" => Oci,
    "okta" => Okta,
    "radius" => Radius,
}

trait Method: Send + Sync + 'static {
    const NAME: &'static str;
}

struct Unavailable<M>(PhantomData<M>);

impl<M: Method> Engine for Unavailable<M> {
    const KIND: &'static str = M::NAME;
    const ENDPOINTS: &'static [Row<Self>] = &[row::<Login<M>>(), row::<LoginBelow<M>>()];
    const HELP: &'static str =
        "This auth method can be mounted and tuned, but nobody can log in with it.";
}

struct Login<M>(PhantomData<M>);

impl<M: Method> Endpoint for Login<M> {
    type Engine = Unavailable<M>;
    type Params = NoParams;

    const ROUTES: &'static [Route] = &[Route::unauthenticated(Op::Write, "login")];
    const HELP: &'static str = "Refuses every login.";

    async fn handle(_cx: Cx<'_, Unavailable<M>>, _params: NoParams) -> Result<Reply, ApiError> {
        Err(refused::<M>())
    }
}

struct LoginBelow<M>(PhantomData<M>);

params! {
    struct LoginParams {
        /// Name of a user or role.
        name: String,
    }
}

impl<M: Method> Endpoint for LoginBelow<M> {
    type Engine = Unavailable<M>;
    type Params = LoginParams;

    const ROUTES: &'static [Route] = &[Route::unauthenticated(Op::Write, "login/{name:any}")];
    const HELP: &'static str = "Refuses every login.";

    async fn handle(_cx: Cx<'_, Unavailable<M>>, params: LoginParams) -> Result<Reply, ApiError> {
        let _ = params.name;
        Err(refused::<M>())
    }
}

fn refused<M: Method>() -> ApiError {
    ApiError::bad_request(format!(
        "auth method {:?} is not available on this server",
        M::NAME
    ))
}
