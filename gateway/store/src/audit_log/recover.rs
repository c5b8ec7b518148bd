//! Opening a log: what a crash left behind is cleaned up, what anybody changed is named.
//!
//! 1. The newest good checkpoint says what the log must at least hold.
//! 2. The entries since the start of the file that holds the end of that tree are read and hashed.
//! 3. Broken bytes at the very end are a torn write and are cut, but only if nothing shows that they
//!    were durable once: no checkpoint covers them, no leaf hash was written, no later batch began.
//! 4. The tree of the cached tiles and the entries read must have the signed root. If it has not, the
//!    caches are made anew from all entries; if it still has not, the log is refused and the entry named.
//! 5. What no checkpoint covers yet is written once more: after a failed fsync the page cache may show
//!    bytes that are not on the disk.
//!
//! Older files of entries are checked when they are read, and by `AuditLog::check_everything`.

use std::fs::{self, File, OpenOptions};
use std::io::{BufWriter, Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};

use simpul_core::audit::Checkpoint;
use simpul_core::audit::tree::leaf_hash;
use simpul_core::digest::Digest;

use super::checkpoints::CheckpointFile;
use super::error::AuditError;
use super::files::{self, Found, HASH, Hashes, Layout, Records, TILE, a_batch_began_behind, stands_at};
use super::key::Signer;
use super::tree::Tree;

/// What opening a log found.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Opened {
    /// The number of entries.
    pub entries: u64,
    /// A write that a crash tore: entries that nobody was told of. They were cut.
    pub torn: Option<Torn>,
    /// Whether the cached hashes were made anew from the entries.
    pub rebuilt: bool,
}

/// A torn write at the end of the log.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Torn {
    /// The position of the first entry that is not whole.
    pub index: u64,
    /// The bytes that were cut.
    pub bytes: u64,
}

/// The files that the writer appends to.
pub(super) struct Files {
    /// The first index of the open file of entries.
    pub(super) first: u64,
    pub(super) segment_path: PathBuf,
    pub(super) segment: File,
    /// The bytes of it that are durable.
    pub(super) durable: u64,
    pub(super) leaves: File,
    pub(super) tiles: File,
}

pub(super) struct Recovered {
    pub(super) files: Files,
    pub(super) tree: Tree,
    pub(super) checkpoints: CheckpointFile,
    pub(super) signed: u64,
    pub(super) opened: Opened,
}

/// Opens the log of `layout`. Whoever calls holds the folder's lock.
pub(super) fn recover(layout: &Layout, signer: &Signer) -> Result<Recovered, AuditError> {
    let segments = layout.segments()?;
    let known = CheckpointFile::read(&layout.checkpoints(), signer.public())?;
    let Some(signed) = known.iter().max_by_key(|checkpoint| checkpoint.size).cloned() else {
        if segments > 0 && length_of(&layout.segment(0))? > 0 {
            return Err(AuditError::Contradiction { index: 0, what: "no checkpoint of this key is left" });
        }
        return begin(layout, signer);
    };
    if segments == 0 && signed.size > 0 {
        return Err(AuditError::Contradiction { index: 0, what: "the entries are missing" });
    }
    let (tail, torn) = read_tail(layout, &signed, segments)?;
    let mut rebuilt = false;
    let tree = match tree_of(layout, &signed, &tail)? {
        Some(tree) => tree,
        None => {
            rebuilt = true;
            rebuild(layout, &known, segments)?
        }
    };
    tail.rewrite(layout, &signed)?;
    let files = open_files(layout, segments.saturating_sub(1) * layout.per_segment)?;
    let opened = Opened { entries: tree.size(), torn, rebuilt };
    Ok(Recovered {
        files,
        tree,
        checkpoints: CheckpointFile::open(&layout.checkpoints())?,
        signed: signed.size,
        opened,
    })
}

