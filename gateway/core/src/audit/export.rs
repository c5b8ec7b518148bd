//! The exported log: one file that proves itself.
//!
//! The file is lines of JSON in printable ASCII, each ended by a line feed:
//! 1. `{"format":"simpul-audit-export/1","key":"<key of the log>"}`
//! 2. `{"entry":<the entry's bytes>,"link":"<base64>"}` for each entry in order. The link is SHA-256
//!    over the byte 2, the previous link (32 zero bytes before the first) and the entry's leaf hash.
//! 3. `{"checkpoint":"<signed note>"}` after each 256 entries at the latest: the signed root of
//!    everything above.
//! 4. The last line is such a checkpoint with the extension line `export <time>`. Only an export
//!    carries it, so a file that was cut at an earlier checkpoint is seen to be cut.
//!
//! # Which entry is named
//! Verification stops at the first line that does not hold. With `n` good entries before it and the
//! last good checkpoint at size `p`:
//! - an entry that is damaged, missing, out of place or lacks its checkpoint, a line of no known kind,
//!   and the end of the file: entry `n`;
//! - a line that begins as a checkpoint but is damaged, of another log, wrongly signed, older than `n` or
//!   with another root: entry `p`, the first that no signature vouches for any more;
//! - a damaged first line or a key other than the pinned one: entry 0.
//!
//! Whoever forges an entry and recomputes links is found too, but not to the entry: where the recomputed
//! links stop (one entry later), or at `p` if they reach the next checkpoint.

use std::io::{self, BufRead, Read, Write};

use base64::{Engine, prelude::BASE64_STANDARD};

use super::entry::{Entry, MAX_ENTRY_BYTES};
use super::json;
use super::note::{Checkpoint, InvalidNote, LogKey, Origin, Sign, Verify};
use super::tree::{self, Frontier, leaf_hash};
use crate::digest::Digest;
use crate::time::Timestamp;

/// The word in the first line.
pub const FORMAT: &str = "simpul-audit-export/1";
/// The most entries between two checkpoints of an export.
pub const CHECKPOINT_EVERY: u64 = 256;
/// The most bytes of a line that is read.
pub const MAX_LINE_BYTES: usize = 2 * MAX_ENTRY_BYTES;

const ENTRY: &str = "{\"entry\":";
const LINK: &str = ",\"link\":\"";
const CHECKPOINT: &str = "{\"checkpoint\":";
const EXPORT: &str = "export ";

fn next_link(previous: &Digest, leaf: &Digest) -> Digest {
    tree::hash(&[&[2], previous.as_bytes(), leaf.as_bytes()])
}

/// Writes an export, line by line.
pub struct Exporter<'a, W> {
    out: W,
    key: LogKey,
    sign: &'a Sign<'a>,
    frontier: Frontier,
    link: Digest,
}

impl<'a, W: Write> Exporter<'a, W> {
    /// Begins an export of the log of `key`.
    ///
    /// # Errors
    /// Those of `out`.
    pub fn new(mut out: W, key: LogKey, sign: &'a Sign<'a>) -> io::Result<Self> {
        out.write_all(header(&key).as_bytes())?;
        Ok(Self { out, key, sign, frontier: Frontier::default(), link: Digest::from_bytes([0; 32]) })
    }

    /// Adds the next entry by its encoded bytes, which must be those of [`Entry::encode`].
    ///
    /// # Errors
    /// Those of the writer.
    pub fn entry(&mut self, encoded: &[u8]) -> io::Result<()> {
        if self.frontier.size() > 0 && self.frontier.size().is_multiple_of(CHECKPOINT_EVERY) {
            self.checkpoint(vec![])?;
        }
        let leaf = leaf_hash(encoded);
        self.frontier.push(leaf);
        self.link = next_link(&self.link, &leaf);
        self.out.write_all(ENTRY.as_bytes())?;
        self.out.write_all(encoded)?;
        writeln!(self.out, "{LINK}{}\"}}", BASE64_STANDARD.encode(self.link.as_bytes()))
    }

    /// The root of what was added so far.
    #[must_use]
    pub fn root(&self) -> Digest {
        self.frontier.root()
    }

    /// Closes the export with its final checkpoint and gives the writer back, flushed.
    ///
    /// # Errors
    /// Those of the writer.
    pub fn finish(mut self, now: Timestamp) -> io::Result<W> {
        self.checkpoint(vec![format!("{EXPORT}{now}")])?;
        self.out.flush()?;
        Ok(self.out)
    }

