//! `auth/userpass/`: people log in with a name and a password.

mod hash;
mod login;
mod password;
mod policies;
mod store;
mod users;

use std::collections::BTreeMap;

use crate::endpoint::{Row, row};
use crate::engine::{Engine, RenewTerms};
use crate::error::ApiError;
use crate::mount::MountEnvironment;

use store::Store;

/// One mount of the method.
#[derive(Debug)]
pub struct UserPass {
    store: Store,
}

/// Under these names the grant of a login notes what its renewals need.
const USERNAME: &str = "username";
const POLICIES: &str = "policies";

impl UserPass {
    pub fn open(environment: &MountEnvironment) -> Self {
        Self {
            store: Store::new(&environment.view),
        }
    }
}

impl Engine for UserPass {
    const KIND: &'static str = "userpass";
    const ENDPOINTS: &'static [Row<Self>] = &[
        row::<login::Login>(),
        row::<password::Write>(),
        row::<policies::Write>(),
        row::<users::Delete>(),
        row::<users::List>(),
        row::<users::Read>(),
        row::<users::Write>(),
    ];
    const HELP: &'static str = "The \"userpass\" credential provider allows authentication using a \
        combination of a username and password.";

    async fn renew_terms(
        &self,
        internal: &BTreeMap<String, String>,
    ) -> Result<Option<RenewTerms>, ApiError> {
        let name = internal.get(USERNAME).map_or("", String::as_str);
        let Some(stored) = self.store.user(name).await? else {
            return Err(ApiError::bad_request("user no longer exists"));
        };
        let token = stored.value.token;
        if internal.get(POLICIES) != Some(&token.policies_text()) {
            return Err(ApiError::bad_request("policies have changed, not renewing"));
        }
        Ok(Some(token.renew_terms()))
    }
}
