//! Bodies that are taken as they stand: field names in any case, values without conversion.

use std::marker::PhantomData;

use serde_json::{Map, Value};
use zeroize::Zeroizing;

use crate::error::ApiError;
use crate::params::{Field, FieldError, Params};

/// The fields of such a body.
pub(super) trait StrictFields: 'static {
    /// As the error texts name it.
    const NAME: &'static str;
    const FIELDS: &'static [Field];
}

/// A body, read field by field.
pub(super) struct Strict<F> {
    data: Map<String, Value>,
    fields: PhantomData<fn() -> F>,
}

impl<F: StrictFields> Params for Strict<F> {
    const FIELDS: &'static [Field] = F::FIELDS;

    fn take(data: &mut Map<String, Value>) -> Result<Self, FieldError> {
        Ok(Self {
            data: std::mem::take(data),
            fields: PhantomData,
        })
    }
}

impl<F: StrictFields> Strict<F> {
    pub(super) fn int(&self, name: &'static str) -> Result<i64, ApiError> {
        match self.value(name) {
            None | Some(Value::Null) => Ok(0),
            Some(Value::Number(number)) => number
                .as_i64()
                .ok_or_else(|| Self::refused(name, &format!("number {number}"), "int")),
            Some(other) => Err(Self::refused(name, kind_of(other), "int")),
        }
    }

    pub(super) fn flag(&self, name: &'static str) -> Result<bool, ApiError> {
        match self.value(name) {
            None | Some(Value::Null) => Ok(false),
            Some(Value::Bool(given)) => Ok(*given),
            Some(other) => Err(Self::refused(name, kind_of(other), "bool")),
        }
    }

    pub(super) fn text(&self, name: &'static str) -> Result<Zeroizing<String>, ApiError> {
        match self.value(name) {
            None | Some(Value::Null) => Ok(Zeroizing::default()),
            Some(Value::String(text)) => Ok(Zeroizing::new(text.clone())),
            Some(other) => Err(Self::refused(name, kind_of(other), "string")),
        }
    }

    pub(super) fn texts(&self, name: &'static str) -> Result<Vec<String>, ApiError> {
        match self.value(name) {
            None | Some(Value::Null) => Ok(Vec::new()),
            Some(Value::Array(values)) => values
                .iter()
                .map(|value| match value {
                    Value::Null => Ok(String::new()),
                    Value::String(text) => Ok(text.clone()),
                    other => Err(Self::refused(name, kind_of(other), "string")),
                })
                .collect(),
            Some(other) => Err(Self::refused(name, kind_of(other), "[]string")),
        }
    }

    fn value(&self, name: &str) -> Option<&Value> {
        self.data.get(name).or_else(|| {
            self.data
                .iter()
                .find(|(key, _)| key.eq_ignore_ascii_case(name))
                .map(|(_, value)| value)
        })
    }

    fn refused(name: &str, found: &str, wanted: &str) -> ApiError {
        ApiError::bad_request(format!(
            "failed to decode JSON input: json: cannot unmarshal {found} into Go struct field \
             {}.{name} of type {wanted}",
            F::NAME
        ))
    }
}

fn kind_of(value: &Value) -> &'static str {
    match value {
        Value::Array(_) => "array",
        Value::Bool(_) => "bool",
        Value::Null => "null",
        Value::Number(_) => "number",
        Value::Object(_) => "object",
        Value::String(_) => "string",
    }
}
