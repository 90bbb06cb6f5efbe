//! The bare operations on this machine in this minute: what no certificate authority can be faster
//! than. In processor time of one thread, which other programs on the machine disturb least.

use std::collections::BTreeMap;
use std::hint::black_box;
use std::time::Duration;

use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::rsa::KeySize;
use aws_lc_rs::signature::{self, EcdsaKeyPair, KeyPair as _, RsaKeyPair, UnparsedPublicKey};

use crate::Error;

/// One cryptographic operation.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Operation {
    P256Generate,
    P256Sign,
    P256Verify,
    Rsa2048Generate,
    Rsa2048Sign,
    Rsa4096Sign,
}

impl Operation {
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::P256Generate => "P-256 generate",
            Self::P256Sign => "P-256 sign",
            Self::P256Verify => "P-256 verify",
            Self::Rsa2048Generate => "RSA-2048 generate",
            Self::Rsa2048Sign => "RSA-2048 sign",
            Self::Rsa4096Sign => "RSA-4096 sign",
        }
    }
}

/// Microseconds of processor time for one of each.
#[derive(Clone, Debug, Default)]
pub(crate) struct Calibration(pub(crate) BTreeMap<Operation, f64>);

impl Calibration {
    /// Measures these, each for a quarter of a second at least.
    pub(crate) fn of(operations: &[Operation]) -> Result<Self, Error> {
        let mut measured = BTreeMap::new();
        for operation in operations {
            if !measured.contains_key(operation) {
                measured.insert(*operation, measure(*operation)?);
            }
        }
        Ok(Self(measured))
    }

    pub(crate) fn sum(&self, operations: &[Operation]) -> f64 {
        operations
            .iter()
            .filter_map(|operation| self.0.get(operation))
            .sum()
    }
}

fn measure(operation: Operation) -> Result<f64, Error> {
    let random = SystemRandom::new();
    let message = vec![7; 600];
    let ec = EcdsaKeyPair::generate(&signature::ECDSA_P256_SHA256_ASN1_SIGNING)?;
    match operation {
        Operation::P256Generate => repeat(|| {
            black_box(EcdsaKeyPair::generate(
                &signature::ECDSA_P256_SHA256_ASN1_SIGNING,
            )?);
            Ok(())
        }),
        Operation::P256Sign => repeat(|| {
            black_box(ec.sign(&random, &message)?);
            Ok(())
        }),
        Operation::P256Verify => {
            let signed = ec.sign(&random, &message)?;
            let key = ec.public_key().as_ref();
            repeat(|| {
                let key = UnparsedPublicKey::new(&signature::ECDSA_P256_SHA256_ASN1, key);
                Ok(key.verify(&message, signed.as_ref())?)
            })
        }
        Operation::Rsa2048Generate => repeat(|| {
            black_box(RsaKeyPair::generate(KeySize::Rsa2048)?);
            Ok(())
        }),
        Operation::Rsa2048Sign => rsa_sign(KeySize::Rsa2048, &message),
        Operation::Rsa4096Sign => rsa_sign(KeySize::Rsa4096, &message),
    }
}

fn rsa_sign(size: KeySize, message: &[u8]) -> Result<f64, Error> {
    let random = SystemRandom::new();
    let key = RsaKeyPair::generate(size)?;
    let mut signed = vec![0; key.public_modulus_len()];
    repeat(|| Ok(key.sign(&signature::RSA_PKCS1_SHA256, &random, message, &mut signed)?))
}

/// Microseconds of processor time for one call.
fn repeat(mut once: impl FnMut() -> Result<(), Error>) -> Result<f64, Error> {
    // The first calls find cold caches.
    for _ in 0..3 {
        once()?;
    }
    let began = thread_time()?;
    let mut calls = 0;
    loop {
        once()?;
        calls += 1;
        if calls % 16 == 0 || calls < 8 {
            let spent = thread_time()?.saturating_sub(began);
            if spent >= Duration::from_millis(250) {
                return Ok(spent.as_secs_f64() * 1e6 / f64::from(calls));
            }
        }
    }
}

/// What this thread has spent on a processor.
fn thread_time() -> Result<Duration, Error> {
    let text = std::fs::read_to_string("/proc/thread-self/schedstat")?;
    let nanos = text.split(' ').next().ok_or("unreadable schedstat")?;
    Ok(Duration::from_nanos(nanos.parse()?))
}
