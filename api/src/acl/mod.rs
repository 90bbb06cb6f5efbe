//! Access control: policy texts in, decisions out.
//!
//! ```text
//! policy text --Policy::parse--> Policy --Acl::new--> Acl --check--> Decision
//!                (once a write)          (once a token)   (once a request)
//! ```
//!
//! Everything here is pure. A [`Policy`] is the parsed text, still with its templates; an [`Acl`] is
//! what one token may do: the rules of all its policies, merged and rendered for its identity.
//!
//! Of all rules that match a path exactly one decides, the most specific; rules are never combined
//! unless their path texts are identical. See [`Acl::check`] for the order.

mod capability;
mod check;
mod defaults;
mod names;
mod parameters;
mod parse;
mod pattern;
mod resultant;
mod rule;
mod template;
mod wrapping;

pub use capability::{Capabilities, Capability, Operation};
pub use check::{AccessRequest, Acl, Decision};
pub use defaults::{DEFAULT_POLICY, RESPONSE_WRAPPING_POLICY};
pub use names::{PolicyNameError, normalize_policy_name, sanitize_policy_names};
pub use parse::{Policy, PolicyError, decode_policy_text};
pub use template::TemplateError;

#[cfg(test)]
mod tests;