    fn checkpoint(&mut self, extensions: Vec<String>) -> io::Result<()> {
        let (size, root) = (self.frontier.size(), self.frontier.root());
        let checkpoint = Checkpoint { origin: self.key.origin().clone(), size, root, extensions };
        let note = checkpoint.sign(&self.key, self.sign);
        writeln!(self.out, "{}", checkpoint_line(&note))
    }
}

fn header(key: &LogKey) -> String {
    let mut line = format!("{{\"format\":\"{FORMAT}\",\"key\":");
    json::push_string(&mut line, &key.to_string());
    line.push_str("}\n");
    line
}

/// A signed note as a line of an export, without the line's end.
#[must_use]
pub fn checkpoint_line(note: &str) -> String {
    let mut line = CHECKPOINT.to_owned();
    json::push_string(&mut line, note);
    line.push('}');
    line
}

/// The signed note of such a line. `None` if it is not one, or not in its only spelling.
#[must_use]
pub fn note_of_line(line: &[u8]) -> Option<String> {
    let note: String = serde_json::from_slice(line.strip_prefix(CHECKPOINT.as_bytes())?.strip_suffix(b"}")?).ok()?;
    (checkpoint_line(&note).as_bytes() == line).then_some(note)
}

/// What the verifier knows beforehand.
#[derive(Clone, Debug, Default)]
pub struct VerifyOptions {
    /// The key that the log must have, obtained by another way than the file. Without it a whole log
    /// re-signed by somebody else is not noticed.
    pub pinned: Option<LogKey>,
    /// A checkpoint seen earlier and opened with the log's key. The log must contain it: a log that was
    /// rolled back or rewritten since is noticed.
    pub remembered: Option<Checkpoint>,
}

/// An export that holds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Verified {
    /// The number of entries.
    pub entries: u64,
    /// The number of checkpoints, the final one included.
    pub checkpoints: u64,
    /// The log.
    pub origin: Origin,
    /// The root over all entries.
    pub root: Digest,
    /// The key that signed, as the file states it.
    pub key: LogKey,
    /// Whether that key is the one the caller expected.
    pub pinned: bool,
    /// When the export was made, by the clock of the node.
    pub exported: Timestamp,
}

/// What does not hold.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Fault {
    /// The first line is not the header of an export.
    #[error("the first line is not the header of an audit export")]
    Header,
    /// The export names another key than the pinned one.
    #[error("the log's key is not the expected one")]
    Key,
    /// The line is neither an entry nor a checkpoint.
    #[error("the line is neither an entry nor a checkpoint")]
    Line,
    /// The entry's bytes are not an entry.
    #[error("the entry is not in the form of an audit entry")]
    Entry,
    /// Another entry stands here.
    #[error("entry {found} stands in its place")]
    Order {
        /// The position that the entry found here claims.
        found: u64,
    },
    /// The entry is not the one that was linked to its predecessor.
    #[error("the entry or its link was changed")]
    Link,
    /// More than [`CHECKPOINT_EVERY`] entries without a checkpoint.
    #[error("the checkpoint before it is missing")]
    Unsigned,
    /// A checkpoint is for more entries than stand above it.
    #[error("entries are missing before the checkpoint of {size}")]
    Missing {
        /// The size of the checkpoint.
        size: u64,
    },
    /// A checkpoint is for fewer entries than stand above it.
    #[error("the checkpoint is an older one, of {size} entries")]
    Stale {
        /// The size of the checkpoint.
        size: u64,
    },
    /// A checkpoint is no checkpoint of this log.
    #[error("the checkpoint is not valid: {0}")]
    Note(InvalidNote),
    /// A checkpoint has another root than the entries above it.
    #[error("the entries since then are not those that were signed")]
    Root,
    /// The log does not contain the checkpoint that the caller remembers.
    #[error("the log is not the one seen before, or was rolled back")]
    Remembered,
    /// The file ends before its final checkpoint.
    #[error("the file ends here, before its final checkpoint")]
    Cut,
    /// Something follows the final checkpoint.
    #[error("something follows the final checkpoint")]
    Extra,
    /// The file cannot be read.
    #[error("the file cannot be read: {0}")]
    Unreadable(String),
}

/// The first thing in an export that does not hold.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("entry {index} (line {line}): {what}")]
pub struct Bad {
    /// The first bad entry, as this module's introduction defines it.
    pub index: u64,
    /// The line of the file, from 1.
    pub line: u64,
    /// The entries before this one are vouched for by a good checkpoint; those from here to `index` only
    /// by their links, which a forger can recompute.
    pub vouched: u64,
    /// What does not hold.
    pub what: Fault,
}

