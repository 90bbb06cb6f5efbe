//! The chain of every issuer: itself, then its parents towards the roots.

use crate::cert::Certificate;

/// An authority among those that chains are made of.
#[derive(Clone, Debug)]
pub struct Member<'a> {
    pub certificate: &'a Certificate,
    /// Positions of the members of a chain that somebody chose; taken as it is.
    pub manual_chain: Option<Vec<usize>>,
}

#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ChainError {
    #[error("excessively reissued certificate: {entries} entries")]
    ExcessivelyReissued { entries: usize },
    #[error("too many signatures have to be checked to find the parents of the issuers")]
    TooManySignatures,
}

/// The chain of each member as positions in `members`, in the order of `members`.
///
/// A chain starts with the member itself and holds every member once. Parents that are self-signed
/// come before others; apart from that parents come in the order of `members`.
pub fn build(members: &[Member<'_>]) -> Result<Vec<Vec<usize>>, ChainError> {
    refuse_excessive_reissues(members)?;
    let mut budget = MAX_SIGNATURES;
    let parents = members
        .iter()
        .enumerate()
        .map(|(position, member)| parents_of(position, member, members, &mut budget))
        .collect::<Result<Vec<_>, _>>()?;
    Ok((0..members.len())
        .map(|position| chain_of(position, members, &parents))
        .collect())
}

/// Depth-first, each member once, so that cycles of cross-signed authorities come to an end.
fn chain_of(start: usize, members: &[Member<'_>], parents: &[Vec<usize>]) -> Vec<usize> {
    let manual = |position: usize| members.get(position)?.manual_chain.as_ref();
    if let Some(chain) = manual(start) {
        return chain.clone();
    }
    let mut chain = Vec::new();
    let mut pending = vec![start];
    while let Some(position) = pending.pop() {
        if chain.contains(&position) {
            continue;
        }
        if let Some(manual) = manual(position) {
            for member in manual {
                if !chain.contains(member) {
                    chain.push(*member);
                }
            }
            continue;
        }
        chain.push(position);
        pending.extend(parents.get(position).into_iter().flatten().rev());
    }
    chain
}

/// Positions of the parents, self-signed ones first.
///
/// Only one key can have made a signature, so the search ends with the first key that fits, and the
/// key that the authority key identifier names is tried first.
fn parents_of(
    position: usize,
    member: &Member<'_>,
    members: &[Member<'_>],
    budget: &mut usize,
) -> Result<Vec<usize>, ChainError> {
    let child = member.certificate;
    let mut candidates: Vec<_> = members
        .iter()
        .map(|member| member.certificate)
        .enumerate()
        .filter(|(_, candidate)| candidate.subject_der() == child.issuer_der())
        .collect();
    candidates.sort_by_key(|(_, candidate)| {
        let named = child.authority_key_id();
        named.is_none() || named != candidate.subject_key_id()
    });
    let mut refused = Vec::new();
    let mut signer = None;
    for (_, candidate) in &candidates {
        let key = candidate.public_key();
        if refused.contains(&key) {
            continue;
        }
        *budget = budget.checked_sub(1).ok_or(ChainError::TooManySignatures)?;
        if child.verify_signature(key).is_ok() {
            signer = Some(key);
            break;
        }
        refused.push(key);
    }
    let Some(signer) = signer else {
        return Ok(Vec::new());
    };
    candidates.retain(|(other, candidate)| *other != position && candidate.public_key() == signer);
    candidates.sort_by_key(|(other, candidate)| (!candidate.is_self_issued(), *other));
    Ok(candidates.into_iter().map(|(other, _)| other).collect())
}

fn refuse_excessive_reissues(members: &[Member<'_>]) -> Result<(), ChainError> {
    let mut identities: Vec<_> = members
        .iter()
        .map(|member| member.certificate)
        .filter(|certificate| certificate.is_self_issued())
        .map(|certificate| {
            (
                certificate.subject_der(),
                certificate.public_key().spki_der(),
            )
        })
        .collect();
    identities.sort_unstable();
    let largest = identities
        .chunk_by(|left, right| left == right)
        .map(<[_]>::len)
        .max();
    match largest {
        Some(entries) if entries > MAX_REISSUES => Err(ChainError::ExcessivelyReissued { entries }),
        _ => Ok(()),
    }
}

/// Self-signed certificates with one subject and key.
const MAX_REISSUES: usize = 6;
/// Checking one takes up to a tenth of a millisecond.
const MAX_SIGNATURES: usize = 10_000;

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use proptest::prelude::*;

    use super::*;
    use crate::issuer::{AiaUrls, Issuer};
    use crate::judges::{P256, authority_plan, intermediate, issue, root};

    fn chains(certificates: &[&Certificate]) -> Vec<Vec<usize>> {
        let members: Vec<_> = certificates
            .iter()
            .map(|certificate| Member {
                certificate,
                manual_chain: None,
            })
            .collect();
        build(&members).unwrap()
    }

    /// Another certificate for the key of `subject`, signed by `signer`.
    fn cross_sign(signer: &Issuer, subject: &Issuer, name: &str, number: u8) -> Certificate {
        issue(
            signer,
            authority_plan(name, None),
            subject.public_key(),
            number,
        )
    }

    fn named_root(name: &str) -> Issuer {
        crate::judges::root_with(P256, authority_plan(name, None))
    }

    #[test]
    fn a_line_of_authorities_ends_with_the_root() {
        let root = root(P256);
        let first = intermediate(&root, "Int 1", 2);
        let second = intermediate(&first, "Int 2", 3);
        let certificates = [
            first.certificate(),
            second.certificate(),
            root.certificate(),
        ];
        assert_eq!(chains(&certificates), [vec![0, 2], vec![1, 0, 2], vec![2]]);
        assert_eq!(chains(&[second.certificate()]), [[0]]);
    }

    #[test]
    fn authorities_that_only_share_a_name_are_not_parents() {
        let (left, right) = (named_root("Same"), named_root("Same"));
        let child = intermediate(&right, "Int", 2);
        let certificates = [left.certificate(), right.certificate(), child.certificate()];
        assert_eq!(chains(&certificates), [vec![0], vec![1], vec![2, 1]]);
    }

    #[test]
    fn self_signed_parents_come_before_cross_signed_ones() {
        let (old, new) = (named_root("Old"), named_root("New"));
        let bridge = cross_sign(&old, &new, "New", 7);
        let child = intermediate(&new, "Int", 2);
        let certificates = [
            &bridge,
            old.certificate(),
            new.certificate(),
            child.certificate(),
        ];
        assert_eq!(
            chains(&certificates),
            [vec![0, 1], vec![1], vec![2, 0, 1], vec![3, 2, 0, 1]]
        );
    }

    #[test]
    fn a_cycle_of_cross_signed_authorities_ends() {
        let (left, right) = (named_root("Left"), named_root("Right"));
        let left_by_right = cross_sign(&right, &left, "Left", 5);
        let right_by_left = cross_sign(&left, &right, "Right", 6);
        for mut chain in chains(&[&left_by_right, &right_by_left]) {
            chain.sort_unstable();
            assert_eq!(chain, [0, 1]);
        }
    }

    #[test]
    fn reissued_roots_are_in_each_others_chains_up_to_a_limit() {
        let key = Arc::new(crate::key::PrivateKey::generate(P256).unwrap());
        let reissue = |number| {
            crate::cert::build::Vetted::new(authority_plan("Root", None), key.public_key().clone())
                .build_self_signed(&key, crate::judges::serial(number), &AiaUrls::default())
                .unwrap()
                .sign()
                .unwrap()
        };
        let roots: Vec<_> = (1..=7).map(reissue).collect();
        let members: Vec<_> = roots
            .iter()
            .map(|certificate| Member {
                certificate,
                manual_chain: None,
            })
            .collect();
        let chains = build(&members[..6]).unwrap();
        assert_eq!(chains[2], [2, 0, 1, 3, 4, 5]);
        assert_eq!(
            build(&members),
            Err(ChainError::ExcessivelyReissued { entries: 7 })
        );
    }

    #[test]
    fn a_chosen_chain_is_taken_as_it_is_and_inherited() {
        let root = root(P256);
        let first = intermediate(&root, "Int 1", 2);
        let second = intermediate(&first, "Int 2", 3);
        let certificates = [
            root.certificate(),
            first.certificate(),
            second.certificate(),
        ];
        let mut members: Vec<_> = certificates
            .iter()
            .map(|certificate| Member {
                certificate,
                manual_chain: None,
            })
            .collect();
        members[1].manual_chain = Some(vec![1, 1]);
        assert_eq!(build(&members).unwrap(), [vec![0], vec![1, 1], vec![2, 1]]);
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(8))]

        #[test]
        fn the_order_of_the_input_changes_no_linear_chain(order in Just(vec![0, 1, 2, 3]).prop_shuffle()) {
            let root = root(P256);
            let first = intermediate(&root, "Int 1", 2);
            let second = intermediate(&first, "Int 2", 3);
            let third = intermediate(&second, "Int 3", 4);
            let line = [&third, &second, &first, &root].map(Issuer::certificate);
            let shuffled: Vec<_> = order.iter().map(|index: &usize| line[*index]).collect();
            let chains = chains(&shuffled);
            let deepest = order.iter().position(|index| *index == 0).unwrap();
            let found: Vec<_> = chains[deepest].iter().map(|position| order[*position]).collect();
            prop_assert_eq!(found, [0, 1, 2, 3]);
        }
    }
}
