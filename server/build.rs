//! Leaves the symbols out of the release build.

#[expect(
    clippy::disallowed_methods,
    reason = "a build script is told by the environment"
)]
fn main() {
    println!("cargo::rerun-if-changed=build.rs");
    let is = |name: &str, value: &str| std::env::var(name).is_ok_and(|found| found == value);
    // Cargo passes over the profile's `strip` for a package whose optimization is set apart.
    if is("DEBUG", "false") && is("CARGO_CFG_TARGET_OS", "linux") {
        println!("cargo::rustc-link-arg-bins=-Wl,--strip-all");
    }
}