/// Verifies an export in one pass; memory does not grow with the file.
///
/// # Errors
/// [`Bad`] with the first fault.
pub fn verify_export(reader: impl BufRead, options: &VerifyOptions, verify: &Verify<'_>) -> Result<Verified, Bad> {
    let mut walk = Walk::begin(reader, options, verify)?;
    loop {
        if let Step::End(exported) = walk.step()? {
            return walk.end(exported);
        }
    }
}

/// How two exports of one log relate.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Comparison {
    /// They hold the same entries.
    Same,
    /// The one with more entries continues the other, which ends here.
    Continues {
        /// The number of entries they share.
        shared: u64,
    },
    /// The log told two stories that part at this entry.
    Fork {
        /// The first entry that differs.
        index: u64,
    },
    /// The exports are of different logs or signed by different keys.
    Unrelated,
}

/// Verifies two exports side by side and tells how they relate. Memory does not grow with the files.
///
/// # Errors
/// `Err((0, bad))` if the first does not hold by itself, `Err((1, bad))` if the second does not.
pub fn compare_exports(
    first: impl BufRead,
    second: impl BufRead,
    options: &VerifyOptions,
    verify: &Verify<'_>,
) -> Result<Comparison, (usize, Bad)> {
    let mut a = Walk::begin(first, options, verify).map_err(|bad| (0, bad))?;
    let mut b = Walk::begin(second, options, verify).map_err(|bad| (1, bad))?;
    let mut fork = None;
    loop {
        let links = (a.advance().map_err(|bad| (0, bad))?, b.advance().map_err(|bad| (1, bad))?);
        match links {
            (None, None) => break,
            (Some(left), Some(right)) if left != right && fork.is_none() => fork = Some(a.frontier.size() - 1),
            _ => {}
        }
    }
    Ok(match fork {
        _ if a.key != b.key => Comparison::Unrelated,
        Some(index) => Comparison::Fork { index },
        None if a.frontier.size() == b.frontier.size() => Comparison::Same,
        None => Comparison::Continues { shared: a.frontier.size().min(b.frontier.size()) },
    })
}

enum Step {
    Entry,
    Checkpoint,
    End(Timestamp),
}

/// The way through one export: the state after the lines read so far.
struct Walk<'a, R> {
    reader: R,
    options: &'a VerifyOptions,
    verify: &'a Verify<'a>,
    key: LogKey,
    line: Vec<u8>,
    line_number: u64,
    frontier: Frontier,
    link: Digest,
    vouched: u64,
    checkpoints: u64,
    ended: bool,
}

impl<'a, R: BufRead> Walk<'a, R> {
    fn begin(mut reader: R, options: &'a VerifyOptions, verify: &'a Verify<'a>) -> Result<Self, Bad> {
        let bad = |what| Bad { index: 0, line: 1, vouched: 0, what };
        let mut line = Vec::new();
        match read_line(&mut reader, &mut line) {
            Ok(true) => {}
            Ok(false) => return Err(bad(if line.is_empty() { Fault::Cut } else { Fault::Header })),
            Err(error) => return Err(bad(Fault::Unreadable(error.to_string()))),
        }
        let key = parse_header(&line).ok_or_else(|| bad(Fault::Header))?;
        if options.pinned.as_ref().is_some_and(|pinned| *pinned != key) {
            return Err(bad(Fault::Key));
        }
        let (frontier, link) = (Frontier::default(), Digest::from_bytes([0; 32]));
        let walk = Self {
            reader,
            options,
            verify,
            key,
            line,
            line_number: 1,
            frontier,
            link,
            vouched: 0,
            checkpoints: 0,
            ended: false,
        };
        walk.check_remembered()?;
        Ok(walk)
    }

    fn here(&self, what: Fault) -> Bad {
        Bad { index: self.frontier.size(), line: self.line_number, vouched: self.vouched, what }
    }

    fn unvouched(&self, what: Fault) -> Bad {
        Bad { index: self.vouched, line: self.line_number, vouched: self.vouched, what }
    }

    fn step(&mut self) -> Result<Step, Bad> {
        self.line_number += 1;
        let whole = read_line(&mut self.reader, &mut self.line)
            .map_err(|error| self.here(Fault::Unreadable(error.to_string())))?;
        let line = std::mem::take(&mut self.line);
        let step = if !whole && line.len() < MAX_LINE_BYTES {
            Err(self.here(Fault::Cut))
        } else if line.starts_with(ENTRY.as_bytes()) {
            self.entry(&line).map(|()| Step::Entry)
        } else if line.starts_with(CHECKPOINT.as_bytes()) {
            self.checkpoint(&line)
        } else {
            Err(self.here(Fault::Line))
        };
        self.line = line;
        step
    }

