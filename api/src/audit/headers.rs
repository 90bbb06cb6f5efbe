//! Which request headers the log shows.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use signet_storage::Record;

use crate::call::Call;

use super::redaction::Redaction;

/// How a header is logged.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct HeaderSetting {
    /// Hashed rather than plain.
    pub hmac: bool,
}

/// By lower-case name.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub(super) struct Headers(pub(super) BTreeMap<String, HeaderSetting>);

impl Record for Headers {
    const FORMAT: u8 = 1;
}

impl Headers {
    /// Of the headers of a request those to be logged.
    pub(super) fn of(&self, call: &Call, redaction: &Redaction) -> BTreeMap<&str, Vec<String>> {
        let mut shown: BTreeMap<&str, Vec<String>> = BTreeMap::new();
        for (name, value) in &call.headers {
            let Some((name, setting)) = self.0.get_key_value(name) else {
                continue;
            };
            let value = if setting.hmac {
                redaction.secret(value)
            } else {
                value.clone()
            };
            shown.entry(name).or_default().push(value);
        }
        shown
    }
}