/// A log without entries. Its checkpoint comes first, so that entries without any are never legitimate.
fn begin(layout: &Layout, signer: &Signer) -> Result<Recovered, AuditError> {
    let tree = Tree::default();
    let origin = signer.public().origin().clone();
    let empty = Checkpoint { origin, size: 0, root: tree.root(), extensions: vec![] };
    let note = empty.sign(signer.public(), &|message| signer.sign(message));
    for path in [layout.leaves(), layout.tiles()] {
        File::create(&path).map_err(|error| AuditError::io(&path, &error))?;
    }
    let checkpoints = CheckpointFile::create(&layout.checkpoints(), &note)?;
    Ok(Recovered { files: open_files(layout, 0)?, tree, checkpoints, signed: 0, opened: Opened::default() })
}

/// The entries from the file that holds the end of the signed tree to the end of the log.
struct Tail {
    /// The first entry read: the start of a file.
    base: u64,
    leaves: Vec<Digest>,
    /// The entry and its place in its file from which no checkpoint covers what follows.
    unsigned: (u64, u64),
}

fn read_tail(layout: &Layout, signed: &Checkpoint, segments: u64) -> Result<(Tail, Option<Torn>), AuditError> {
    let last = segments.saturating_sub(1) * layout.per_segment;
    let base = layout.segment_of(signed.size).min(last);
    let mut tail = Tail { base, leaves: Vec::new(), unsigned: (base, 0) };
    let witnessed = length_of(&layout.leaves())? / HASH;
    let mut torn = None;
    let mut first = base;
    while first <= last && segments > 0 {
        let mut records = Records::open(layout.segment(first))?;
        let found = read_segment(&mut records, &mut tail, signed.size)?;
        let index = tail.base + tail.leaves.len() as u64;
        let whole = index == first + layout.per_segment;
        if found == Found::Broken || (first < last && !whole) {
            let path = layout.segment(first);
            let was_durable = index < signed.size.max(witnessed) || first < last;
            if was_durable || a_batch_began_behind(&path, records.offset + 1)? {
                return Err(AuditError::Contradiction { index, what: "the entry is damaged" });
            }
            torn = Some(Torn { index, bytes: cut(&path, records.offset)? });
        }
        first += layout.per_segment;
    }
    let entries = tail.base + tail.leaves.len() as u64;
    if entries < signed.size.max(witnessed) {
        return Err(AuditError::Contradiction { index: entries, what: "the entries from here on are missing" });
    }
    Ok((tail, torn))
}

fn read_segment(records: &mut Records, tail: &mut Tail, signed: u64) -> Result<Found, AuditError> {
    loop {
        let (index, offset) = (tail.base + tail.leaves.len() as u64, records.offset);
        if index <= signed {
            tail.unsigned = (index, offset);
        }
        let found = records.advance()?;
        if found != Found::Record {
            return Ok(found);
        }
        if !stands_at(records.entry(), index) {
            return Err(AuditError::Contradiction { index, what: "another entry stands in its place" });
        }
        tail.leaves.push(leaf_hash(records.entry()));
    }
}

fn cut(path: &Path, length: u64) -> Result<u64, AuditError> {
    let io = |error: std::io::Error| AuditError::io(path, &error);
    let file = OpenOptions::new().write(true).open(path).map_err(io)?;
    let before = file.metadata().map_err(io)?.len();
    file.set_len(length).and_then(|()| file.sync_all()).map_err(io)?;
    Ok(before - length)
}

