//! Every key of a file, exactly, in little memory.
//!
//! A [`KeyIndex`] holds eight bytes for a key: a piece of its hash, and where the key itself stands in the [`KeyLog`], which is
//! read only where the pieces of two hashes meet. The hash is keyed anew for each file, so that nobody can choose keys that
//! meet; and if they met, it would cost time and not the result. The log may lie outside memory ([`KeyStore`]).

use std::hash::{BuildHasher as _, RandomState};
use std::io;

/// Where the keys of a large file are kept outside memory: a file without a name, as a rule.
///
/// An error of it ends the check as a fault of the reader, not of what is read: whoever passes a store in has to remember its
/// error and look for it there.
pub trait KeyStore: Send {
    /// Adds `bytes` behind what is there.
    ///
    /// # Errors
    /// When they cannot be kept.
    fn append(&mut self, bytes: &[u8]) -> io::Result<()>;

    /// Fills `out` with what stands from byte `at` on; it was added before.
    ///
    /// # Errors
    /// When it cannot be read.
    fn read(&mut self, at: u64, out: &mut [u8]) -> io::Result<()>;
}

/// Why no further key can be taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum KeysStop {
    /// The keys of a file need more memory than the limit.
    Full,
    /// The store failed.
    Store,
}

/// Bytes of the log that are kept, and moved to the store, at once.
const CHUNK: usize = 1 << CHUNK_BITS;
const CHUNK_BITS: u32 = 20;
/// Chunks that stay in memory although there is a store: a small file needs none.
const CHUNKS_KEPT: usize = 8;
/// The longest form of the two numbers before a key.
const HEAD: usize = 15;

/// The keys one after the other, each with the row where it came first.
#[derive(Default)]
pub(crate) struct KeyLog {
    chunks: Vec<Chunk>,
    store: Option<Box<dyn KeyStore>>,
    stored: u64,
    /// Bytes in memory.
    held: usize,
    /// What was read last from the store.
    buffer: Vec<u8>,
}

enum Chunk {
    Here(Vec<u8>),
    /// Its place in the store, and its length.
    Stored(u64, usize),
}

impl KeyLog {
    /// Moves all but the first keys to `store`, from now on.
    pub(crate) fn spill(&mut self, store: Box<dyn KeyStore>) {
        self.store = Some(store);
    }

    /// Bytes held in memory.
    pub(crate) const fn size(&self) -> usize {
        self.held
    }

    /// Adds a key; says where it stands.
    fn add(&mut self, key: &[u8], row: u64) -> Result<u64, KeysStop> {
        let full = match self.chunks.last() {
            Some(Chunk::Here(bytes)) => bytes.len() + HEAD + key.len() > CHUNK,
            _ => true,
        };
        if full {
            self.close()?;
            // The first one may stay small.
            let room = if self.chunks.is_empty() { 0 } else { CHUNK.max(HEAD + key.len()) };
            self.chunks.push(Chunk::Here(Vec::with_capacity(room)));
        }
        let number = self.chunks.len() as u64 - 1;
        let Some(Chunk::Here(bytes)) = self.chunks.last_mut() else { return Err(KeysStop::Full) };
        let start = bytes.len();
        write_number(row, bytes);
        write_number(key.len() as u64, bytes);
        bytes.extend_from_slice(key);
        self.held += bytes.len() - start;
        Ok(number << CHUNK_BITS | start as u64)
    }

    /// The last chunk is full.
    fn close(&mut self) -> Result<(), KeysStop> {
        let kept = self.chunks.len() <= CHUNKS_KEPT;
        if let (Some(store), Some(Chunk::Here(bytes))) = (&mut self.store, self.chunks.last_mut())
            && !kept
        {
            store.append(bytes).map_err(|_| KeysStop::Store)?;
            let (at, length) = (self.stored, bytes.len());
            self.stored += length as u64;
            self.held -= length;
            if let Some(last) = self.chunks.last_mut() {
                *last = Chunk::Stored(at, length);
            }
        }
        Ok(())
    }

