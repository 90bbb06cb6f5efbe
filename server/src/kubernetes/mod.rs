//! What a mesh needs to find in its cluster: the roots of a mount in a ConfigMap of every namespace, and istiod's serving
//! certificate in a Secret.
//!
//! ```text
//! Lease --held by one replica--> roots of the mount (every 10 s) --> ConfigMaps, Secret <-- watched, repaired
//! ```
//!
//! Nothing of this happens unless the configuration has a `kubernetes` block, and nothing while the server is sealed.

mod authority;
mod backoff;
mod connect;
mod controller;
mod istiod;
mod istiod_secret;
mod lease;
mod pods;
mod root_config_maps;
mod serving_pair;
#[cfg(test)]
mod tests;

pub(crate) use self::connect::ConnectError;
pub(crate) use self::controller::start;
pub(crate) use self::istiod::IstiodNames;
pub(crate) use self::istiod_secret::secret;
pub(crate) use self::pods::of_clusters as pods_of_clusters;
pub(crate) use self::root_config_maps::config_map;
pub(crate) use self::serving_pair::ServingPair;
