//! The tree in memory: its right edge, and one hash for each 256 entries for making proofs.

use simpul_core::audit::tree::{Frontier, node_hash};
use simpul_core::digest::Digest;

use super::files::{TILE, TILE_LEVEL};

/// The tree over the durable entries: 0.125 bytes of memory for each.
#[derive(Clone, Debug, Default)]
pub(super) struct Tree {
    frontier: Frontier,
    tiles: Vec<Digest>,
    /// The leaves behind the last whole tile.
    partial: Vec<Digest>,
}

impl Tree {
    pub(super) fn of_tiles(tiles: Vec<Digest>) -> Self {
        Self { frontier: Frontier::of_subtrees(TILE_LEVEL, tiles.iter().copied()), tiles, partial: Vec::new() }
    }

    /// Adds a leaf. Answers the hash of the tile that it completes.
    pub(super) fn push(&mut self, leaf: Digest) -> Option<Digest> {
        self.frontier.push(leaf);
        self.partial.push(leaf);
        if self.partial.len() as u64 != TILE {
            return None;
        }
        let tile = tile_root(&self.partial);
        self.partial.clear();
        self.tiles.push(tile);
        Some(tile)
    }

    pub(super) const fn size(&self) -> u64 {
        self.frontier.size()
    }

    pub(super) fn root(&self) -> Digest {
        self.frontier.root()
    }

    /// The root over whole tiles: the leaves `n·2^level .. (n+1)·2^level`. `None` if not all are there or
    /// the level is below that of a tile.
    pub(super) fn above_tiles(&self, level: u32, n: u64) -> Option<Digest> {
        if level <= TILE_LEVEL {
            let tile = self.tiles.get(usize::try_from(n).ok()?)?;
            return (level == TILE_LEVEL).then_some(*tile);
        }
        Some(node_hash(&self.above_tiles(level - 1, 2 * n)?, &self.above_tiles(level - 1, 2 * n + 1)?))
    }

    /// The leaves behind the last whole tile, if that is tile `n`.
    pub(super) fn partial_tile(&self, n: u64) -> Option<&[Digest]> {
        (n == self.tiles.len() as u64).then_some(self.partial.as_slice())
    }
}

/// The root over the leaves of one tile.
pub(super) fn tile_root(leaves: &[Digest]) -> Digest {
    let mut frontier = Frontier::default();
    leaves.iter().for_each(|leaf| frontier.push(*leaf));
    frontier.root()
}

/// The root over the leaves `n·2^level ..` of the tile that holds them.
pub(super) fn within_tile(leaves: &[Digest], level: u32, n: u64) -> Option<Digest> {
    let start = usize::try_from((n << level) % TILE).ok()?;
    let leaves = leaves.get(start..start + (1 << level))?;
    Some(tile_root(leaves))
}