    /// The row of the key at a place, if it is this key.
    fn row_of(&mut self, at: u64, key: &[u8]) -> Result<Option<u64>, KeysStop> {
        let (number, offset) = ((at >> CHUNK_BITS) as usize, (at & (CHUNK as u64 - 1)) as usize);
        let bytes = match self.chunks.get(number) {
            Some(Chunk::Here(bytes)) => bytes.get(offset..).unwrap_or_default(),
            Some(Chunk::Stored(start, length)) => {
                let wanted = (HEAD + key.len()).min(length.saturating_sub(offset));
                self.buffer.resize(wanted, 0);
                let store = self.store.as_mut().ok_or(KeysStop::Store)?;
                store.read(start + offset as u64, &mut self.buffer).map_err(|_| KeysStop::Store)?;
                self.buffer.as_slice()
            }
            None => return Err(KeysStop::Store),
        };
        let row = read_number(bytes).and_then(|(row, rest)| {
            let (length, rest) = read_number(rest)?;
            (length == key.len() as u64 && rest.get(..key.len())? == key).then_some(row)
        });
        Ok(row)
    }
}

/// Writes a number seven bits a byte, the lowest first.
fn write_number(mut number: u64, out: &mut Vec<u8>) {
    while number >= 0x80 {
        out.push(number as u8 | 0x80);
        number >>= 7;
    }
    out.push(number as u8);
}

fn read_number(bytes: &[u8]) -> Option<(u64, &[u8])> {
    let mut number = 0;
    for (index, byte) in bytes.iter().enumerate().take(10) {
        number |= u64::from(byte & 0x7f) << (7 * index);
        if byte & 0x80 == 0 {
            return Some((number, bytes.get(index + 1..)?));
        }
    }
    None
}

/// Parts of an index, by the first bits of the hash. Each grows by itself, so that growing needs little memory.
const PARTS: usize = 1 << PART_BITS;
const PART_BITS: u32 = 10;
/// Bits of the hash that stand in a slot, and bits of the place behind them.
const TAG_BITS: u32 = 24;
const PLACE_BITS: u32 = 40;
/// The smallest part that is not empty.
const FEWEST: usize = 8;
/// The most slots of a part.
const MOST: usize = 1 << TAG_BITS;

/// Which keys there are. A slot is 0 when it is empty, else a piece of the hash above the place of the key plus one.
pub(crate) struct KeyIndex {
    parts: Vec<Part>,
    slots: usize,
    hasher: RandomState,
}

#[derive(Clone, Default)]
struct Part {
    slots: Vec<u64>,
    held: usize,
}

impl KeyIndex {
    pub(crate) fn new() -> Self {
        Self { parts: Vec::new(), slots: 0, hasher: RandomState::new() }
    }

    /// The hash of a key in this index.
    #[inline]
    pub(crate) fn hash(&self, key: &[u8]) -> u64 {
        self.hasher.hash_one(key)
    }

    /// Looks where a key would stand, so that the memory is near when the key comes. The result means nothing.
    #[inline]
    pub(crate) fn touch(&self, hash: u64) -> u64 {
        let part = self.parts.get(part_of(hash));
        part.and_then(|part| part.slots.get(home(tag_of(hash), part.slots.len()))).copied().unwrap_or_default()
    }

    /// Adds a key, whose hash is given; if it was there, the row where it came first.
    pub(crate) fn insert(
        &mut self,
        log: &mut KeyLog,
        hash: u64,
        key: &[u8],
        row: u64,
    ) -> Result<Option<u64>, KeysStop> {
        if self.parts.is_empty() {
            self.parts = vec![Part::default(); PARTS];
        }
        let part = self.parts.get_mut(part_of(hash)).ok_or(KeysStop::Full)?;
        if (part.held + 1) * 8 > part.slots.len() * 7 {
            self.slots += part.grow()?;
        }
        let tag = tag_of(hash);
        let mut at = home(tag, part.slots.len());
        // There always is an empty slot.
        while let Some(slot) = part.slots.get_mut(at) {
            if *slot == 0 {
                let place = log.add(key, row)? + 1;
                if place >> PLACE_BITS != 0 {
                    return Err(KeysStop::Full);
                }
                *slot = tag << PLACE_BITS | place;
                part.held += 1;
                return Ok(None);
            }
            if *slot >> PLACE_BITS == tag
                && let Some(first) = log.row_of((*slot & ((1 << PLACE_BITS) - 1)) - 1, key)?
            {
                return Ok(Some(first));
            }
            at = if at + 1 == part.slots.len() { 0 } else { at + 1 };
        }
        Err(KeysStop::Full)
    }

    /// Bytes held, without the log.
    pub(crate) fn size(&self) -> usize {
        self.slots * size_of::<u64>() + self.parts.len() * size_of::<Part>()
    }
}

