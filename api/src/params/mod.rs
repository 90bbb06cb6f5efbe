//! Vault's loose inputs as types.
//!
//! The command line sends every value as a string, other clients send JSON types; each type here
//! takes what the API has always taken and refuses the rest with the text clients know.

mod duration;
mod joined;
mod types;

use serde_json::{Map, Value};

pub use duration::{parse_duration_secs, parse_go_duration_nanos};
pub(crate) use joined::Joined;
pub use types::{CommaList, Pairs, Seconds, SecretText, SignedSeconds, StringList, parse_bool};

/// A parameter as help and `OpenAPI` describe it.
#[derive(Clone, Copy, Debug)]
pub struct Field {
    raw_name: &'static str,
    pub kind: FieldKind,
    help: &'static str,
}

impl Field {
    #[must_use]
    pub const fn new(raw_name: &'static str, kind: FieldKind, help: &'static str) -> Self {
        Self {
            raw_name,
            kind,
            help,
        }
    }

    #[must_use]
    pub fn name(&self) -> &'static str {
        plain_name(self.raw_name)
    }

    #[must_use]
    pub fn help(&self) -> &'static str {
        self.help.trim()
    }
}

/// A field called `type` is spelled `r#type` in Rust.
fn plain_name(raw: &'static str) -> &'static str {
    raw.strip_prefix("r#").unwrap_or(raw)
}

/// The type of a parameter, as help names it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FieldKind {
    Any,
    Bool,
    CommaList,
    DurationSecs,
    Float,
    Int,
    KeyValuePairs,
    Map,
    String,
    StringList,
    Time,
}

impl FieldKind {
    /// The word in the parameter list of `path-help`.
    #[must_use]
    pub fn help_name(self) -> &'static str {
        match self {
            Self::Any => "any",
            Self::Bool => "bool",
            Self::CommaList | Self::StringList => "[]string",
            Self::DurationSecs => "duration (sec)",
            Self::Float => "float",
            Self::Int => "int",
            Self::KeyValuePairs => "keypair",
            Self::Map => "map",
            Self::String => "string",
            Self::Time => "time",
        }
    }
}

/// Why a field was refused.
#[derive(Debug, PartialEq, Eq)]
pub struct FieldError {
    pub field: &'static str,
    pub detail: String,
}

impl FieldError {
    /// The text for the client, without the prefix that paths without an existence check add.
    #[must_use]
    pub fn text(&self) -> String {
        format!(
            "error converting input for field {:?}: {}",
            self.field, self.detail
        )
    }
}

/// A type that a request field can have.
pub trait FromField: Sized {
    const KIND: FieldKind;

    fn from_value(value: Value) -> Result<Self, String>;

    /// The value of a field that is not in the request.
    fn absent() -> Self;
}

/// The parameters of an endpoint; made by [`params!`].
pub trait Params: Sized + Send {
    const FIELDS: &'static [Field];

    /// Takes its fields out of `data`; what stays there is unknown to the endpoint.
    fn take(data: &mut Map<String, Value>) -> Result<Self, FieldError>;
}

/// All fields of a request, captures included, for endpoints that store what they are given.
#[derive(Debug, Default)]
pub struct FreeForm(pub Map<String, Value>);

impl Params for FreeForm {
    const FIELDS: &'static [Field] = &[];

    fn take(data: &mut Map<String, Value>) -> Result<Self, FieldError> {
        Ok(Self(std::mem::take(data)))
    }
}

/// Takes one field out of a request.
#[doc(hidden)]
pub fn take_field<T: FromField>(
    data: &mut Map<String, Value>,
    raw_name: &'static str,
) -> Result<Option<T>, FieldError> {
    let field = plain_name(raw_name);
    match data.remove(field) {
        None => Ok(None),
        Some(value) => T::from_value(value)
            .map(Some)
            .map_err(|detail| match T::KIND {
                FieldKind::KeyValuePairs => format!("{detail} in field {field:?}"),
                _ => detail,
            })
            .map_err(|detail| FieldError { field, detail }),
    }
}

