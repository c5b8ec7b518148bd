//! The Merkle tree of RFC 6962, section 2.1, with SHA-256.
//!
//! [`Frontier`] grows the tree with one hash per level in memory. Proofs are made from complete
//! subtrees that the caller provides, and checked from hashes alone.

use sha2::{Digest as _, Sha256};

use crate::digest::Digest;

/// The most hashes a proof has: one for each level of a tree with 2^63 leaves, twice over.
pub const MAX_PROOF: usize = 128;

/// The hash of one leaf.
#[must_use]
pub fn leaf_hash(entry: &[u8]) -> Digest {
    hash(&[&[0], entry])
}

/// The hash of an inner node.
#[must_use]
pub fn node_hash(left: &Digest, right: &Digest) -> Digest {
    hash(&[&[1], left.as_bytes(), right.as_bytes()])
}

pub(super) fn hash(parts: &[&[u8]]) -> Digest {
    let mut hasher = Sha256::new();
    parts.iter().for_each(|part| hasher.update(part));
    Digest::from_bytes(hasher.finalize().into())
}

/// The right edge of a growing tree: the roots of its complete subtrees, the largest first.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Frontier {
    size: u64,
    peaks: Vec<Digest>,
}

impl Frontier {
    /// The right edge of the tree whose leaves are exactly those below the given complete subtrees of
    /// 2^`level` leaves each.
    #[must_use]
    pub fn of_subtrees(level: u32, subtrees: impl IntoIterator<Item = Digest>) -> Self {
        let mut frontier = Self::default();
        subtrees.into_iter().for_each(|subtree| frontier.push(subtree));
        frontier.size <<= level;
        frontier
    }

    /// The number of leaves.
    #[must_use]
    pub const fn size(&self) -> u64 {
        self.size
    }

    /// Adds one leaf on the right.
    pub fn push(&mut self, leaf: Digest) {
        let mut node = leaf;
        for _ in 0..self.size.trailing_ones() {
            // A set bit of the size is a complete subtree, and each of them has its peak.
            let Some(left) = self.peaks.pop() else { break };
            node = node_hash(&left, &node);
        }
        self.peaks.push(node);
        self.size += 1;
    }

    /// The root of the tree; of an empty tree, the hash of nothing.
    #[must_use]
    pub fn root(&self) -> Digest {
        self.peaks.iter().rev().copied().reduce(|right, left| node_hash(&left, &right)).unwrap_or_else(|| hash(&[]))
    }
}

/// The hash over the leaves `start..end`, which form a subtree of an RFC 6962 tree. `subtree(level, n)`
/// answers the root over the leaves `n·2^level .. (n+1)·2^level`.
fn range_hash<E>(start: u64, end: u64, subtree: &mut impl FnMut(u32, u64) -> Result<Digest, E>) -> Result<Digest, E> {
    let width = end - start;
    if width.is_power_of_two() {
        let level = width.trailing_zeros();
        return subtree(level, start >> level);
    }
    let middle = start + split(width);
    Ok(node_hash(&range_hash(start, middle, subtree)?, &range_hash(middle, end, subtree)?))
}

/// The largest power of two smaller than `width`, which is at least 2.
const fn split(width: u64) -> u64 {
    1 << (width - 1).ilog2()
}

/// The root over the first `size` leaves.
///
/// # Errors
/// The first error of `subtree`.
pub fn root_of<E>(size: u64, mut subtree: impl FnMut(u32, u64) -> Result<Digest, E>) -> Result<Digest, E> {
    if size == 0 { Ok(hash(&[])) } else { range_hash(0, size, &mut subtree) }
}

/// The proof that leaf `index` is in the tree of the first `size` leaves, the leaf's sibling first.
/// Empty when `index` is not below `size`.
///
/// # Errors
/// The first error of `subtree`, which answers as for [`root_of`].
pub fn inclusion_proof<E>(
    index: u64,
    size: u64,
    mut subtree: impl FnMut(u32, u64) -> Result<Digest, E>,
) -> Result<Vec<Digest>, E> {
    let mut proof = Vec::new();
    let (mut start, mut end) = (0, if index < size { size } else { 0 });
    while end - start > 1 {
        let middle = start + split(end - start);
        if index < middle {
            proof.push(range_hash(middle, end, &mut subtree)?);
            end = middle;
        } else {
            proof.push(range_hash(start, middle, &mut subtree)?);
            start = middle;
        }
    }
    proof.reverse();
    Ok(proof)
}

