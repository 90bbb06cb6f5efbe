//! What issuers and keys may be called.

use crate::error::ApiError;
use crate::route::is_name;
use crate::secrets::pki::authorities::Draft;

/// The name of an issuer, trimmed. `own_id`: of the issuer that is to have it; empty for a new one.
pub(super) fn check_issuer_name(
    draft: &Draft<'_>,
    name: &str,
    own_id: &str,
) -> Result<String, ApiError> {
    let name = name.trim();
    if name.is_empty() {
        return Err(ApiError::bad_request("expected non-empty issuer name"));
    }
    if name.eq_ignore_ascii_case("default") {
        return Err(ApiError::bad_request(
            "reserved keyword 'default' can not be used as issuer name",
        ));
    }
    if !is_name(name) {
        return Err(ApiError::bad_request(
            "issuer name contained invalid characters",
        ));
    }
    if draft.issuer_name_taken(name, own_id) {
        return Err(ApiError::bad_request("issuer name already in use"));
    }
    Ok(name.to_owned())
}

/// The name of a new key; `None` for one without.
pub(super) fn check_key_name(draft: &Draft<'_>, name: Option<&str>) -> Result<(), ApiError> {
    let Some(name) = name else { return Ok(()) };
    if !is_name(name) {
        return Err(ApiError::bad_request(
            "key name contained invalid characters",
        ));
    }
    check_key_name_is_free(draft, name, "")
}

/// `own_id`: of the key that is to have the name; empty for a new one.
pub(super) fn check_key_name_is_free(
    draft: &Draft<'_>,
    name: &str,
    own_id: &str,
) -> Result<(), ApiError> {
    if name.eq_ignore_ascii_case("default") {
        return Err(ApiError::bad_request(
            "reserved keyword 'default' can not be used as key name",
        ));
    }
    if draft.key_name_taken(name, own_id) {
        return Err(ApiError::bad_request("key name already in use"));
    }
    Ok(())
}
