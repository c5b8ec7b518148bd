//! Reading the log: forwards, backwards, and as proofs. Every entry is compared with its leaf hash.

use std::fs::File;
use std::sync::Arc;

use simpul_core::audit::Entry;
use simpul_core::audit::tree::leaf_hash;
use simpul_core::digest::Digest;

use super::error::AuditError;
use super::files::{Found, Hashes, Records, TILE, TILE_LEVEL, entry_at};
use super::tree::{tile_root, within_tile};
use super::writer::Shared;

/// Entries in order. The first error ends the iteration.
pub struct Entries {
    shared: Arc<Shared>,
    next: u64,
    end: u64,
    open: Option<(Records, Hashes)>,
}

impl Entries {
    pub(super) fn new(shared: Arc<Shared>, start: u64, end: u64) -> Self {
        Self { shared, next: start, end, open: None }
    }

    /// The encoded bytes of the next entry.
    pub(super) fn advance(&mut self) -> Option<Result<&[u8], AuditError>> {
        if self.next >= self.end {
            return None;
        }
        if let Err(error) = self.read() {
            self.end = self.next;
            return Some(Err(error));
        }
        self.next += 1;
        self.open.as_ref().map(|(records, _)| Ok(records.entry()))
    }

    fn read(&mut self) -> Result<(), AuditError> {
        let index = self.next;
        if index.is_multiple_of(self.shared.layout.per_segment) {
            self.open = None;
        }
        let (records, hashes) = match &mut self.open {
            Some(open) => open,
            none => none.insert(seek(&self.shared, index)?),
        };
        if records.advance()? != Found::Record {
            return Err(AuditError::Contradiction { index, what: "the entry is damaged or missing" });
        }
        if hashes.advance()? != Some(leaf_hash(records.entry())) {
            return Err(AuditError::Contradiction { index, what: "the entry was changed" });
        }
        Ok(())
    }
}

fn seek(shared: &Shared, index: u64) -> Result<(Records, Hashes), AuditError> {
    let first = shared.layout.segment_of(index);
    let mut records = Records::open(shared.layout.segment(first))?;
    for _ in first..index {
        records.skip()?;
    }
    Ok((records, Hashes::open(shared.layout.leaves(), index)?))
}

fn parsed(index: u64, encoded: &[u8]) -> Result<Entry, AuditError> {
    let entry = Entry::parse(encoded).filter(|entry| entry.seq == index);
    entry.ok_or(AuditError::Contradiction { index, what: "another entry stands in its place" })
}

impl Iterator for Entries {
    type Item = Result<Entry, AuditError>;

    fn next(&mut self) -> Option<Self::Item> {
        let index = self.next;
        let entry = self.advance()?.and_then(|encoded| parsed(index, encoded));
        if entry.is_err() {
            self.end = self.next;
        }
        Some(entry)
    }
}

/// Entries from the newest to the oldest. The first error ends the iteration.
pub struct NewestFirst {
    shared: Arc<Shared>,
    /// The entry behind the one that comes next.
    end: u64,
    open: Option<(File, Vec<u64>)>,
}

impl NewestFirst {
    pub(super) const fn new(shared: Arc<Shared>, end: u64) -> Self {
        Self { shared, end, open: None }
    }

    fn read(&mut self, index: u64) -> Result<Entry, AuditError> {
        let first = self.shared.layout.segment_of(index);
        let (file, offsets) = match &mut self.open {
            Some(open) => open,
            none => none.insert(offsets(&self.shared, first, self.end)?),
        };
        let damaged = AuditError::Contradiction { index, what: "the entry is damaged or missing" };
        let (Some(end), Some(start)) = (offsets.pop(), offsets.last()) else { return Err(damaged) };
        let path = self.shared.layout.segment(first);
        let encoded = entry_at(file, *start, end).map_err(|error| AuditError::io(&path, &error))?.ok_or(damaged)?;
        if *start == 0 {
            self.open = None;
        }
        if Hashes::open(self.shared.layout.leaves(), index)?.advance()? != Some(leaf_hash(&encoded)) {
            return Err(AuditError::Contradiction { index, what: "the entry was changed" });
        }
        parsed(index, &encoded)
    }
}

/// Where the records of the file that begins with entry `first` begin, up to the end of entry `end - 1`.
fn offsets(shared: &Shared, first: u64, end: u64) -> Result<(File, Vec<u64>), AuditError> {
    let path = shared.layout.segment(first);
    let mut records = Records::open(path.clone())?;
    let mut offsets = vec![0];
    for _ in first..end {
        if !records.skip()? {
            break;
        }
        offsets.push(records.offset);
    }
    Ok((File::open(&path).map_err(|error| AuditError::io(&path, &error))?, offsets))
}

impl Iterator for NewestFirst {
    type Item = Result<Entry, AuditError>;

    fn next(&mut self) -> Option<Self::Item> {
        let index = self.end.checked_sub(1)?;
        let entry = self.read(index);
        self.end = if entry.is_ok() { index } else { 0 };
        Some(entry)
    }
}

/// The root over the leaves `n·2^level .. (n+1)·2^level`, from memory or from the file of leaf hashes.
pub(super) fn subtree(shared: &Shared, level: u32, n: u64) -> Result<Digest, AuditError> {
    let missing = AuditError::Contradiction { index: n << level, what: "its cached hashes are damaged" };
    if level >= TILE_LEVEL {
        return shared.head().tree.above_tiles(level, n).ok_or(missing);
    }
    let tile = (n << level) / TILE;
    let expected = {
        let head = shared.head();
        if let Some(leaves) = head.tree.partial_tile(tile) {
            return within_tile(leaves, level, n).ok_or(missing);
        }
        head.tree.above_tiles(TILE_LEVEL, tile)
    };
    let mut hashes = Hashes::open(shared.layout.leaves(), tile * TILE)?;
    let leaves = (0..TILE).map(|_| hashes.advance()).collect::<Result<Option<Vec<_>>, _>>()?.unwrap_or_default();
    if Some(tile_root(&leaves)) != expected {
        return Err(missing);
    }
    within_tile(&leaves, level, n).ok_or(missing)
}

/// Compares the file of leaf hashes with the tree, so that entries which match the file match the tree.
pub(super) fn check_hashes(shared: &Shared, size: u64) -> Result<(), AuditError> {
    for tile in 0..size / TILE {
        subtree(shared, TILE_LEVEL - 1, 2 * tile)?;
    }
    let partial = size - size % TILE;
    let Some(leaves) = shared.head().tree.partial_tile(partial / TILE).map(<[Digest]>::to_vec) else {
        // The tile was completed meanwhile.
        return subtree(shared, TILE_LEVEL - 1, 2 * (partial / TILE)).map(drop);
    };
    let mut hashes = Hashes::open(shared.layout.leaves(), partial)?;
    for (index, leaf) in (partial..size).zip(leaves) {
        if hashes.advance()? != Some(leaf) {
            return Err(AuditError::Contradiction { index, what: "its cached hash is damaged" });
        }
    }
    Ok(())
}
