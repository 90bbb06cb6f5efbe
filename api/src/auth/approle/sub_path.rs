//! `role/{name}/…`: single fields of a role, all of them from one table.

use serde_json::{Map, Value};
use signet_storage::Batch;

use crate::call::Op;
use crate::endpoint::{Cx, Endpoint, Route};
use crate::error::ApiError;
use crate::params::{Field, FieldError, FieldKind, Params};
use crate::reply::Reply;
use crate::token::show_bound_cidrs;

use super::AppRole;
use super::cidr::shown;
use super::params::{RoleParams, check};
use super::role::{Role, list_or_null};

/// The endpoint of the table's entry at this index.
pub(super) struct SubPath<const ENTRY: usize>;

/// One path below a role.
struct Entry {
    routes: &'static [Route],
    help: &'static str,
    fields: &'static [Field],
    read: fn(&Role) -> Map<String, Value>,
    /// Added to what reading shows.
    warning: Option<&'static str>,
    /// What a write must not lack.
    missing: fn(&RoleParams) -> Option<&'static str>,
    reset: fn(&mut Role),
}

const NAME: Field = Field::new("name", FieldKind::String, "Name of the role.");

const fn read_write_delete(path: &'static str) -> [Route; 3] {
    [
        Route::token(Op::Read, path),
        Route::token(Op::Write, path),
        Route::token(Op::Delete, path),
    ]
}

fn one(name: &str, value: impl Into<Value>) -> Map<String, Value> {
    Map::from_iter([(name.to_owned(), value.into())])
}

