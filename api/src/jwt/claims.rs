//! What a verified token says.

use serde_json::{Map, Value};

use super::JwtError;

/// The claims of a token (RFC 7519 §4). Only [`super::verify`] makes them, so whoever has them
/// knows that they are signed and in force.
#[derive(Clone, PartialEq)]
pub struct Claims(Map<String, Value>);

/// Claims may be personal.
impl std::fmt::Debug for Claims {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Claims")
    }
}

impl Claims {
    pub(super) fn new(claims: Map<String, Value>) -> Self {
        Self(claims)
    }

    /// `iss`; empty when absent.
    #[must_use]
    pub fn issuer(&self) -> &str {
        self.text("iss").unwrap_or_default()
    }

    /// `sub`; empty when absent.
    #[must_use]
    pub fn subject(&self) -> &str {
        self.text("sub").unwrap_or_default()
    }

    /// `aud`, whether it is one text or a list; empty when absent.
    #[must_use]
    pub fn audiences(&self) -> Vec<&str> {
        match self.0.get("aud") {
            Some(Value::String(one)) => vec![one],
            Some(Value::Array(several)) => several.iter().filter_map(Value::as_str).collect(),
            _ => Vec::new(),
        }
    }

    /// A claim of this name that is a text.
    #[must_use]
    pub fn text(&self, name: &str) -> Option<&str> {
        self.0.get(name).and_then(Value::as_str)
    }

    /// A claim by its name, or by a JSON pointer (RFC 6901) if the name begins with `/`.
    #[must_use]
    pub fn get(&self, name: &str) -> Option<&Value> {
        if !name.starts_with('/') {
            return self.0.get(name);
        }
        let (first, rest) = match name.get(1..)?.split_once('/') {
            Some((first, rest)) => (first, Some(rest)),
            None => (name.get(1..)?, None),
        };
        let top = self.0.get(&first.replace("~1", "/").replace("~0", "~"))?;
        match rest {
            Some(rest) => top.pointer(&format!("/{rest}")),
            None => Some(top),
        }
    }

    #[must_use]
    pub fn all(&self) -> &Map<String, Value> {
        &self.0
    }

    pub(super) fn into_all(self) -> Map<String, Value> {
        self.0
    }

    /// Seconds since the epoch, fractions cut off.
    pub(super) fn seconds(&self, name: &str) -> Result<Option<i64>, JwtError> {
        let wrong = || JwtError::WrongType(name.to_owned());
        match self.0.get(name) {
            None | Some(Value::Null) => Ok(None),
            Some(Value::Number(number)) => match (number.as_i64(), number.as_f64()) {
                (Some(seconds), _) => Ok(Some(seconds)),
                (None, Some(fraction)) => whole(fraction).map(Some).ok_or_else(wrong),
                (None, None) => Err(wrong()),
            },
            Some(_) => Err(wrong()),
        }
    }

    /// The registered claims have their types, where they are there.
    pub(super) fn check_types(&self) -> Result<(), JwtError> {
        for name in ["iss", "sub"] {
            if !matches!(
                self.0.get(name),
                None | Some(Value::Null | Value::String(_))
            ) {
                return Err(JwtError::WrongType(name.into()));
            }
        }
        let audience_is_usable = match self.0.get("aud") {
            None | Some(Value::Null | Value::String(_)) => true,
            Some(Value::Array(several)) => several.iter().all(Value::is_string),
            Some(_) => false,
        };
        if audience_is_usable {
            Ok(())
        } else {
            Err(JwtError::WrongType("aud".into()))
        }
    }
}

/// The whole part of a number that is no integer in JSON. Its digits are read: a cast would have to
/// be trusted with what is out of range.
fn whole(number: f64) -> Option<i64> {
    format!("{:.0}", number.trunc()).parse().ok()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn claims(value: &Value) -> Claims {
        Claims::new(value.as_object().unwrap().clone())
    }

    #[test]
    fn claims_are_found_by_name_and_by_pointer() {
        let claims = claims(&json!({"a": 1, "a/b": 2, "x": {"y": [3, 4]}}));
        for (name, value) in [
            ("a", json!(1)),
            ("a/b", json!(2)),
            ("/a", json!(1)),
            ("/a~1b", json!(2)),
            ("/x/y", json!([3, 4])),
            ("/x/y/1", json!(4)),
        ] {
            assert_eq!(claims.get(name), Some(&value), "{name}");
        }
        for name in ["x/y", "/", "", "/x/z", "/x/y/9"] {
            assert_eq!(claims.get(name), None, "{name}");
        }
    }

    #[test]
    fn times_are_numbers_and_their_fractions_do_not_count() {
        let claims = claims(&json!({"a": 5, "b": 5.9, "c": "5", "d": 1e300, "e": null}));
        assert_eq!(claims.seconds("a"), Ok(Some(5)));
        assert_eq!(claims.seconds("b"), Ok(Some(5)));
        assert_eq!(claims.seconds("e"), Ok(None));
        assert!(claims.seconds("c").is_err() && claims.seconds("d").is_err());
    }
}
