//! Typed values with a format number in front.

use serde::Serialize;
use serde::de::DeserializeOwned;
use zeroize::Zeroizing;

use crate::backend::Version;
use crate::error::StorageError;

/// A value that is stored as one byte of format, then JSON.
///
/// `FORMAT` changes when a program that knows only the old format would misread the new one; it
/// does not change for a new field with a default.
pub trait Record: Serialize + DeserializeOwned {
    const FORMAT: u8;
}

/// A record and the commit that wrote it, which a precondition of the next change may name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Stored<T> {
    pub value: T,
    pub version: Version,
}

pub(crate) fn encode<T: Record>(path: &str, record: &T) -> Result<Vec<u8>, StorageError> {
    let mut bytes = vec![T::FORMAT];
    serde_json::to_writer(&mut bytes, record).map_err(|error| describe(path, &error))?;
    Ok(bytes)
}

/// Wipes the encoded form, which may hold keys.
pub(crate) fn decode<T: Record>(path: &str, bytes: Vec<u8>) -> Result<T, StorageError> {
    let bytes = Zeroizing::new(bytes);
    let Some((&format, json)) = bytes.split_first() else {
        return Err(StorageError::corrupt(path, "empty record"));
    };
    if format != T::FORMAT {
        return Err(StorageError::UnknownFormat {
            path: path.to_owned(),
            found: format,
            supported: T::FORMAT,
        });
    }
    serde_json::from_slice(json).map_err(|error| describe(path, &error))
}

/// Says where, not what: the message of a JSON error can quote the value.
fn describe(path: &str, error: &serde_json::Error) -> StorageError {
    let reason = format!(
        "JSON {:?} error at column {}",
        error.classify(),
        error.column()
    );
    StorageError::corrupt(path, reason)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Debug, PartialEq, serde::Serialize, serde::Deserialize)]
    struct Role {
        name: String,
    }

    impl Record for Role {
        const FORMAT: u8 = 3;
    }

    #[test]
    fn stores_the_format_byte_and_then_json() {
        let bytes = encode("r", &Role { name: "web".into() }).unwrap();
        assert_eq!(bytes, b"\x03{\"name\":\"web\"}");
        assert_eq!(
            decode::<Role>("r", bytes).unwrap(),
            Role { name: "web".into() }
        );
    }

    #[test]
    fn names_both_formats_when_it_meets_an_unknown_one() {
        let error = decode::<Role>("r", b"\x04{}".to_vec()).unwrap_err();
        assert_eq!(
            error.to_string(),
            "record at r has format 4, this version reads 3"
        );
    }

    #[test]
    fn does_not_quote_the_record_in_an_error() {
        let error = decode::<Role>("r", b"\x03{\"name\":[\"hunter2\"]}".to_vec()).unwrap_err();
        assert!(matches!(&error, StorageError::Corrupt { path, .. } if path == "r"));
        assert!(!error.to_string().contains("hunter2"), "{error}");
        assert!(decode::<Role>("r", Vec::new()).is_err());
    }
}
