//! The files of the log and the shape of a record.
//!
//! - `entries-<first index>.log`: records, [`PER_SEGMENT`] of them in each file but the last.
//! - `leaves`: the leaf hash of each entry, 32 bytes each. A cache, but also a witness: a hash is
//!   written only after its entry is durable.
//! - `tiles`: the root over each 256 leaves, 32 bytes each. A cache. Both files hold what C2SP
//!   `tlog-tiles` calls the full tiles of level 0 and 1, one after the other.
//! - `checkpoints`: signed notes, one a line, the newest last.
//!
//! A record is the length of the entry (u32, little endian), the CRC-32C of length, flag and entry (u32,
//! little endian), a flag (1 for the first entry of a batch, else 0), and the entry's bytes. A batch is
//! written and synced as one, so a flagged record is proof that everything before it was durable.

use std::fs::{self, File};
use std::io::{self, BufReader, Read, Seek, SeekFrom};
use std::path::{Path, PathBuf};

use simpul_core::audit::MAX_ENTRY_BYTES;
use simpul_core::digest::Digest;

use super::error::AuditError;

/// Entries in one file of entries.
pub(super) const PER_SEGMENT: u64 = 65_536;
/// Leaves under one hash of the file `tiles`, as a power of two.
pub(super) const TILE_LEVEL: u32 = 8;
pub(super) const TILE: u64 = 1 << TILE_LEVEL;
/// Bytes of a hash on disk.
pub(super) const HASH: u64 = 32;
/// Bytes of a record before the entry.
pub(super) const HEADER: usize = 9;
const FIRST: u8 = 1;

/// Where the files are.
#[derive(Clone, Debug)]
pub(super) struct Layout {
    pub(super) dir: PathBuf,
    pub(super) per_segment: u64,
}

impl Layout {
    pub(super) fn segment(&self, first: u64) -> PathBuf {
        self.dir.join(format!("entries-{first:020}.log"))
    }

    pub(super) fn segment_of(&self, index: u64) -> u64 {
        index - index % self.per_segment
    }

    pub(super) fn leaves(&self) -> PathBuf {
        self.dir.join("leaves")
    }

    pub(super) fn tiles(&self) -> PathBuf {
        self.dir.join("tiles")
    }

    pub(super) fn checkpoints(&self) -> PathBuf {
        self.dir.join("checkpoints")
    }

    /// The number of files of entries. They must be there without a gap.
    pub(super) fn segments(&self) -> Result<u64, AuditError> {
        let io = |error: io::Error| AuditError::io(&self.dir, &error);
        let mut firsts = Vec::new();
        for item in fs::read_dir(&self.dir).map_err(io)? {
            let name = item.map_err(io)?.file_name();
            let digits = name.to_str().and_then(|name| name.strip_prefix("entries-")?.strip_suffix(".log"));
            firsts.extend(digits.and_then(|digits| digits.parse::<u64>().ok()));
        }
        firsts.sort_unstable();
        for (first, expected) in firsts.iter().zip((0_u64..).map(|nth| nth * self.per_segment)) {
            if *first != expected {
                return Err(AuditError::Contradiction { index: expected, what: "a file of entries is missing" });
            }
        }
        Ok(firsts.len() as u64)
    }
}

/// Makes the name of `path` durable in its folder.
pub(super) fn sync_folder_of(path: &Path) -> Result<(), AuditError> {
    let folder = path.parent().unwrap_or(Path::new("."));
    File::open(folder).and_then(|folder| folder.sync_all()).map_err(|error| AuditError::io(folder, &error))
}

fn checksum(length: [u8; 4], flag: u8, entry: &[u8]) -> u32 {
    let head = [length[0], length[1], length[2], length[3], flag];
    crc32c::crc32c_append(crc32c::crc32c(&head), entry)
}

/// Appends a record to `buffer`.
pub(super) fn push_record(buffer: &mut Vec<u8>, entry: &[u8], first: bool) {
    let length = u32::try_from(entry.len()).unwrap_or(u32::MAX).to_le_bytes();
    let flag = if first { FIRST } else { 0 };
    buffer.extend(length);
    buffer.extend(checksum(length, flag, entry).to_le_bytes());
    buffer.push(flag);
    buffer.extend(entry);
}

/// The entry in the record at the start of `bytes` and whether it began a batch.
fn parse_record(bytes: &[u8]) -> Option<(&[u8], bool)> {
    let (head, rest) = bytes.split_first_chunk::<HEADER>()?;
    let [a, b, c, d, e, f, g, h, flag] = *head;
    let length = usize::try_from(u32::from_le_bytes([a, b, c, d])).ok()?;
    let entry = rest.get(..length).filter(|_| length <= MAX_ENTRY_BYTES && flag <= FIRST)?;
    (checksum([a, b, c, d], flag, entry) == u32::from_le_bytes([e, f, g, h])).then_some((entry, flag == FIRST))
}

/// Whether `entry` says of itself that it stands at `index`.
pub(super) fn stands_at(entry: &[u8], index: u64) -> bool {
    entry.starts_with(format!("{{\"seq\":{index},").as_bytes())
}

/// What a reader of records found.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Found {
    /// A record; its entry is in the reader's buffer.
    Record,
    /// The end of the file.
    End,
    /// Bytes that are no record, up to the end of the file or not.
    Broken,
}

/// Reads the records of one file in order.
pub(super) struct Records {
    path: PathBuf,
    reader: BufReader<File>,
    record: Vec<u8>,
    /// Where the next record begins.
    pub(super) offset: u64,
}

impl Records {
    pub(super) fn open(path: PathBuf) -> Result<Self, AuditError> {
        let file = File::open(&path).map_err(|error| AuditError::io(&path, &error))?;
        Ok(Self { path, reader: BufReader::with_capacity(128 * 1024, file), record: Vec::new(), offset: 0 })
    }

