//! What becomes of secrets in the log of one device.

use aws_lc_rs::hmac;
use serde::ser::{SerializeMap, SerializeSeq};
use serde::{Serialize, Serializer};
use serde_json::{Map, Value};

/// Hashes with the device's own salt.
pub(super) struct Redaction {
    salt: hmac::Key,
    /// Hash nothing.
    pub(super) is_raw: bool,
    pub(super) hashes_accessors: bool,
    /// Lists are logged by their length.
    pub(super) elides_lists: bool,
}

impl std::fmt::Debug for Redaction {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Redaction")
    }
}

impl Redaction {
    /// Hashes everything.
    pub(super) fn new(salt: &[u8]) -> Self {
        Self {
            salt: hmac::Key::new(hmac::HMAC_SHA256, salt),
            is_raw: false,
            hashes_accessors: true,
            elides_lists: false,
        }
    }

    /// The hash of a text, whatever the device is set to.
    pub(super) fn hash(&self, text: &str) -> String {
        let mac = hmac::sign(&self.salt, text.as_bytes());
        format!("hmac-sha256:{}", hex::encode(mac))
    }

    /// How the log shows a text that may be secret.
    pub(super) fn secret(&self, text: &str) -> String {
        if self.is_raw {
            text.to_owned()
        } else {
            self.hash(text)
        }
    }

    /// How the log shows an accessor; an empty one stays empty.
    pub(super) fn accessor(&self, accessor: &str) -> String {
        if self.hashes_accessors && !accessor.is_empty() {
            self.secret(accessor)
        } else {
            accessor.to_owned()
        }
    }
}

/// The data of a request or answer with every string hashed. Keys, numbers and booleans stay.
#[derive(Clone, Copy)]
pub(super) struct Data<'a> {
    pub(super) map: &'a Map<String, Value>,
    pub(super) redaction: &'a Redaction,
    /// Strings directly under these keys stay plain.
    pub(super) plain_keys: &'a [String],
    /// This is the answer to a list on a device that logs only its length.
    pub(super) elided: bool,
}

impl Serialize for Data<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(Some(self.map.len()))?;
        for (key, value) in self.map {
            match value {
                Value::Array(list) if self.elided && key == "keys" => {
                    map.serialize_entry(key, &list.len())?;
                }
                Value::Object(infos) if self.elided && key == "key_info" => {
                    map.serialize_entry(key, &infos.len())?;
                }
                value => map.serialize_entry(key, &self.under(key, value))?,
            }
        }
        map.end()
    }
}

impl<'a> Data<'a> {
    fn under(&self, key: &str, value: &'a Value) -> Leaf<'a> {
        Leaf {
            value,
            data: Data {
                elided: false,
                ..*self
            },
            is_plain: self.plain_keys.iter().any(|plain| plain == key),
        }
    }
}

struct Leaf<'a> {
    value: &'a Value,
    data: Data<'a>,
    is_plain: bool,
}

impl Serialize for Leaf<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self.value {
            Value::String(text) if self.is_plain => serializer.serialize_str(text),
            Value::String(text) => serializer.serialize_str(&self.data.redaction.secret(text)),
            Value::Array(values) => {
                let mut list = serializer.serialize_seq(Some(values.len()))?;
                for value in values {
                    list.serialize_element(&Leaf { value, ..*self })?;
                }
                list.end()
            }
            Value::Object(map) => Data { map, ..self.data }.serialize(serializer),
            Value::Null | Value::Bool(_) | Value::Number(_) => self.value.serialize(serializer),
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn logged(data: &Value, plain_keys: &[&str], elided: bool) -> Value {
        let redaction = Redaction::new(b"salt");
        let plain_keys: Vec<String> = plain_keys.iter().map(|key| (*key).to_owned()).collect();
        let data = Data {
            map: data.as_object().unwrap(),
            redaction: &redaction,
            plain_keys: &plain_keys,
            elided,
        };
        serde_json::to_value(data).unwrap()
    }

    fn hash(text: &str) -> String {
        Redaction::new(b"salt").hash(text)
    }

    #[test]
    fn hashes_every_string_but_no_key_and_nothing_else() {
        let data =
            json!({"a": "x", "b": ["y", 1, {"c": "z"}], "d": true, "e": null, "f": {"g": 2}});
        let expected = json!({
            "a": hash("x"), "b": [hash("y"), 1, {"c": hash("z")}],
            "d": true, "e": null, "f": {"g": 2},
        });
        assert_eq!(logged(&data, &[], false), expected);
    }

    #[test]
    fn keys_that_are_exempt_stay_plain_at_any_depth_but_not_what_lies_below() {
        let data = json!({"k": {"x": "y"}, "s": "t", "z": {"k": "in", "q": ["k"]}, "l": ["m"]});
        let expected = json!({
            "k": {"x": hash("y")}, "s": hash("t"),
            "z": {"k": "in", "q": [hash("k")]}, "l": ["m"],
        });
        assert_eq!(logged(&data, &["k", "l"], false), expected);
    }

    #[test]
    fn lists_are_counted_where_the_device_wants_it() {
        let data = json!({"keys": ["a", "b"], "key_info": {"a": {}}, "other": ["c"]});
        let expected = json!({"keys": 2, "key_info": 1, "other": [hash("c")]});
        assert_eq!(logged(&data, &[], true), expected);
    }
}