impl Part {
    /// Makes room; says how many slots are new.
    fn grow(&mut self) -> Result<usize, KeysStop> {
        let before = self.slots.len();
        let size = (before + before / 2).max(FEWEST);
        if size > MOST {
            return Err(KeysStop::Full);
        }
        let old = std::mem::replace(&mut self.slots, vec![0; size]);
        for slot in old.into_iter().filter(|slot| *slot != 0) {
            let mut at = home(slot >> PLACE_BITS, size);
            while self.slots.get(at).is_some_and(|taken| *taken != 0) {
                at = if at + 1 == size { 0 } else { at + 1 };
            }
            if let Some(free) = self.slots.get_mut(at) {
                *free = slot;
            }
        }
        Ok(size - before)
    }
}

const fn part_of(hash: u64) -> usize {
    (hash >> (u64::BITS - PART_BITS)) as usize
}

const fn tag_of(hash: u64) -> u64 {
    hash >> (u64::BITS - PART_BITS - TAG_BITS) & ((1 << TAG_BITS) - 1)
}

/// The slot where the search for a tag begins, spread evenly over any number of slots.
const fn home(tag: u64, slots: usize) -> usize {
    ((tag * slots as u64) >> TAG_BITS) as usize
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A store in memory that may fail.
    struct Kept(Vec<u8>, bool);

    impl KeyStore for Kept {
        fn append(&mut self, bytes: &[u8]) -> io::Result<()> {
            if self.1 {
                return Err(io::Error::other("no room"));
            }
            self.0.extend_from_slice(bytes);
            Ok(())
        }

        fn read(&mut self, at: u64, out: &mut [u8]) -> io::Result<()> {
            let at = at as usize;
            out.copy_from_slice(&self.0[at..at + out.len()]);
            Ok(())
        }
    }

    fn log(store: Option<bool>) -> KeyLog {
        let mut log = KeyLog::default();
        if let Some(fails) = store {
            log.spill(Box::new(Kept(Vec::new(), fails)));
        }
        log
    }

    proptest::proptest! {
        #[test]
        fn the_index_knows_exactly_what_it_saw_and_where_first(
            keys in proptest::collection::vec("[ab]{0,3}", 0..60),
            same_hash in proptest::bool::ANY,
        ) {
            let (mut index, mut log) = (KeyIndex::new(), log(None));
            for (row, key) in keys.iter().enumerate() {
                let first = keys.iter().take(row).position(|earlier| earlier == key).map(|first| first as u64);
                // Hashes that all meet cost time and nothing else.
                let hash = if same_hash { u64::MAX } else { index.hash(key.as_bytes()) };
                let found = index.insert(&mut log, hash, key.as_bytes(), row as u64).unwrap();
                proptest::prop_assert_eq!(found, first);
            }
        }
    }

    #[test]
    fn keys_outside_memory_are_found_again_and_small_memory_is_enough() {
        let (mut index, mut log) = (KeyIndex::new(), log(Some(false)));
        let key = |number: u64| format!("{:0width$}", number, width = 40 + (number % 7) as usize * 3);
        let long = "x".repeat(3 << 20);
        let mut insert = |key: &str, row: u64| {
            let hash = index.hash(key.as_bytes());
            index.insert(&mut log, hash, key.as_bytes(), row).unwrap()
        };
        assert_eq!(insert(&long, 7), None);
        let count = 300_000;
        for number in 0..count {
            assert_eq!(insert(&key(number), number + 100), None);
        }
        for number in (0..count).step_by(37) {
            assert_eq!(insert(&key(number), 1), Some(number + 100));
        }
        assert_eq!(insert(&long, 8), Some(7));
        assert_eq!(insert(&long[1..], 9), None);
        assert!(log.stored > 5 << 20 && log.size() < (CHUNKS_KEPT + 6) * CHUNK, "{} {}", log.stored, log.size());
        assert!(index.size() < 300_000 * 8 * 2, "{}", index.size());
    }

    #[test]
    fn a_store_that_fails_is_told() {
        let (mut index, mut log) = (KeyIndex::new(), log(Some(true)));
        let mut number = 0_u64;
        let stop = loop {
            let key = number.to_le_bytes().repeat(4000);
            let hash = index.hash(&key);
            if let Err(stop) = index.insert(&mut log, hash, &key, number) {
                break stop;
            }
            number += 1;
        };
        assert_eq!(stop, KeysStop::Store);
        assert!(number as usize * 32_000 > (CHUNKS_KEPT - 1) * CHUNK);
    }
}
