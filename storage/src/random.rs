//! The operating system's randomness, by way of AWS-LC, behind the trait that takes a seeded
//! generator in tests.

use aws_lc_rs::rand;
use rand_core::{TryCryptoRng, TryRng, UnwrapErr};

/// The generator that the product passes wherever a `CryptoRng` is asked for.
///
/// AWS-LC ends the process itself when the system has no entropy, so the error that [`UnwrapErr`]
/// would turn into a panic does not come.
pub fn system_random() -> UnwrapErr<SystemRandom> {
    UnwrapErr(SystemRandom)
}

#[derive(Clone, Copy, Debug, Default)]
pub struct SystemRandom;

#[derive(Clone, Copy, Debug, thiserror::Error)]
#[error("no randomness available")]
pub struct RandomUnavailable;

impl TryRng for SystemRandom {
    type Error = RandomUnavailable;

    fn try_next_u32(&mut self) -> Result<u32, Self::Error> {
        let mut bytes = [0; 4];
        self.try_fill_bytes(&mut bytes)?;
        Ok(u32::from_ne_bytes(bytes))
    }

    fn try_next_u64(&mut self) -> Result<u64, Self::Error> {
        let mut bytes = [0; 8];
        self.try_fill_bytes(&mut bytes)?;
        Ok(u64::from_ne_bytes(bytes))
    }

    fn try_fill_bytes(&mut self, destination: &mut [u8]) -> Result<(), Self::Error> {
        rand::fill(destination).map_err(|_unspecified| RandomUnavailable)
    }
}

impl TryCryptoRng for SystemRandom {}
