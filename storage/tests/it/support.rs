//! What the tests share.

pub(crate) mod suite;

#[path = "../../src/seeded_rng.rs"]
mod seeded_rng;

pub(crate) use seeded_rng::SeededRng;
