//! Where a method keeps its roles.

/// Longest name of a role, in bytes: it is part of a storage path.
const MAX_NAME_BYTES: usize = 1024;

/// The path below the mount, the same for a name in upper and in lower case; `None` for a name
/// that no role can have.
pub(crate) fn role_path(name: &str) -> Option<String> {
    let is_possible = (1..=MAX_NAME_BYTES).contains(&name.len()) && !name.contains('/');
    is_possible.then(|| format!("role/{}", name.to_lowercase()))
}
