use proptest::prelude::*;

use super::*;
use crate::seeded_rng::SeededRng;

/// What another server with this share format handed out for 3 of 5.
const FOREIGN_SHARES: [&str; 5] = [
    "0995048fb90c9678fd2bc71655e59edbe0baeb87ff76e6ec743be02854ca152359",
    "67952f5b62257cb4abc32126594fe156f51b6e3c553b398d17d7d5522dfddda39b",
    "b54da6161a9f1c092d1dce528f79f86b1d25f8ee470bdcb115f9bd2808365c0a57",
    "ecd45cb63d59681f5d8f2bbad80d575ece2d193f85f4cc1cae3247a0071e1e2f4e",
    "5a4f0596a36855818294a1b0705f65b44c2dbb9a9747a030bc8752f19778f02b4d",
];
const FOREIGN_SECRET: &str = "41df9fcfb4530236ae94d2743aa7bd0d595903625747b5f7253aa6baf9cd7268";

/// The textbook: the polynomial through the shares, at zero.
fn interpolate(shares: &[&[u8]]) -> Vec<u8> {
    let position = |share: &[u8]| *share.last().unwrap();
    (0..shares[0].len() - 1)
        .map(|at| {
            shares.iter().fold(0, |sum, share| {
                let weight = shares
                    .iter()
                    .filter(|other| position(other) != position(share))
                    .fold(1, |product, other| {
                        let distance = invert(position(other) ^ position(share));
                        multiply(product, multiply(position(other), distance))
                    });
                sum ^ multiply(share[at], weight)
            })
        })
        .collect()
}

fn multiply(left: u8, right: u8) -> u8 {
    let mut product = 0;
    let mut shifted = left;
    for bit in 0..8 {
        if right >> bit & 1 == 1 {
            product ^= shifted;
        }
        let overflows = shifted & 0x80 != 0;
        shifted <<= 1;
        if overflows {
            shifted ^= 0x1b;
        }
    }
    product
}

fn invert(value: u8) -> u8 {
    (1..=255)
        .find(|&other| multiply(value, other) == 1)
        .unwrap()
}

#[test]
fn joins_the_shares_of_another_server() {
    let shares: Vec<Vec<u8>> = FOREIGN_SHARES
        .iter()
        .map(|share| hex::decode(share).unwrap())
        .collect();
    for chosen in [[0, 1, 2], [0, 1, 3], [2, 3, 4], [4, 0, 2], [3, 1, 4]] {
        let chosen: Vec<&Vec<u8>> = chosen.iter().map(|&at| &shares[at]).collect();
        assert_eq!(hex::encode(&*combine(&chosen).unwrap()), FOREIGN_SECRET);
    }
    // More than needed do no harm, fewer do not suffice.
    assert_eq!(hex::encode(&*combine(&shares).unwrap()), FOREIGN_SECRET);
    assert_ne!(
        hex::encode(&*combine(&shares[..2]).unwrap()),
        FOREIGN_SECRET
    );
}

#[test]
fn a_single_share_is_the_secret_itself() {
    let shares = split(&[7; 32], 1, 1, &mut SeededRng(1)).unwrap();
    assert_eq!(shares.len(), 1);
    assert_eq!(shares[0].as_slice(), [7; 32]);
}

#[test]
fn a_share_is_the_values_and_then_a_position_of_its_own() {
    let shares = split(&[7; 32], 255, 2, &mut SeededRng(1)).unwrap();
    let positions: std::collections::BTreeSet<u8> =
        shares.iter().map(|share| *share.last().unwrap()).collect();
    assert!(shares.iter().all(|share| share.len() == 33));
    assert_eq!(positions.len(), 255);
    assert!(!positions.contains(&0));
}

#[test]
fn every_value_of_a_share_occurs_whatever_the_secret() {
    // Coefficients that are never zero would leave one value out, which tells of the secret.
    let mut seen = std::collections::BTreeSet::<u8>::new();
    let mut rng = SeededRng(3);
    for _ in 0..200 {
        let shares = split(&[0; 32], 2, 2, &mut rng).unwrap();
        seen.extend(&shares[0][..32]);
    }
    assert_eq!(seen.len(), 256);
}

#[test]
fn refuses_sharings_that_cannot_work() {
    let rng = &mut SeededRng(1);
    let error = |secret: &[u8], shares, threshold, rng: &mut SeededRng| {
        split(secret, shares, threshold, rng).unwrap_err()
    };
    assert_eq!(error(&[], 3, 2, rng), ShamirError::SecretLength);
    assert_eq!(error(&[0; 65], 3, 2, rng), ShamirError::SecretLength);
    assert_eq!(error(&[0; 32], 0, 0, rng), ShamirError::ShareCount);
    assert_eq!(error(&[0; 32], 3, 1, rng), ShamirError::Threshold);
    assert_eq!(error(&[0; 32], 3, 4, rng), ShamirError::Threshold);
}

#[test]
fn refuses_shares_that_do_not_go_together() {
    let refused = |shares: &[&[u8]]| combine(shares).unwrap_err();
    assert_eq!(refused(&[]), ShamirError::ShareCount);
    assert_eq!(refused(&[&[1, 1]]), ShamirError::ShareCount);
    assert_eq!(refused(&[&[1, 1], &[1, 2, 2]]), ShamirError::ShareLength);
    assert_eq!(refused(&[&[1], &[2]]), ShamirError::ShareLength);
    assert_eq!(refused(&[&[0; 70], &[0; 70]]), ShamirError::ShareLength);
    assert_eq!(refused(&[&[1, 0], &[1, 2]]), ShamirError::ZeroPosition);
    assert_eq!(refused(&[&[1, 2], &[3, 2]]), ShamirError::DuplicateShare);
    assert_eq!(
        refused(&vec![[1_u8, 1].as_slice(); 256]),
        ShamirError::ShareCount
    );
}

proptest! {
    #[test]
    fn joins_what_it_split_and_as_the_textbook_does(
        secret in prop::collection::vec(any::<u8>(), 1..40),
        shares in 2_u8..12,
        seed: u64,
    ) {
        let threshold = 2 + u8::try_from(seed % u64::from(shares - 1)).unwrap();
        let made = split(&secret, shares, threshold, &mut SeededRng(seed)).unwrap();
        let start = usize::from(shares - threshold);
        let chosen: Vec<&[u8]> = made[start..].iter().map(|share| share.as_slice()).collect();
        let joined = combine(&chosen).unwrap();
        prop_assert_eq!(joined.as_slice(), secret.as_slice());
        prop_assert_eq!(interpolate(&chosen), secret);
    }

    #[test]
    fn never_panics_on_foreign_shares(shares: Vec<Vec<u8>>) {
        let _ = combine(&shares);
    }
}