    fn entry(&mut self, line: &[u8]) -> Result<(), Bad> {
        let index = self.frontier.size();
        let (encoded, link) = split_entry(line).ok_or_else(|| self.here(Fault::Entry))?;
        let entry = Entry::parse(encoded).ok_or_else(|| self.here(Fault::Entry))?;
        if entry.seq != index {
            return Err(self.here(Fault::Order { found: entry.seq }));
        }
        let leaf = leaf_hash(encoded);
        let expected = next_link(&self.link, &leaf);
        if BASE64_STANDARD.encode(expected.as_bytes()).as_bytes() != link {
            return Err(self.here(Fault::Link));
        }
        if index - self.vouched == CHECKPOINT_EVERY {
            return Err(self.here(Fault::Unsigned));
        }
        self.link = expected;
        self.frontier.push(leaf);
        self.check_remembered()
    }

    fn checkpoint(&mut self, line: &[u8]) -> Result<Step, Bad> {
        let note = note_of_line(line).ok_or_else(|| self.unvouched(Fault::Note(InvalidNote::Form)))?;
        let checkpoint =
            Checkpoint::open(&note, &self.key, self.verify).map_err(|why| self.unvouched(Fault::Note(why)))?;
        let (size, entries) = (checkpoint.size, self.frontier.size());
        if size > entries {
            return Err(self.here(Fault::Missing { size }));
        }
        if size < entries || (size == self.vouched && size > 0) {
            return Err(self.unvouched(Fault::Stale { size }));
        }
        if checkpoint.root != self.frontier.root() {
            return Err(self.unvouched(Fault::Root));
        }
        let exported = match checkpoint.extensions.as_slice() {
            [] if size > 0 => None,
            [line] => Some(export_time(line).ok_or_else(|| self.unvouched(Fault::Note(InvalidNote::Form)))?),
            _ => return Err(self.unvouched(Fault::Note(InvalidNote::Form))),
        };
        self.vouched = size;
        self.checkpoints += 1;
        Ok(exported.map_or(Step::Checkpoint, Step::End))
    }

    /// Compares with the remembered checkpoint at the moment the tree has its size.
    fn check_remembered(&self) -> Result<(), Bad> {
        match &self.options.remembered {
            Some(seen) if seen.size == self.frontier.size() => {
                let same = seen.origin == *self.key.origin() && seen.root == self.frontier.root();
                if same { Ok(()) } else { Err(self.unvouched(Fault::Remembered)) }
            }
            _ => Ok(()),
        }
    }

    fn end(&mut self, exported: Timestamp) -> Result<Verified, Bad> {
        self.expect_nothing_more()?;
        Ok(Verified {
            entries: self.frontier.size(),
            checkpoints: self.checkpoints,
            origin: self.key.origin().clone(),
            root: self.frontier.root(),
            key: self.key.clone(),
            pinned: self.options.pinned.is_some(),
            exported,
        })
    }

    fn expect_nothing_more(&mut self) -> Result<(), Bad> {
        self.line_number += 1;
        let rest = self.reader.fill_buf().map(|rest| !rest.is_empty());
        if rest.map_err(|error| self.here(Fault::Unreadable(error.to_string())))? {
            return Err(self.here(Fault::Extra));
        }
        if self.options.remembered.as_ref().is_some_and(|seen| seen.size > self.frontier.size()) {
            return Err(self.here(Fault::Remembered));
        }
        Ok(())
    }

    /// Walks to the next entry and answers its link; `None` at the end.
    fn advance(&mut self) -> Result<Option<Digest>, Bad> {
        while !self.ended {
            match self.step()? {
                Step::Entry => return Ok(Some(self.link)),
                Step::Checkpoint => {}
                Step::End(_) => {
                    self.expect_nothing_more()?;
                    self.ended = true;
                }
            }
        }
        Ok(None)
    }
}

/// Reads a line without its end into `line`. False if the line has no end, or none within the limit.
fn read_line(reader: &mut impl BufRead, line: &mut Vec<u8>) -> io::Result<bool> {
    line.clear();
    let limit = MAX_LINE_BYTES as u64;
    reader.take(limit).read_until(b'\n', line)?;
    let whole = line.last() == Some(&b'\n');
    if whole {
        line.pop();
    }
    Ok(whole)
}

