//! Key families and sizes against the role.

use super::{KeyFacts, KeyKind, Refusal, Warning};
use crate::role::{KeyType, Role, validate_key_type_bits};

/// The key that `issue` has to make.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct IssueKey {
    /// Never [`KeyType::Any`].
    pub key_type: KeyType,
    pub bits: u32,
    pub warning: Option<Warning>,
}

/// Chooses the key of `issue` from the role or, where the role leaves it open, from the request.
pub fn issue_key(
    role: &Role,
    key_type: Option<&str>,
    key_bits: Option<i64>,
) -> Result<IssueKey, Refusal> {
    if role.key_type != KeyType::Any {
        let ignored = key_type.is_some() || key_bits.is_some();
        return Ok(IssueKey {
            key_type: role.key_type,
            bits: role.key_bits,
            warning: ignored.then_some(Warning::KeyParametersIgnored),
        });
    }
    let name = key_type.ok_or(Refusal::KeyTypeMissing)?;
    let (key_type, bits) =
        validate_key_type_bits(name, key_bits.unwrap_or(0)).map_err(Refusal::KeyParameters)?;
    if key_type == KeyType::Any {
        return Err(Refusal::KeyTypeAny);
    }
    Ok(IssueKey {
        key_type,
        bits,
        warning: None,
    })
}

/// Judges the key of a CSR.
pub(super) fn check(key: &KeyFacts, key_type: KeyType, role_bits: u32) -> Result<(), Refusal> {
    if key.kind == KeyKind::Unrecognized {
        return Err(Refusal::CsrKeyUnrecognized);
    }
    let least_bits = match (key_type, &key.kind) {
        (KeyType::Any, KeyKind::Rsa) if key.bits < LEAST_RSA_BITS => {
            return Err(Refusal::CsrKeyWeak);
        }
        (KeyType::Any, KeyKind::Other(name)) => {
            return Err(Refusal::CsrKeyUnknown { name: name.clone() });
        }
        (KeyType::Any, KeyKind::Ec) => LEAST_EC_BITS,
        (KeyType::Any, _) | (KeyType::Ed25519, KeyKind::Ed25519) => 0,
        (KeyType::Ec, KeyKind::Ec) => role_bits.max(LEAST_EC_BITS),
        (KeyType::Rsa, KeyKind::Rsa) => role_bits.max(LEAST_RSA_BITS),
        (required, _) => return Err(Refusal::CsrKeyType { required }),
    };
    if key.bits < least_bits {
        let bits = key.bits;
        return Err(Refusal::CsrKeySize { least_bits, bits });
    }
    Ok(())
}

const LEAST_EC_BITS: u32 = 224;
const LEAST_RSA_BITS: u32 = 2048;
