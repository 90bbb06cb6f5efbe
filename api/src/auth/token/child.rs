//! Which policies a token may give to a token it makes.

use crate::acl::sanitize_policy_names;
use crate::auth::token::roles::Role;
use crate::error::ApiError;

/// What is asked for, and what it is asked with.
#[derive(Clone, Copy, Debug)]
pub(super) struct PolicyRequest<'a> {
    pub(super) requested: &'a [String],
    pub(super) no_default_policy: bool,
    pub(super) parent: &'a [String],
    /// The caller has `sudo` on the path.
    pub(super) has_sudo: bool,
    pub(super) role: Option<&'a Role>,
}

impl PolicyRequest<'_> {
    /// The policies of the new token, sorted.
    pub(super) fn decide(self) -> Result<Vec<String>, ApiError> {
        let no_default = self.no_default_policy || self.role.is_some_and(|r| r.no_default_policy);
        // A role only leaves it out; whoever asks for it by name gets it.
        let asked_for_default = self
            .requested
            .iter()
            .any(|policy| policy.trim().eq_ignore_ascii_case(DEFAULT));
        let strips_default = self.no_default_policy || (no_default && !asked_for_default);
        let restricting = self.role.filter(|role| role.restricts_policies());
        let mut policies = match restricting {
            Some(role) => self.within_role(role, no_default)?,
            None => self.within_parent(no_default)?,
        };
        if strips_default {
            policies.retain(|policy| policy != DEFAULT);
        }
        if policies.iter().any(|policy| policy == "response-wrapping") {
            return Err(ApiError::bad_request(
                "cannot assign policy \"response-wrapping\"",
            ));
        }
        if is_root(&policies) && !is_root(self.parent) {
            return Err(ApiError::bad_request(
                "root tokens may not be created without parent token being root",
            ));
        }
        Ok(policies)
    }

    fn within_parent(self, no_default: bool) -> Result<Vec<String>, ApiError> {
        if self.requested.is_empty() {
            return sanitize(self.parent, false);
        }
        if self.has_sudo {
            return sanitize(self.requested, !no_default);
        }
        let requested = sanitize(self.requested, false)?;
        if !requested.iter().all(|policy| self.parent.contains(policy)) {
            return Err(ApiError::bad_request(
                "child policies must be subset of parent",
            ));
        }
        let parent_has_default = self.parent.iter().any(|policy| policy == DEFAULT);
        sanitize(&requested, !no_default && parent_has_default)
    }

    /// What the role allows may be more than what the parent has.
    fn within_role(self, role: &Role, no_default: bool) -> Result<Vec<String>, ApiError> {
        let adds_default = !no_default && !role.disallows(DEFAULT);
        let allowed = sanitize(&role.allowed_policies, adds_default)?;
        let has_allowed =
            !role.allowed_policies.is_empty() || !role.allowed_policies_glob.is_empty();
        let policies = match (self.requested.is_empty(), has_allowed) {
            (true, true) => allowed,
            (true, false) => sanitize(self.parent, adds_default)?,
            (false, _) => {
                let requested = sanitize(self.requested, adds_default)?;
                let is_allowed = |policy: &String| {
                    allowed.contains(policy) || any_glob(&role.allowed_policies_glob, policy)
                };
                if has_allowed && !requested.iter().all(is_allowed) {
                    return Err(ApiError::bad_request(format!(
                        "token policies ({}) must be subset of the role's allowed policies ({}) or \
                         glob policies ({})",
                        quoted(&requested),
                        quoted(&allowed),
                        quoted(&role.allowed_policies_glob)
                    )));
                }
                requested
            }
        };
        match policies.iter().find(|policy| role.disallows(policy)) {
            None => Ok(policies),
            Some(policy) => Err(ApiError::bad_request(format!(
                "token policy {policy:?} is disallowed by this role"
            ))),
        }
    }
}

const DEFAULT: &str = "default";

pub(super) fn is_root(policies: &[String]) -> bool {
    policies.iter().any(|policy| policy == "root")
}

fn sanitize(policies: &[String], adds_default: bool) -> Result<Vec<String>, ApiError> {
    let default = adds_default.then_some(DEFAULT);
    let all = policies.iter().map(String::as_str).chain(default);
    sanitize_policy_names(all).map_err(|error| ApiError::bad_request(error.to_string()))
}

/// A list of strings as Go prints it.
fn quoted(policies: &[String]) -> String {
    let quoted: Vec<String> = policies
        .iter()
        .map(|policy| format!("{policy:?}"))
        .collect();
    format!("[{}]", quoted.join(" "))
}