const TABLE: [Entry; 13] = [
    Entry {
        routes: &read_write_delete("role/{name}/bind-secret-id"),
        help: "Impose secret_id to be presented during login using this role.",
        fields: &[
            NAME,
            Field::new("bind_secret_id", FieldKind::Bool, "Defaults to 'true'."),
        ],
        read: |role| one("bind_secret_id", role.bind_secret_id),
        warning: None,
        missing: |p| {
            p.own
                .bind_secret_id
                .is_none()
                .then_some("missing bind_secret_id")
        },
        reset: |role| role.bind_secret_id = true,
    },
    Entry {
        routes: &read_write_delete("role/{name}/bound-cidr-list"),
        help: "Deprecated: Use the secret-id-bound-cidrs sub path.",
        fields: &[
            NAME,
            Field::new(
                "bound_cidr_list",
                FieldKind::CommaList,
                "List of CIDR blocks.",
            ),
        ],
        read: |role| {
            let ranges = list_or_null(&shown(&role.secret_id_bound_cidrs));
            one("bound_cidr_list", ranges)
        },
        warning: Some(
            "The \"bound_cidr_list\" field is deprecated and will be removed. Please use \
             \"secret_id_bound_cidrs\" instead.",
        ),
        missing: |_| None,
        reset: |role| role.secret_id_bound_cidrs.clear(),
    },
    Entry {
        routes: &[Route::token(Op::Read, "role/{name}/local-secret-ids")],
        help: "Whether the secret-ids are cluster local.",
        fields: &[NAME],
        read: |role| one("local_secret_ids", role.local_secret_ids),
        warning: None,
        missing: |_| None,
        reset: |_| {},
    },
    Entry {
        routes: &read_write_delete("role/{name}/period"),
        help: "Updates the value of 'period' on the role.",
        fields: &[
            NAME,
            Field::new(
                "period",
                FieldKind::DurationSecs,
                "Deprecated: use \"token_period\".",
            ),
            Field::new(
                "token_period",
                FieldKind::DurationSecs,
                "Tokens have no maximum lifetime but are to be renewed within this time.",
            ),
        ],
        read: |role| role.token.shown_period(),
        warning: None,
        missing: |p| {
            p.own
                .period
                .or(p.common.token_period)
                .is_none()
                .then_some("missing period")
        },
        reset: |role| role.token.reset_period(),
    },
    Entry {
        routes: &read_write_delete("role/{name}/policies"),
        help: "Policies of the role.",
        fields: &[
            NAME,
            Field::new(
                "policies",
                FieldKind::CommaList,
                "Deprecated: use \"token_policies\".",
            ),
            Field::new(
                "token_policies",
                FieldKind::CommaList,
                "Comma-separated list of policies",
            ),
        ],
        read: |role| role.token.shown_policies(),
        warning: None,
        missing: |p| {
            let is_missing = p.own.policies.is_none() && p.common.token_policies.is_none();
            is_missing.then_some("missing token_policies")
        },
        reset: |role| role.token.reset_policies(),
    },
    Entry {
        routes: &[
            Route::token(Op::Read, "role/{name}/role-id"),
            Route::token(Op::Write, "role/{name}/role-id"),
        ],
        help: "Returns the 'role_id' of the role, or sets a custom one.",
        fields: &[
            NAME,
            Field::new("role_id", FieldKind::String, "Identifier of the role."),
        ],
        read: |role| one("role_id", role.role_id.clone()),
        warning: None,
        missing: |p| {
            let given = p.own.role_id.as_deref().unwrap_or_default().trim();
            given.is_empty().then_some("missing role_id")
        },
        reset: |_| {},
    },
    Entry {
        routes: &read_write_delete("role/{name}/secret-id-bound-cidrs"),
        help: "CIDR blocks from which a login with the role is possible.",
        fields: &[
            NAME,
            Field::new(
                "secret_id_bound_cidrs",
                FieldKind::CommaList,
                "Comma separated string or list of CIDR blocks.",
            ),
        ],
        read: |role| {
            let ranges = list_or_null(&shown(&role.secret_id_bound_cidrs));
            one("secret_id_bound_cidrs", ranges)
        },
        warning: None,
        missing: |_| None,
        reset: |role| role.secret_id_bound_cidrs.clear(),
    },
    Entry {
        routes: &read_write_delete("role/{name}/secret-id-num-uses"),
        help: "Use limit of the SecretID generated against the role.",
        fields: &[
            NAME,
            Field::new(
                "secret_id_num_uses",
                FieldKind::Int,
                "Number of times a SecretID can access the role; 0 for unlimited.",
            ),
        ],
        read: |role| one("secret_id_num_uses", role.secret_id_num_uses),
        warning: None,
        missing: |p| {
            let is_missing = p.own.secret_id_num_uses.is_none();
            is_missing.then_some("missing secret_id_num_uses")
        },
        reset: |role| role.secret_id_num_uses = 0,
    },
    Entry {
        routes: &read_write_delete("role/{name}/secret-id-ttl"),
        help: "Duration in seconds of the SecretID generated against the role.",
        fields: &[
            NAME,
            Field::new(
                "secret_id_ttl",
                FieldKind::DurationSecs,
                "Duration after which a SecretID expires; 0 for no expiration.",
            ),
        ],
        read: |role| one("secret_id_ttl", role.secret_id_ttl_secs),
        warning: None,
        missing: |p| {
            p.own
                .secret_id_ttl
                .is_none()
                .then_some("missing secret_id_ttl")
        },
        reset: |role| role.secret_id_ttl_secs = 0,
    },
    Entry {
        routes: &read_write_delete("role/{name}/token-bound-cidrs"),
        help: "CIDR blocks from which tokens of the role can be used.",
        fields: &[
            NAME,
            Field::new(
                "token_bound_cidrs",
                FieldKind::CommaList,
                "Comma separated string or list of CIDR blocks.",
            ),
        ],
        read: |role| {
            let ranges = list_or_null(&show_bound_cidrs(&role.token.bound_cidrs));
            one("token_bound_cidrs", ranges)
        },
        warning: None,
        missing: |_| None,
        reset: |role| role.token.bound_cidrs.clear(),
    },
    Entry {
        routes: &read_write_delete("role/{name}/token-max-ttl"),
        help: "Maximum lifetime of tokens issued against the role.",
        fields: &[
            NAME,
            Field::new(
                "token_max_ttl",
                FieldKind::DurationSecs,
                "The maximum lifetime of the generated token; 0 for the mount's.",
            ),
        ],
        read: |role| one("token_max_ttl", role.token.max_ttl_secs),
        warning: None,
        missing: |p| {
            p.common
                .token_max_ttl
                .is_none()
                .then_some("missing token_max_ttl")
        },
        reset: |role| role.token.max_ttl_secs = 0,
    },
    Entry {
        routes: &read_write_delete("role/{name}/token-num-uses"),
        help: "Number of times issued tokens can be used.",
        fields: &[
            NAME,
            Field::new(
                "token_num_uses",
                FieldKind::Int,
                "The maximum number of times a token may be used; 0 for unlimited.",
            ),
        ],
        read: |role| one("token_num_uses", role.token.num_uses),
        warning: None,
        missing: |p| {
            p.common
                .token_num_uses
                .is_none()
                .then_some("missing token_num_uses")
        },
        reset: |role| role.token.num_uses = 0,
    },
    Entry {
        routes: &read_write_delete("role/{name}/token-ttl"),
        help: "Lifetime of tokens issued against the role.",
        fields: &[
            NAME,
            Field::new(
                "token_ttl",
                FieldKind::DurationSecs,
                "The initial ttl of the token to generate; 0 for the mount's default.",
            ),
        ],
        read: |role| one("token_ttl", role.token.ttl_secs),
        warning: None,
        missing: |p| p.common.token_ttl.is_none().then_some("missing token_ttl"),
        reset: |role| role.token.ttl_secs = 0,
    },
];