/// The proof that the tree of the first `old` leaves is the beginning of the tree of the first `new`.
/// Empty when `old` is 0 or not below `new`.
///
/// # Errors
/// The first error of `subtree`, which answers as for [`root_of`].
pub fn consistency_proof<E>(
    old: u64,
    new: u64,
    mut subtree: impl FnMut(u32, u64) -> Result<Digest, E>,
) -> Result<Vec<Digest>, E> {
    let mut proof = Vec::new();
    if old == 0 || old >= new {
        return Ok(proof);
    }
    let (mut start, mut end) = (0, new);
    while end != old {
        let middle = start + split(end - start);
        if old <= middle {
            proof.push(range_hash(middle, end, &mut subtree)?);
            end = middle;
        } else {
            proof.push(range_hash(start, middle, &mut subtree)?);
            start = middle;
        }
    }
    // The old root is known to the verifier; the old tree's last subtree is not, unless it is the whole.
    if start > 0 {
        proof.push(range_hash(start, end, &mut subtree)?);
    }
    proof.reverse();
    Ok(proof)
}

/// Whether `proof` shows that `leaf` stands at `index` in the tree of `size` leaves with this `root`.
#[must_use]
pub fn verify_inclusion(leaf: Digest, index: u64, size: u64, proof: &[Digest], root: &Digest) -> bool {
    if index >= size {
        return false;
    }
    let (mut position, mut last, mut node) = (index, size - 1, leaf);
    for sibling in proof {
        if last == 0 {
            return false;
        }
        if position & 1 == 1 || position == last {
            node = node_hash(sibling, &node);
            // A node without right sibling rises unchanged to the level where it is a right child.
            while position & 1 == 0 && position != 0 {
                position >>= 1;
                last >>= 1;
            }
        } else {
            node = node_hash(&node, sibling);
        }
        position >>= 1;
        last >>= 1;
    }
    last == 0 && node == *root
}

/// Whether `proof` shows that the tree of `old` leaves with `old_root` is the beginning of the tree of
/// `new` leaves with `new_root`.
#[must_use]
pub fn verify_consistency(old: u64, old_root: &Digest, new: u64, new_root: &Digest, proof: &[Digest]) -> bool {
    if old > new {
        return false;
    }
    if old == new || old == 0 {
        let empty_is_empty = old != 0 || *old_root == hash(&[]);
        return proof.is_empty() && empty_is_empty && (old != new || old_root == new_root);
    }
    let mut hashes = proof.iter().copied();
    let first = if old.is_power_of_two() { Some(*old_root) } else { hashes.next() };
    let Some(first) = first else { return false };
    let rising = (old - 1).trailing_ones();
    let (mut position, mut last) = ((old - 1) >> rising, (new - 1) >> rising);
    let (mut old_node, mut new_node) = (first, first);
    for sibling in hashes {
        if last == 0 {
            return false;
        }
        if position & 1 == 1 || position == last {
            old_node = node_hash(&sibling, &old_node);
            new_node = node_hash(&sibling, &new_node);
            while position & 1 == 0 && position != 0 {
                position >>= 1;
                last >>= 1;
            }
        } else {
            new_node = node_hash(&new_node, &sibling);
        }
        position >>= 1;
        last >>= 1;
    }
    last == 0 && old_node == *old_root && new_node == *new_root
}

#[cfg(test)]
mod tests {
    use std::convert::Infallible;

    use proptest::prelude::*;

    use super::*;

    /// MTH of RFC 6962, as the text defines it.
    fn naive(leaves: &[Digest]) -> Digest {
        match leaves {
            [] => Digest::of(b""),
            [leaf] => *leaf,
            _ => {
                let mut k = 1;
                while k * 2 < leaves.len() {
                    k *= 2;
                }
                node_hash(&naive(&leaves[..k]), &naive(&leaves[k..]))
            }
        }
    }

    fn leaves(count: u64) -> Vec<Digest> {
        (0..count).map(|n| leaf_hash(&n.to_be_bytes())).collect()
    }