pub(super) fn any_glob(globs: &[String], text: &str) -> bool {
    globs.iter().any(|glob| crate::glob::matches(glob, text))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(text: &str) -> Vec<String> {
        text.split_whitespace().map(str::to_owned).collect()
    }

    struct Case<'a> {
        requested: &'a str,
        no_default: bool,
        parent: &'a str,
        sudo: bool,
    }

    fn decide(case: &Case<'_>, role: Option<&Role>) -> Result<String, String> {
        let decided = PolicyRequest {
            requested: &names(case.requested),
            no_default_policy: case.no_default,
            parent: &names(case.parent),
            has_sudo: case.sudo,
            role,
        }
        .decide();
        decided
            .map(|policies| policies.join(" "))
            .map_err(|error| error.to_string())
    }

    fn child(requested: &str, parent: &str, sudo: bool) -> Result<String, String> {
        let no_default = false;
        decide(
            &Case {
                requested,
                no_default,
                parent,
                sudo,
            },
            None,
        )
    }

    #[test]
    fn without_sudo_a_child_gets_a_subset_and_default_when_the_parent_has_it() {
        assert_eq!(child("", "default mk", false).unwrap(), "default mk");
        assert_eq!(child("MK mk", "default mk", false).unwrap(), "default mk");
        assert_eq!(child("mk", "mk", false).unwrap(), "mk");
        let error = child("other", "default mk", false).unwrap_err();
        assert_eq!(error, "child policies must be subset of parent");
    }

    #[test]
    fn with_sudo_a_child_gets_anything_but_root() {
        assert_eq!(child("b a", "mk", true).unwrap(), "a b default");
        assert_eq!(child("", "root", true).unwrap(), "root");
        assert_eq!(child("a root", "root", true).unwrap(), "root");
        for spelling in ["root", "Root", "ROOT"] {
            let error = child(spelling, "mk", true).unwrap_err();
            let text = "root tokens may not be created without parent token being root";
            assert_eq!(error, text, "{spelling}");
        }
        let error = child("response-wrapping", "root", true).unwrap_err();
        assert_eq!(error, "cannot assign policy \"response-wrapping\"");
    }

    #[test]
    fn no_default_policy_strips_default_and_a_role_leaves_what_was_asked_for() {
        for (requested, parent, left, left_by_role) in [
            ("default", "root", "", "default"),
            ("", "default mk", "mk", "mk"),
        ] {
            let case = Case {
                requested,
                no_default: true,
                parent,
                sudo: true,
            };
            assert_eq!(decide(&case, None).unwrap(), left);
            let role = Role {
                no_default_policy: true,
                ..Role::default()
            };
            let no_default = false;
            let case = Case { no_default, ..case };
            assert_eq!(decide(&case, Some(&role)).unwrap(), left_by_role);
        }
    }

    fn by_role(requested: &str, role: &Role) -> Result<String, String> {
        let case = Case {
            requested,
            no_default: false,
            parent: "default mk",
            sudo: false,
        };
        decide(&case, Some(role))
    }

    #[test]
    fn a_role_gives_what_it_allows_and_nothing_else() {
        let role = Role {
            allowed_policies: names("dev ops"),
            allowed_policies_glob: names("x-*"),
            ..Role::default()
        };
        assert_eq!(by_role("", &role).unwrap(), "default dev ops");
        assert_eq!(by_role("x-1 dev", &role).unwrap(), "default dev x-1");
        let text = "token policies ([\"default\" \"nope\"]) must be subset of the role's allowed \
                    policies ([\"default\" \"dev\" \"ops\"]) or glob policies ([\"x-*\"])";
        assert_eq!(by_role("nope", &role).unwrap_err(), text);
        assert!(by_role("root", &role).is_err());
    }

    #[test]
    fn a_role_refuses_what_it_disallows() {
        let role = Role {
            disallowed_policies: names("root bad"),
            disallowed_policies_glob: names("secret-*"),
            ..Role::default()
        };
        assert_eq!(by_role("any", &role).unwrap(), "any default");
        assert_eq!(by_role("", &role).unwrap(), "default mk");
        for policy in ["bad", "secret-a", "root"] {
            let text = format!("token policy {policy:?} is disallowed by this role");
            assert_eq!(by_role(policy, &role).unwrap_err(), text);
        }
        let role = Role {
            disallowed_policies: names("default"),
            ..Role::default()
        };
        assert_eq!(by_role("a", &role).unwrap(), "a");
        assert!(by_role("a default", &role).is_err());
    }

    #[test]
    fn a_role_without_lists_leaves_the_rules_of_the_parent() {
        let role = Role::default();
        assert_eq!(by_role("mk", &role).unwrap(), "default mk");
        assert!(by_role("other", &role).is_err());
    }
}
