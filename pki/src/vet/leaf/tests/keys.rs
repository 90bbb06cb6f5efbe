//! The key of a certificate against the role.

use super::*;
use crate::vet::{IssueKey, KeyKind, issue_key};

#[test]
fn keys_of_csrs_are_judged_by_family_and_size() {
    use KeyKind::{Ec, Ed25519, Other, Rsa, Unrecognized};
    let judge = |key_type, key_bits, kind: KeyKind, bits| {
        let role = Role {
            key_type,
            key_bits,
            ..role()
        };
        let mut csr = csr("a.example.com");
        csr.key.kind = kind;
        csr.key.bits = bits;
        sign(&role, &csr, &LeafRequest::default())
            .err()
            .unwrap_or_default()
    };
    let size = |least: u32, bits: u32| {
        format!("role requires a minimum of a {least}-bit key, but CSR's key is {bits} bits")
    };
    for bits in [2048, 3072, 4096, 16_384] {
        assert_eq!(judge(KeyType::Rsa, 2048, Rsa, bits), "");
        assert_eq!(judge(KeyType::Any, 77, Rsa, bits), "");
    }
    assert_eq!(judge(KeyType::Rsa, 2048, Rsa, 1024), size(2048, 1024));
    assert_eq!(judge(KeyType::Rsa, 3072, Rsa, 2048), size(3072, 2048));
    assert_eq!(judge(KeyType::Rsa, 0, Rsa, 1024), size(2048, 1024));
    for bits in [224, 256, 384, 521] {
        let expected = if bits < 256 {
            size(256, bits)
        } else {
            String::new()
        };
        assert_eq!(judge(KeyType::Ec, 256, Ec, bits), expected);
        assert_eq!(judge(KeyType::Any, 0, Ec, bits), "");
    }
    assert_eq!(judge(KeyType::Ec, 384, Ec, 256), size(384, 256));
    assert_eq!(judge(KeyType::Ed25519, 5, Ed25519, 0), "");
    assert_eq!(judge(KeyType::Any, 0, Ed25519, 0), "");
    for (key_type, kind, text) in [
        (KeyType::Rsa, Ec, "role requires keys of type rsa"),
        (KeyType::Rsa, Ed25519, "role requires keys of type rsa"),
        (KeyType::Ec, Rsa, "role requires keys of type ec"),
        (KeyType::Ed25519, Rsa, "role requires keys of type ed25519"),
        (KeyType::MlDsa, Rsa, "role requires keys of type mldsa"),
        (
            KeyType::Any,
            Other("DSA".to_owned()),
            "Unknown key type in CSR: DSA",
        ),
    ] {
        assert_eq!(judge(key_type, 0, kind, 4096), text);
    }
    assert_eq!(
        judge(KeyType::Any, 0, Rsa, 1024),
        "RSA keys < 2048 bits are unsafe and not supported"
    );
    let unrecognized = judge(KeyType::Rsa, 2048, Unrecognized, 0);
    assert!(unrecognized.starts_with("Refusing to sign CSR with empty PublicKey."));
}

#[test]
fn the_key_to_make_comes_from_the_role_or_where_it_is_open_from_the_request() {
    let concrete = Role::default();
    let key = |bits, warning| IssueKey {
        key_type: KeyType::Rsa,
        bits,
        warning,
    };
    let ignored = Some(Warning::KeyParametersIgnored);
    assert_eq!(issue_key(&concrete, None, None), Ok(key(2048, None)));
    assert_eq!(
        issue_key(&concrete, Some("ec"), None),
        Ok(key(2048, ignored.clone()))
    );
    assert_eq!(issue_key(&concrete, None, Some(0)), Ok(key(2048, ignored)));
    let open = Role {
        key_type: KeyType::Any,
        ..Role::default()
    };
    assert_eq!(
        issue_key(&open, Some("rsa"), Some(4096)),
        Ok(key(4096, None))
    );
    let missing = "role key type \"any\" not allowed for issuing certificates without providing \
                   key_type and/or key_bits request parameters";
    for (key_type, bits, text) in [
        (None, None, missing),
        (None, Some(2048), missing),
        (Some("any"), None, "unknown key type: any"),
        (Some(""), None, "failed to validate role: unknown key type "),
        (
            Some("foo"),
            None,
            "failed to validate role: unknown key type foo",
        ),
        (
            Some("rsa"),
            Some(1024),
            "failed to validate role: RSA keys < 2048 bits are unsafe and not supported: got 1024",
        ),
        (
            Some("ec"),
            Some(1),
            "failed to validate role: unsupported bit length for EC key: 1",
        ),
    ] {
        assert_eq!(
            issue_key(&open, key_type, bits).unwrap_err().to_string(),
            text
        );
    }
}