    fn subtrees(leaves: &[Digest]) -> impl FnMut(u32, u64) -> Result<Digest, Infallible> {
        |level, n| {
            let (start, width) = (usize::try_from(n << level).unwrap(), 1_usize << level);
            Ok(naive(&leaves[start..start + width]))
        }
    }

    #[test]
    fn the_empty_tree_and_the_empty_leaf_have_the_hashes_of_the_standard() {
        let hex = |text: &str| Digest::from_hex(text).unwrap();
        assert_eq!(Frontier::default().root(), hex("e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"));
        assert_eq!(leaf_hash(b""), hex("6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d"));
    }

    #[test]
    fn the_frontier_has_the_root_of_the_definition_at_every_size() {
        let leaves = leaves(300);
        let mut frontier = Frontier::default();
        for (count, leaf) in leaves.iter().enumerate() {
            assert_eq!(frontier.root(), naive(&leaves[..count]));
            assert_eq!(root_of(count as u64, subtrees(&leaves)), Ok(frontier.root()));
            frontier.push(*leaf);
        }
    }

    #[test]
    fn a_frontier_of_subtrees_grows_like_one_of_leaves() {
        let leaves = leaves(7 * 16 + 5);
        let mut frontier = Frontier::of_subtrees(4, leaves.chunks_exact(16).map(naive));
        assert_eq!(frontier.root(), naive(&leaves[..7 * 16]));
        leaves[7 * 16..].iter().for_each(|leaf| frontier.push(*leaf));
        assert_eq!((frontier.size(), frontier.root()), (7 * 16 + 5, naive(&leaves)));
    }

    #[test]
    fn every_small_tree_proves_every_leaf_and_every_prefix() {
        for size in 1..=40_u64 {
            let all = leaves(size);
            let root = naive(&all);
            for index in 0..size {
                let proof = inclusion_proof(index, size, subtrees(&all)).unwrap();
                let leaf = all[usize::try_from(index).unwrap()];
                assert!(verify_inclusion(leaf, index, size, &proof, &root), "{index} of {size}");
                assert!(!verify_inclusion(leaf, index + 1, size, &proof, &root));
                let old = index + 1;
                let old_root = naive(&all[..usize::try_from(old).unwrap()]);
                let proof = consistency_proof(old, size, subtrees(&all)).unwrap();
                assert!(verify_consistency(old, &old_root, size, &root, &proof), "{old} of {size}");
            }
        }
    }

    proptest! {
        #[test]
        fn a_proof_about_another_tree_is_refused(
            size in 2_u64..200, at in any::<prop::sample::Index>(), bit in 0_usize..256, which in any::<prop::sample::Index>(),
        ) {
            let all = leaves(size);
            let root = naive(&all);
            let index = at.index(usize::try_from(size).unwrap());
            let good = inclusion_proof(index as u64, size, subtrees(&all)).unwrap();
            prop_assert!(verify_inclusion(all[index], index as u64, size, &good, &root));
            let mut bad = good.clone();
            let place = which.index(bad.len());
            let mut bytes = *bad[place].as_bytes();
            bytes[bit / 8] ^= 1 << (bit % 8);
            bad[place] = Digest::from_bytes(bytes);
            prop_assert!(!verify_inclusion(all[index], index as u64, size, &bad, &root));
            prop_assert!(!verify_inclusion(all[index], index as u64, size, &good[1..], &root));

            let old = index as u64 + 1;
            let mut forked = all.clone();
            forked[index] = leaf_hash(b"another past");
            let old_root = naive(&forked[..=index]);
            let proof = consistency_proof(old, size, subtrees(&all)).unwrap();
            prop_assert!(!verify_consistency(old, &old_root, size, &root, &proof));
            let proof = consistency_proof(old, size, subtrees(&forked)).unwrap();
            prop_assert!(!verify_consistency(old, &old_root, size, &root, &proof));
        }

        #[test]
        fn no_proof_of_foreign_hashes_panics(old in any::<u64>(), new in any::<u64>(), count in 0_u64..70) {
            let (proof, root) = (leaves(count), leaf_hash(b"x"));
            prop_assert!(!verify_inclusion(root, old, new, &proof, &leaf_hash(b"y")));
            prop_assert!(!verify_consistency(old, &root, new, &leaf_hash(b"y"), &proof));
        }
    }
}
