//! The messages and stubs of the protocol in which a mesh's workloads ask for certificates.

/// `istio.v1.auth`.
#[expect(
    clippy::as_conversions,
    clippy::pedantic,
    clippy::allow_attributes,
    clippy::allow_attributes_without_reason,
    unused_qualifications,
    reason = "generated"
)]
pub mod istio {
    tonic::include_proto!("istio.v1.auth");
}

/// What the reflection service shows: a `FileDescriptorSet`.
pub const FILE_DESCRIPTORS: &[u8] = include_bytes!(concat!(env!("OUT_DIR"), "/istio.bin"));

pub use prost::Message;

pub use prost_types::value::Kind;
pub use prost_types::{Struct, Value};
