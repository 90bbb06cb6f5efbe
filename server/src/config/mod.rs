//! Everything that is set from outside: the process environment.

pub(crate) mod env;