/// The tree of the cached tiles below the tail and of the tail. `None` if the caches do not lead to the
/// signed root. The cached hashes of the tail are brought in line with the entries.
fn tree_of(layout: &Layout, signed: &Checkpoint, tail: &Tail) -> Result<Option<Tree>, AuditError> {
    let lost = !layout.leaves().exists() || !layout.tiles().exists();
    if lost || length_of(&layout.leaves())? < tail.base * HASH {
        return Ok(None);
    }
    let Some(tiles) = read_hashes(layout.tiles(), tail.base / TILE)? else { return Ok(None) };
    let mut tree = Tree::of_tiles(tiles);
    let mut root = (tree.size() == signed.size).then(|| tree.root());
    let mut tail_tiles = Vec::new();
    for leaf in &tail.leaves {
        tail_tiles.extend(tree.push(*leaf));
        if tree.size() == signed.size {
            root = Some(tree.root());
        }
    }
    if root != Some(signed.root) {
        return Ok(None);
    }
    check_unsigned_leaves(layout, signed.size, tail)?;
    replace_hashes(&layout.leaves(), tail.base, &tail.leaves)?;
    replace_hashes(&layout.tiles(), tail.base / TILE, &tail_tiles)?;
    Ok(Some(tree))
}

/// Entries that no checkpoint covers yet must have the leaf hashes written for them. Zeroes are what a
/// power cut leaves of hashes that were not synced.
fn check_unsigned_leaves(layout: &Layout, signed: u64, tail: &Tail) -> Result<(), AuditError> {
    let mut hashes = Hashes::open(layout.leaves(), signed)?;
    for (index, leaf) in (tail.base..).zip(&tail.leaves).skip_while(|(index, _)| *index < signed) {
        match hashes.advance()? {
            Some(hash) if hash != *leaf && hash != Digest::from_bytes([0; 32]) => {
                return Err(AuditError::Contradiction { index, what: "the entry was changed" });
            }
            Some(_) => {}
            None => break,
        }
    }
    Ok(())
}

/// Makes the caches anew from all entries and checks every known checkpoint on the way.
fn rebuild(layout: &Layout, known: &[Checkpoint], segments: u64) -> Result<Tree, AuditError> {
    let mut caches = NewCaches::create(layout)?;
    let mut cached = Hashes::open(layout.leaves(), 0).ok();
    let mut changed = None;
    let mut tree = Tree::default();
    let mut vouched = 0;
    let mut known: Vec<&Checkpoint> = known.iter().collect();
    known.sort_by_key(|checkpoint| checkpoint.size);
    let mut known = known.into_iter().peekable();
    for first in (0..segments).map(|nth| nth * layout.per_segment) {
        let mut records = Records::open(layout.segment(first))?;
        while records.advance()? == Found::Record {
            let (index, leaf) = (tree.size(), leaf_hash(records.entry()));
            if !stands_at(records.entry(), index) {
                return Err(AuditError::Contradiction { index, what: "another entry stands in its place" });
            }
            let hash = cached.as_mut().and_then(|cached| cached.advance().ok().flatten());
            if hash.is_some_and(|hash| hash != leaf) {
                changed = changed.or(Some(index));
            }
            caches.add(leaf, tree.push(leaf))?;
            while let Some(checkpoint) = known.next_if(|checkpoint| checkpoint.size <= tree.size()) {
                if checkpoint.size > 0 && checkpoint.root != tree.root() {
                    let index = changed.filter(|index| *index >= vouched).unwrap_or(vouched);
                    return Err(AuditError::Contradiction { index, what: "the entry was changed" });
                }
                vouched = checkpoint.size;
            }
        }
        let expected = first + layout.per_segment;
        if tree.size() < expected && first / layout.per_segment + 1 < segments {
            return Err(AuditError::Contradiction { index: tree.size(), what: "the entry is damaged" });
        }
    }
    caches.replace(layout)?;
    Ok(tree)
}

struct NewCaches {
    paths: [PathBuf; 2],
    leaves: BufWriter<File>,
    tiles: BufWriter<File>,
}

impl NewCaches {
    fn create(layout: &Layout) -> Result<Self, AuditError> {
        let paths = [layout.leaves(), layout.tiles()].map(|path| path.with_extension("new"));
        let create = |path: &Path| File::create(path).map(BufWriter::new).map_err(|error| AuditError::io(path, &error));
        Ok(Self { leaves: create(&paths[0])?, tiles: create(&paths[1])?, paths })
    }