/// Declares the parameters of an endpoint: a struct whose doc comments are the help texts.
///
/// `name: T` is `T`'s zero value when absent, `name: Option<T>` is `None`, `name: T = value` is
/// `value`. Parameters under `ignored` are known and have to have their type, and nothing else.
macro_rules! params {
    (
        $(#[$meta:meta])*
        $vis:vis struct $name:ident {
            $( $(#[doc = $doc:literal])* $field:ident : $ty:ty $(= $default:expr)? ),* $(,)?
        }
        $( ignored { $( $(#[doc = $ignored_doc:literal])* $ignored:ident : $ignored_ty:ty ),* $(,)? } )?
    ) => {
        $(#[$meta])*
        $vis struct $name { $( pub(crate) $field: $ty, )* }

        /// Parameters may be secrets: nothing of them is shown.
        impl std::fmt::Debug for $name {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str(stringify!($name))
            }
        }

        impl $crate::params::Params for $name {
            const FIELDS: &'static [$crate::params::Field] = &[$(
                $crate::params::Field::new(
                    stringify!($field),
                    <$ty as $crate::params::FromField>::KIND,
                    concat!($($doc),*),
                ),
            )* $($(
                $crate::params::Field::new(
                    stringify!($ignored),
                    <$ignored_ty as $crate::params::FromField>::KIND,
                    concat!($($ignored_doc),*),
                ),
            )*)?];

            fn take(
                data: &mut serde_json::Map<String, serde_json::Value>,
            ) -> Result<Self, $crate::params::FieldError> {
                let _ = &data;
                $($(
                    $crate::params::take_field::<$ignored_ty>(data, stringify!($ignored))?;
                )*)?
                Ok(Self { $(
                    $field: {
                        let given = $crate::params::take_field::<$ty>(data, stringify!($field))?;
                        $crate::params::params!(@default given, $ty $(, $default)?)
                    },
                )* })
            }
        }
    };
    (@default $given:ident, $ty:ty) => {
        $given.unwrap_or_else(<$ty as $crate::params::FromField>::absent)
    };
    (@default $given:ident, $ty:ty, $default:expr) => {
        $given.unwrap_or_else(|| $default)
    };
}
pub(crate) use params;

params! {
    /// For endpoints that take nothing.
    pub struct NoParams {}
}

params! {
    /// A page of a list.
    pub struct PageParams {
        /// Optional entry to list begin listing after, not required to exist.
        after: String,
        /// Optional number of entries to return; defaults to all entries.
        limit: i64,
    }
}

impl PageParams {
    /// Where the page begins and how much it may hold.
    #[must_use]
    pub fn bounds(&self) -> (Option<&str>, usize) {
        let after = (!self.after.is_empty()).then_some(self.after.as_str());
        let limit = usize::try_from(self.limit).ok().filter(|limit| *limit > 0);
        (after, limit.unwrap_or(usize::MAX))
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn unknown_fields_stay_behind_and_defaults_apply() {
        params! {
            struct Example {
                /// A flag.
                r#type: String = "pki".into(),
                ttl: Option<Seconds>,
                flag: bool,
            }
            ignored {
                /// Has no meaning.
                old: i64,
            }
        }
        let mut data = json!({"ttl": null, "flag": "1", "old": "7", "bogus": 1})
            .as_object()
            .unwrap()
            .clone();
        let example = Example::take(&mut data).ok().unwrap();
        assert_eq!(
            (example.r#type.as_str(), example.ttl, example.flag),
            ("pki", None, true)
        );
        assert_eq!(data.keys().collect::<Vec<_>>(), ["bogus"]);
        let names: Vec<_> = Example::FIELDS.iter().map(Field::name).collect();
        assert_eq!(names, ["type", "ttl", "flag", "old"]);
        let mut wrong = json!({"old": "x"}).as_object().unwrap().clone();
        assert_eq!(Example::take(&mut wrong).err().unwrap().field, "old");
    }
}
