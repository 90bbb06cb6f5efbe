//! A token in the body of a request.

use serde_json::Value;
use zeroize::Zeroizing;

use crate::error::{ApiError, ErrorKind};
use crate::params::{FieldKind, FromField};

/// The field `token`. Nothing but a string is one, and no error repeats what it was.
#[derive(Clone, Default)]
pub enum GivenToken {
    #[default]
    Absent,
    NotText,
    Null,
    Text(Zeroizing<String>),
}

impl std::fmt::Debug for GivenToken {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("GivenToken")
    }
}

impl GivenToken {
    /// # Errors
    /// `BadRequest` when there is none, `Forbidden` when it is no string.
    pub fn required(&self) -> Result<&str, ApiError> {
        self.optional()?
            .ok_or_else(|| ApiError::bad_request("missing token ID"))
    }

    /// # Errors
    /// `Forbidden` when it is no string.
    pub fn optional(&self) -> Result<Option<&str>, ApiError> {
        match self {
            Self::Absent => Ok(None),
            Self::NotText | Self::Null => {
                Err(ApiError::plain(ErrorKind::Forbidden, "invalid token"))
            }
            Self::Text(text) => Ok(Some(text.as_str()).filter(|text| !text.is_empty())),
        }
    }
}

impl FromField for GivenToken {
    const KIND: FieldKind = FieldKind::String;

    fn from_value(value: Value) -> Result<Self, String> {
        Ok(match value {
            Value::Null => Self::Null,
            Value::String(text) => Self::Text(Zeroizing::new(text)),
            Value::Array(_) | Value::Bool(_) | Value::Number(_) | Value::Object(_) => Self::NotText,
        })
    }

    fn absent() -> Self {
        Self::Absent
    }
}