    fn add(&mut self, leaf: Digest, tile: Option<Digest>) -> Result<(), AuditError> {
        let leaf = self.leaves.write_all(leaf.as_bytes());
        let tile = tile.map_or(Ok(()), |tile| self.tiles.write_all(tile.as_bytes()));
        leaf.and(tile).map_err(|error| AuditError::io(&self.paths[0], &error))
    }

    fn replace(mut self, layout: &Layout) -> Result<(), AuditError> {
        let flushed = self.leaves.flush().and_then(|()| self.tiles.flush());
        flushed
            .and_then(|()| fs::rename(&self.paths[0], layout.leaves()))
            .and_then(|()| fs::rename(&self.paths[1], layout.tiles()))
            .map_err(|error| AuditError::io(&self.paths[0], &error))
    }
}

impl Tail {
    fn rewrite(&self, layout: &Layout, signed: &Checkpoint) -> Result<(), AuditError> {
        let end = self.base + self.leaves.len() as u64;
        let (index, offset) = self.unsigned;
        if end <= signed.size {
            return Ok(());
        }
        let mut from = offset;
        let mut first = layout.segment_of(index);
        while first < end {
            let path = layout.segment(first);
            rewrite(&path, from).map_err(|error| AuditError::io(&path, &error))?;
            (first, from) = (first + layout.per_segment, 0);
        }
        Ok(())
    }
}

fn rewrite(path: &Path, from: u64) -> std::io::Result<()> {
    let mut file = OpenOptions::new().read(true).write(true).open(path)?;
    let mut bytes = Vec::new();
    file.seek(SeekFrom::Start(from))?;
    file.read_to_end(&mut bytes)?;
    file.seek(SeekFrom::Start(from))?;
    file.write_all(&bytes)?;
    file.sync_all()
}

/// The first `count` hashes of a file; `None` if it has fewer.
fn read_hashes(path: PathBuf, count: u64) -> Result<Option<Vec<Digest>>, AuditError> {
    if length_of(&path)? < count * HASH {
        return Ok(None);
    }
    let mut hashes = Hashes::open(path, 0)?;
    (0..count).map(|_| hashes.advance()).collect()
}

/// Makes `hashes` those of the file from number `index` on, and ends it there.
fn replace_hashes(path: &Path, index: u64, hashes: &[Digest]) -> Result<(), AuditError> {
    let opened = OpenOptions::new().write(true).create(true).truncate(false).open(path);
    opened
        .and_then(|mut file| {
            file.set_len(index * HASH)?;
            file.seek(SeekFrom::End(0))?;
            file.write_all(&files::joined(hashes))
        })
        .map_err(|error| AuditError::io(path, &error))
}

/// The length of a file in bytes; 0 if there is none.
fn length_of(path: &Path) -> Result<u64, AuditError> {
    match fs::metadata(path) {
        Ok(metadata) => Ok(metadata.len()),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(0),
        Err(error) => Err(AuditError::io(path, &error)),
    }
}

fn open_files(layout: &Layout, first: u64) -> Result<Files, AuditError> {
    let (segment, segment_path) = open_segment(layout, first)?;
    let append = |path: PathBuf| {
        OpenOptions::new().append(true).create(true).open(&path).map_err(|error| AuditError::io(&path, &error))
    };
    let (leaves, tiles) = (append(layout.leaves())?, append(layout.tiles())?);
    files::sync_folder_of(&segment_path)?;
    Ok(Files { first, durable: length_of(&segment_path)?, segment_path, segment, leaves, tiles })
}

/// Opens the file of entries that begins with entry `first`, making it if need be. The caller syncs the folder.
pub(super) fn open_segment(layout: &Layout, first: u64) -> Result<(File, PathBuf), AuditError> {
    let path = layout.segment(first);
    let file = OpenOptions::new().append(true).create(true).open(&path);
    Ok((file.map_err(|error| AuditError::io(&path, &error))?, path))
}