    /// Reads the next record.
    pub(super) fn advance(&mut self) -> Result<Found, AuditError> {
        self.read().map_err(|error| AuditError::io(&self.path, &error))
    }

    fn read(&mut self) -> io::Result<Found> {
        self.record.clear();
        if (&mut self.reader).take(HEADER as u64).read_to_end(&mut self.record)? == 0 {
            return Ok(Found::End);
        }
        let Some(length) = self.record.first_chunk::<4>().map(|length| u32::from_le_bytes(*length)) else {
            return Ok(Found::Broken);
        };
        if length as usize > MAX_ENTRY_BYTES {
            return Ok(Found::Broken);
        }
        (&mut self.reader).take(u64::from(length)).read_to_end(&mut self.record)?;
        if parse_record(&self.record).is_none() {
            return Ok(Found::Broken);
        }
        self.offset += self.record.len() as u64;
        Ok(Found::Record)
    }

    /// The bytes of the entry read last.
    pub(super) fn entry(&self) -> &[u8] {
        self.record.get(HEADER..).unwrap_or_default()
    }

    /// Passes over a record without checking it. False at the end of the file.
    pub(super) fn skip(&mut self) -> Result<bool, AuditError> {
        let mut head = [0; HEADER];
        let skipped = match self.reader.read_exact(&mut head) {
            Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => return Ok(false),
            Err(error) => Err(error),
            Ok(()) => {
                let length = u32::from_le_bytes([head[0], head[1], head[2], head[3]]);
                self.offset += HEADER as u64 + u64::from(length);
                self.reader.seek_relative(i64::from(length))
            }
        };
        skipped.map(|()| true).map_err(|error| AuditError::io(&self.path, &error))
    }
}

/// Reads the record at `offset` of `file`, whose length is at most that of the longest record.
pub(super) fn entry_at(file: &File, offset: u64, end: u64) -> io::Result<Option<Vec<u8>>> {
    use std::os::unix::fs::FileExt;
    let longest = (HEADER + MAX_ENTRY_BYTES) as u64;
    let length = usize::try_from(end.saturating_sub(offset).min(longest)).unwrap_or(0);
    let mut bytes = vec![0; length];
    file.read_exact_at(&mut bytes, offset)?;
    Ok(parse_record(&bytes).map(|(entry, _)| entry.to_vec()))
}

/// Whether a record that began a batch stands anywhere behind `offset`: then what stands at `offset` was
/// durable once, and a crash cannot explain that it is broken.
pub(super) fn a_batch_began_behind(path: &Path, offset: u64) -> Result<bool, AuditError> {
    let io = |error: io::Error| AuditError::io(path, &error);
    let mut file = File::open(path).map_err(io)?;
    file.seek(SeekFrom::Start(offset)).map_err(io)?;
    let (mut window, mut chunk) = (Vec::new(), vec![0; 1 << 20]);
    loop {
        let read = file.read(&mut chunk).map_err(io)?;
        window.extend(&chunk[..read]);
        let last = read == 0;
        let keep = if last { 0 } else { HEADER + MAX_ENTRY_BYTES };
        let searched = window.len().saturating_sub(keep);
        if (0..searched).any(|at| parse_record(&window[at..]).is_some_and(|(entry, first)| first && !entry.is_empty()))
        {
            return Ok(true);
        }
        if last {
            return Ok(false);
        }
        window.drain(..searched);
    }
}

/// Hashes as a file holds them.
pub(super) fn joined(hashes: &[Digest]) -> Vec<u8> {
    hashes.iter().flat_map(|hash| *hash.as_bytes()).collect()
}

/// Reads hash number `index` and those after it from a file of hashes.
pub(super) struct Hashes {
    path: PathBuf,
    reader: BufReader<File>,
}

impl Hashes {
    pub(super) fn open(path: PathBuf, index: u64) -> Result<Self, AuditError> {
        let io = |error: io::Error| AuditError::io(&path, &error);
        let mut file = File::open(&path).map_err(io)?;
        file.seek(SeekFrom::Start(index * HASH)).map_err(io)?;
        Ok(Self { reader: BufReader::new(file), path })
    }

    /// The next hash; `None` at the end of the file.
    pub(super) fn advance(&mut self) -> Result<Option<Digest>, AuditError> {
        let mut bytes = [0; 32];
        match self.reader.read_exact(&mut bytes) {
            Ok(()) => Ok(Some(Digest::from_bytes(bytes))),
            Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => Ok(None),
            Err(error) => Err(AuditError::io(&self.path, &error)),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use super::*;

    #[test]
    fn a_record_with_any_bit_flipped_is_no_record() {
        let mut record = Vec::new();
        push_record(&mut record, b"entry", true);
        assert_eq!(parse_record(&record), Some((b"entry".as_slice(), true)));
        for bit in 0..record.len() * 8 {
            let mut flipped = record.clone();
            flipped[bit / 8] ^= 1 << (bit % 8);
            assert_eq!(parse_record(&flipped), None, "bit {bit}");
        }
    }

    #[test]
    fn a_later_batch_is_found_behind_garbage_of_any_length() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("x");
        for (garbage, first, expected) in
            [(3, true, true), (3, false, false), (1 << 20, true, true), ((1 << 20) - 5, true, true)]
        {
            let mut file = File::create(&path).unwrap();
            let mut bytes = vec![0xaa; garbage];
            push_record(&mut bytes, b"entry", first);
            bytes.extend([0xaa; 20]);
            file.write_all(&bytes).unwrap();
            assert_eq!(a_batch_began_behind(&path, 1), Ok(expected), "{garbage} {first}");
        }
    }
}
