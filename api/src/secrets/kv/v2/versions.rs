//! `delete/`, `undelete/` and `destroy/`: single versions of a secret.

use signet_storage::{Batch, Stored};

use crate::call::Op;
use crate::endpoint::{Cx, Endpoint, Route};
use crate::error::ApiError;
use crate::params::{CommaList, params};
use crate::reply::Reply;

use super::key::Key;
use super::{Versioned, ready};

params! {
    pub(super) struct VersionsParams {
        /// Location of the secret.
        path: String,
        /// The numbers of the versions.
        versions: CommaList,
    }
}

/// What one of these endpoints does to a secret. The numbers whose data are to go, or `None` when
/// nothing changed.
type Change = fn(&mut Key, &[u64], Cx<'_, Versioned>) -> Option<Vec<u64>>;

pub(super) struct Delete;

impl Endpoint for Delete {
    type Engine = Versioned;
    type Params = VersionsParams;

    const ROUTES: &'static [Route] = &[Route::token(Op::Write, "delete/{path:path}")];
    const HELP: &'static str = "Delete versions of a secret. They can be restored.";
    const ONE_COMMIT: bool = true;

    async fn handle(cx: Cx<'_, Versioned>, params: VersionsParams) -> Result<Reply, ApiError> {
        let delete: Change = |key, numbers, cx| key.delete(numbers, cx.now).then(Vec::new);
        change(cx, params, "No version number provided", delete).await
    }
}

pub(super) struct Undelete;

impl Endpoint for Undelete {
    type Engine = Versioned;
    type Params = VersionsParams;

    const ROUTES: &'static [Route] = &[Route::token(Op::Write, "undelete/{path:path}")];
    const HELP: &'static str = "Restore deleted versions of a secret.";
    const ONE_COMMIT: bool = true;

    async fn handle(cx: Cx<'_, Versioned>, params: VersionsParams) -> Result<Reply, ApiError> {
        let undelete: Change = |key, numbers, _cx| key.undelete(numbers).then(Vec::new);
        change(cx, params, "No version number provided", undelete).await
    }
}

pub(super) struct Destroy;

impl Endpoint for Destroy {
    type Engine = Versioned;
    type Params = VersionsParams;

    const ROUTES: &'static [Route] = &[Route::token(Op::Write, "destroy/{path:path}")];
    const HELP: &'static str = "Remove the data of versions of a secret for good.";
    const ONE_COMMIT: bool = true;

    async fn handle(cx: Cx<'_, Versioned>, params: VersionsParams) -> Result<Reply, ApiError> {
        let destroy: Change = |key, numbers, _cx| {
            let gone = key.destroy(numbers);
            (!gone.is_empty()).then_some(gone)
        };
        change(cx, params, "no version number provided", destroy).await
    }
}

async fn change(
    cx: Cx<'_, Versioned>,
    params: VersionsParams,
    none_given: &str,
    change: Change,
) -> Result<Reply, ApiError> {
    let numbers = numbers(&params.versions)?;
    if numbers.is_empty() {
        return Err(ApiError::bad_request(none_given));
    }
    let store = ready(cx).await?;
    let previous: Stored<Key> = match store.key(&params.path).await? {
        Some(previous) => previous,
        None => return Ok(Reply::nothing()),
    };
    let mut key = previous.value.clone();
    if let Some(gone) = change(&mut key, &numbers, cx) {
        let mut batch = Batch::default();
        for number in gone {
            store.delete_data(&mut batch, &params.path, number);
        }
        store.put_key(&mut batch, &params.path, &key, Some(&previous))?;
        cx.commit(batch).await?;
    }
    Ok(Reply::nothing())
}

/// Numbers that no version can have are left out, as they are where they name none.
fn numbers(given: &CommaList) -> Result<Vec<u64>, ApiError> {
    let mut numbers = Vec::new();
    for (at, text) in given.0.iter().enumerate() {
        let number: i64 = text.parse().map_err(|_| {
            ApiError::bad_request(format!(
                "Field validation failed: error converting input for field \"versions\": decoding \
                 failed due to the following error(s):\n\n'[{at}]' cannot parse value as 'int': \
                 strconv.ParseInt: invalid syntax"
            ))
        })?;
        numbers.push(u64::try_from(number).unwrap_or(0));
    }
    Ok(numbers)
}