fn parse_header(line: &[u8]) -> Option<LogKey> {
    let start = header_start();
    let key = std::str::from_utf8(line).ok()?.strip_prefix(start.as_str())?.strip_suffix("\"}")?;
    // The spelling of the key itself is checked by its parser; quotes and escapes are not part of it.
    let key: LogKey = key.parse().ok()?;
    (header(&key).trim_end().as_bytes() == line).then_some(key)
}

fn header_start() -> String {
    format!("{{\"format\":\"{FORMAT}\",\"key\":\"")
}

fn split_entry(line: &[u8]) -> Option<(&[u8], &[u8])> {
    const LINK_CHARS: usize = 44;
    let inner = line.strip_prefix(ENTRY.as_bytes())?.strip_suffix(b"\"}")?;
    let (head, link) = inner.split_at_checked(inner.len().checked_sub(LINK_CHARS)?)?;
    Some((head.strip_suffix(LINK.as_bytes())?, link))
}

fn export_time(line: &str) -> Option<Timestamp> {
    let text = line.strip_prefix(EXPORT)?;
    let time = Timestamp::parse(text)?;
    (time.to_string() == text).then_some(time)
}

#[cfg(test)]
mod tests {
    use super::super::note::tests::{toy_sign, toy_verify};
    use super::*;
    use crate::audit::{EntryDraft, Outcome};

    const NOW: Timestamp = Timestamp::from_seconds(1_795_000_000);

    fn key(seed: u8) -> LogKey {
        LogKey::new("satudata.test/64.02.diskominfo/audit".parse().unwrap(), [seed; 32])
    }

    fn entry(seq: u64, object: &str) -> Entry {
        EntryDraft::new("system", "test.act", object, Outcome::Done).at(seq, NOW)
    }

    fn export(objects: impl IntoIterator<Item = String>, seed: u8) -> Vec<u8> {
        let sign = toy_sign([seed; 32]);
        let mut exporter = Exporter::new(Vec::new(), key(seed), &sign).unwrap();
        for (seq, object) in objects.into_iter().enumerate() {
            exporter.entry(entry(seq as u64, &object).encode().as_bytes()).unwrap();
        }
        exporter.finish(NOW).unwrap()
    }

    fn clean(count: usize) -> Vec<u8> {
        export((0..count).map(|n| format!("object-{n}")), 1)
    }

    fn verify(file: &[u8]) -> Result<Verified, Bad> {
        verify_export(file, &VerifyOptions::default(), &toy_verify)
    }

    /// The index and the fault of a file that does not hold.
    fn fault(file: &[u8], options: &VerifyOptions) -> (u64, Fault) {
        let bad = verify_export(file, options, &toy_verify).unwrap_err();
        (bad.index, bad.what)
    }

    fn lines(file: &[u8]) -> Vec<String> {
        std::str::from_utf8(file).unwrap().split_inclusive('\n').map(str::to_owned).collect()
    }

    #[test]
    fn clean_logs_of_every_size_around_the_checkpoints_hold() {
        for count in [0, 1, 2, 255, 256, 257, 511, 512, 513, 700] {
            let verified = verify(&clean(count)).unwrap();
            assert_eq!(verified.entries, count as u64);
            assert_eq!(verified.checkpoints, (count.saturating_sub(1) / 256) as u64 + 1, "{count}");
            assert_eq!((verified.exported, verified.pinned), (NOW, false));
        }
    }

    #[test]
    fn a_line_removed_swapped_or_inserted_names_its_entry() {
        let file = lines(&clean(700));
        // Line 1 is the header; entries 0..256 follow, then a checkpoint.
        let mut removed = file.clone();
        removed.remove(1 + 37);
        assert_eq!(fault(removed.concat().as_bytes(), &VerifyOptions::default()), (37, Fault::Order { found: 38 }));
        let mut removed = file.clone();
        removed.remove(256);
        assert_eq!(fault(removed.concat().as_bytes(), &VerifyOptions::default()), (255, Fault::Missing { size: 256 }));
        let mut removed = file.clone();
        removed.remove(257);
        assert_eq!(fault(removed.concat().as_bytes(), &VerifyOptions::default()), (256, Fault::Unsigned));
        let mut swapped = file.clone();
        swapped.swap(1 + 10, 1 + 20);
        assert_eq!(fault(swapped.concat().as_bytes(), &VerifyOptions::default()), (10, Fault::Order { found: 20 }));
        let mut inserted = file;
        inserted.insert(1 + 5, inserted[1 + 5].clone());
        assert_eq!(fault(inserted.concat().as_bytes(), &VerifyOptions::default()), (6, Fault::Order { found: 5 }));
    }