const fn entry(index: usize) -> &'static Entry {
    #[expect(
        clippy::indexing_slicing,
        reason = "called in constants only: outside the table it does not compile"
    )]
    &TABLE[index]
}

impl<const ENTRY: usize> SubPath<ENTRY> {
    const ENTRY: &'static Entry = entry(ENTRY);
}

impl<const ENTRY: usize> Endpoint for SubPath<ENTRY> {
    type Engine = AppRole;
    type Params = Given<ENTRY>;

    const ROUTES: &'static [Route] = Self::ENTRY.routes;
    const HELP: &'static str = Self::ENTRY.help;

    async fn handle(cx: Cx<'_, AppRole>, params: Given<ENTRY>) -> Result<Reply, ApiError> {
        let entry = Self::ENTRY;
        match cx.call.op {
            Op::Read => read(cx, entry, &params.0.own.name).await,
            Op::Delete => reset(cx, entry, &params.0.own.name).await,
            _ => write(cx, entry, params.0).await,
        }
    }
}

async fn read(cx: Cx<'_, AppRole>, entry: &Entry, name: &str) -> Result<Reply, ApiError> {
    let Some(loaded) = cx.engine.store.role(name).await? else {
        return Ok(Reply::nothing());
    };
    let warning = entry.warning.map(str::to_owned);
    Ok(Reply::data((entry.read)(&loaded.role))?.warn_all(warning))
}

async fn write(cx: Cx<'_, AppRole>, entry: &Entry, params: RoleParams) -> Result<Reply, ApiError> {
    let store = &cx.engine.store;
    let Some(loaded) = store.role(&params.own.name).await? else {
        return Err(ApiError::unsupported_path());
    };
    if let Some(text) = (entry.missing)(&params) {
        return Err(ApiError::bad_request(text));
    }
    let mut role = loaded.role.clone();
    let warnings = params.apply(&mut role, cx.engine.settings.max_ttl_secs())?;
    let mut batch = Batch::default();
    store.put_role(&mut batch, &role, Some(&loaded)).await?;
    cx.commit(batch).await?;
    Ok(Reply::nothing().warn_all(warnings))
}

async fn reset(cx: Cx<'_, AppRole>, entry: &Entry, name: &str) -> Result<Reply, ApiError> {
    let store = &cx.engine.store;
    let Some(loaded) = store.role(name).await? else {
        return Ok(Reply::nothing());
    };
    let mut role = loaded.role.clone();
    (entry.reset)(&mut role);
    check(&role, cx.engine.settings.max_ttl_secs())?;
    let mut batch = Batch::default();
    store.put_role(&mut batch, &role, Some(&loaded)).await?;
    cx.commit(batch).await?;
    Ok(Reply::nothing())
}

/// Of the parameters of a role those that this path takes; the others stay unknown to it.
pub(super) struct Given<const ENTRY: usize>(RoleParams);

impl<const ENTRY: usize> Params for Given<ENTRY> {
    const FIELDS: &'static [Field] = SubPath::<ENTRY>::ENTRY.fields;

    fn take(data: &mut Map<String, Value>) -> Result<Self, FieldError> {
        let taken = Self::FIELDS
            .iter()
            .filter_map(|field| data.remove_entry(field.name()));
        RoleParams::take(&mut taken.collect()).map(Self)
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::engine::Engine;

    #[test]
    fn every_entry_of_the_table_is_an_endpoint() {
        let served = AppRole::ENDPOINTS.iter().flat_map(|row| row.routes);
        let served: Vec<_> = served.map(|route| (route.op, route.path)).collect();
        for route in TABLE.iter().flat_map(|entry| entry.routes) {
            let times = served.iter().filter(|s| **s == (route.op, route.path));
            assert_eq!(times.count(), 1, "{route:?}");
        }
    }

    #[test]
    fn every_field_of_the_table_is_one_of_a_role() {
        for field in TABLE.iter().flat_map(|entry| entry.fields) {
            let of_role = RoleParams::FIELDS.iter().find(|f| f.name() == field.name());
            assert_eq!(of_role.map(|f| f.kind), Some(field.kind), "{field:?}");
        }
    }

    #[test]
    fn resetting_gives_what_a_new_role_has() {
        for entry in &TABLE {
            let mut role = Role::default();
            (entry.reset)(&mut role);
            assert_eq!(json!(role.shown()), json!(Role::default().shown()));
        }
    }
}
