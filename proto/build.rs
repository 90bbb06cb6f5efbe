//! Compiles the protocol without a `protoc` on the machine.

use std::error::Error;
use std::path::PathBuf;

use prost::Message as _;

#[expect(
    clippy::disallowed_methods,
    reason = "the one way in which cargo says where output goes"
)]
fn main() -> Result<(), Box<dyn Error>> {
    println!("cargo::rerun-if-changed=istio");
    let descriptors = protox::compile(["istio/v1/auth/ca.proto"], ["."])?;
    let out = PathBuf::from(std::env::var("OUT_DIR")?);
    // For the reflection service.
    std::fs::write(out.join("istio.bin"), descriptors.encode_to_vec())?;
    tonic_prost_build::configure().compile_fds(descriptors)?;
    Ok(())
}
