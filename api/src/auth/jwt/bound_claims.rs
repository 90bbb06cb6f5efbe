//! Claims that a role demands.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use crate::glob;
use crate::jwt::Claims;

/// How the demanded values are compared.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum ClaimsType {
    /// `*` stands for any text.
    Glob,
    #[default]
    String,
}

impl ClaimsType {
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Glob => "glob",
            Self::String => "string",
        }
    }
}

/// The demands, checked: by name of the claim, or JSON pointer, what it may be.
pub(super) type BoundClaims = BTreeMap<String, Vec<Value>>;

/// Reads the demands of a role.
///
/// # Errors
/// A text for the client, when a demand could never be met.
pub(super) fn parse(given: &Map<String, Value>, kind: ClaimsType) -> Result<BoundClaims, String> {
    let mut bound = BoundClaims::new();
    for (name, value) in given {
        let values = match value {
            Value::Array(several) => several.clone(),
            one => vec![one.clone()],
        };
        for value in &values {
            let is_comparable = match kind {
                ClaimsType::Glob => value.is_string(),
                ClaimsType::String => value.is_string() || value.is_number() || value.is_boolean(),
            };
            if !is_comparable {
                return Err(match kind {
                    ClaimsType::Glob => format!("claim is not a string: {value}"),
                    ClaimsType::String => format!(
                        "bound claim {name:?} is not a string, bool, number or list of these"
                    ),
                });
            }
        }
        bound.insert(name.clone(), values);
    }
    Ok(bound)
}

/// # Errors
/// The first demand that the token does not meet, as a text for the client.
pub(super) fn check(claims: &Claims, bound: &BoundClaims, kind: ClaimsType) -> Result<(), String> {
    for (name, allowed) in bound {
        let claim = claims
            .get(name)
            .ok_or_else(|| format!("claim {name:?} is missing"))?;
        let given = match claim {
            Value::Array(several) => several.as_slice(),
            Value::Object(_) | Value::Null => {
                return Err("received claim is not a string, bool, int or list".into());
            }
            one => std::slice::from_ref(one),
        };
        let matches = |value: &Value| allowed.iter().any(|one| is_equal(one, value, kind));
        if !given.iter().any(matches) {
            return Err(format!(
                "claim {name:?} does not match any associated bound claim values"
            ));
        }
    }
    Ok(())
}

fn is_equal(demanded: &Value, given: &Value, kind: ClaimsType) -> bool {
    match (demanded, given) {
        (Value::String(demanded), Value::String(given)) => match kind {
            ClaimsType::Glob => glob::matches(demanded, given),
            ClaimsType::String => demanded == given,
        },
        // 5 and 5.0 are the same number.
        (Value::Number(demanded), Value::Number(given)) => {
            demanded == given
                || demanded.as_f64().zip(given.as_f64()).is_some_and(|(a, b)| {
                    a.total_cmp(&b).is_eq() && (demanded.is_f64() || given.is_f64())
                })
        }
        (demanded, given) => demanded == given,
    }
}