    #[test]
    fn a_cut_tail_is_noticed_even_behind_an_earlier_checkpoint() {
        let file = lines(&clean(700));
        let cut = file[..=257].concat();
        assert!(cut.ends_with("}\n"));
        assert_eq!(fault(cut.as_bytes(), &VerifyOptions::default()), (256, Fault::Cut));
        assert_eq!(fault(&clean(700)[..5000], &VerifyOptions::default()).1, Fault::Cut);
        assert_eq!(fault(b"", &VerifyOptions::default()), (0, Fault::Cut));
    }

    #[test]
    fn a_forger_who_recomputes_every_link_is_stopped_by_the_next_signature() {
        let forged = export((0..700).map(|n| if n == 300 { "forged".to_owned() } else { format!("object-{n}") }), 1);
        let (mut file, forged) = (lines(&clean(700)), lines(&forged));
        let entry_or = |n: usize, own: &str| if own.starts_with(ENTRY) { forged[n].clone() } else { own.to_owned() };
        file = file.iter().enumerate().map(|(n, line)| entry_or(n, line)).collect();
        assert_eq!(fault(file.concat().as_bytes(), &VerifyOptions::default()), (256, Fault::Root));
    }

    #[test]
    fn a_log_signed_anew_with_another_key_is_noticed_when_the_key_is_pinned() {
        let file = export((0..10).map(|n| n.to_string()), 2);
        assert_eq!(verify(&file).map(|v| (v.entries, v.key)), Ok((10, key(2))));
        let pinned = VerifyOptions { pinned: Some(key(1)), remembered: None };
        assert_eq!(fault(&file, &pinned), (0, Fault::Key));
        let mut pretending = lines(&file);
        pretending[0] = lines(&clean(1))[0].clone();
        assert_eq!(fault(pretending.concat().as_bytes(), &pinned), (0, Fault::Note(InvalidNote::Unsigned)));
    }

    #[test]
    fn a_log_that_was_rewritten_or_rolled_back_contradicts_the_remembered_checkpoint() {
        let origin = key(1).origin().clone();
        let seen = verify(&clean(400)).unwrap();
        let remembered = Some(Checkpoint { origin, size: 400, root: seen.root, extensions: vec![] });
        let options = VerifyOptions { pinned: None, remembered };
        assert!(verify_export(clean(700).as_slice(), &options, &toy_verify).is_ok());
        assert_eq!(fault(&clean(399), &options), (399, Fault::Remembered));
        let rewritten = export((0..700).map(|n| format!("other-{n}")), 1);
        assert_eq!(fault(&rewritten, &options), (256, Fault::Remembered));
    }

    #[test]
    fn two_exports_of_one_log_agree_and_those_of_a_forked_log_name_the_fork() {
        let compare = |a: &[u8], b: &[u8]| compare_exports(a, b, &VerifyOptions::default(), &toy_verify);
        assert_eq!(compare(&clean(300), &clean(300)), Ok(Comparison::Same));
        assert_eq!(compare(&clean(300), &clean(600)), Ok(Comparison::Continues { shared: 300 }));
        let forked = export((0..500).map(|n| if n < 321 { format!("object-{n}") } else { "x".to_owned() }), 1);
        assert_eq!(compare(&clean(600), &forked), Ok(Comparison::Fork { index: 321 }));
        assert_eq!(compare(&clean(3), &export((0..3).map(|n| format!("object-{n}")), 2)), Ok(Comparison::Unrelated));
        assert!(matches!(compare(&clean(3), &clean(3)[..50]), Err((1, _))));
    }

    #[test]
    fn a_line_that_never_ends_costs_no_memory() {
        let header = lines(&clean(1))[0].clone();
        let endless = io::Cursor::new(header).chain(io::BufReader::new(io::repeat(b'a').take(1 << 30)));
        let bad = verify_export(endless, &VerifyOptions::default(), &toy_verify).unwrap_err();
        assert_eq!((bad.index, bad.what), (0, Fault::Line));
    }

    #[test]
    fn what_follows_the_end_is_noticed() {
        let mut file = clean(3);
        file.push(b'\n');
        assert_eq!(fault(&file, &VerifyOptions::default()), (3, Fault::Extra));
    }
}
