//! What a log signs about its tree: checkpoints, and proofs that carry one.
//!
//! The formats are those of C2SP: `tlog-checkpoint` for the text, `signed-note` for the signature
//! lines (Ed25519, type 1), `tlog-proof` for a proof in one file. Signatures of keys we do not know
//! are ignored, as the format says, so a parent tier can add its own to the same note.

use std::fmt;
use std::str::FromStr;

use base64::{Engine, prelude::BASE64_STANDARD};

use super::entry::Entry;
use super::tree::{self, MAX_PROOF, leaf_hash, verify_consistency};
use crate::digest::Digest;
use crate::id::InvalidName;

/// Signs a message with the log's Ed25519 key.
pub type Sign<'a> = dyn Fn(&[u8]) -> [u8; 64] + 'a;
/// Whether an Ed25519 public key, a message and a signature belong together.
pub type Verify<'a> = dyn Fn(&[u8; 32], &[u8], &[u8; 64]) -> bool + 'a;

/// The most bytes of a note that is read.
pub const MAX_NOTE_BYTES: usize = 16 * 1024;
/// The most signature lines of a note that is read.
pub const MAX_SIGNATURES: usize = 32;
const MAX_EXTENSIONS: usize = 8;
const ED25519: u8 = 1;
const SIGNATURE_MARK: &str = "\u{2014} ";
const PROOF_MARK: &str = "c2sp.org/tlog-proof@v1";

/// The name of a log, unique among all logs: 1 to 255 visible ASCII characters without `+`, `"` and `\`, such as
/// `satudata.kaltim.go.id/64.02.diskominfo/audit`.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Origin(String);

impl Origin {
    /// The name as text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for Origin {
    type Err = InvalidName;

    fn from_str(text: &str) -> Result<Self, InvalidName> {
        let visible = text.bytes().all(|b| b.is_ascii_graphic() && !b"+\"\\".contains(&b));
        if visible && (1..=255).contains(&text.len()) {
            return Ok(Self(text.to_owned()));
        }
        Err(InvalidName {
            kind: "log origin",
            expected: "1 to 255 visible ASCII characters without plus, quote and backslash",
        })
    }
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// The public key of a log under the log's name. Its text form is that of Go's sumdb:
/// `<origin>+<key id, 8 hexadecimal digits>+<base64 of the type byte and the key>`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LogKey {
    origin: Origin,
    public: [u8; 32],
}

/// A text is not the public key of a log.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("not the public key of a log: expected <origin>+<8 hexadecimal digits>+<base64> with matching digits")]
pub struct InvalidKey;

impl LogKey {
    /// The Ed25519 key `public` of the log `origin`.
    #[must_use]
    pub const fn new(origin: Origin, public: [u8; 32]) -> Self {
        Self { origin, public }
    }

    /// The name of the log.
    #[must_use]
    pub const fn origin(&self) -> &Origin {
        &self.origin
    }

    /// The 32 bytes of the Ed25519 key.
    #[must_use]
    pub const fn public(&self) -> &[u8; 32] {
        &self.public
    }

    /// SHA-256 of the 32 bytes of the key: what two people compare over the telephone.
    #[must_use]
    pub fn fingerprint(&self) -> Digest {
        Digest::of(&self.public)
    }

    fn id(&self) -> [u8; 4] {
        let hash = tree::hash(&[self.origin.0.as_bytes(), &[b'\n', ED25519], &self.public]);
        let [a, b, c, d, ..] = *hash.as_bytes();
        [a, b, c, d]
    }

    fn typed(&self) -> Vec<u8> {
        [&[ED25519], self.public.as_slice()].concat()
    }
}

impl fmt::Display for LogKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let id = u32::from_be_bytes(self.id());
        write!(f, "{}+{id:08x}+{}", self.origin, BASE64_STANDARD.encode(self.typed()))
    }
}

impl FromStr for LogKey {
    type Err = InvalidKey;

    fn from_str(text: &str) -> Result<Self, InvalidKey> {
        let mut parts = text.splitn(3, '+');
        let (Some(origin), Some(_), Some(key)) = (parts.next(), parts.next(), parts.next()) else {
            return Err(InvalidKey);
        };
        let origin = origin.parse().map_err(|_| InvalidKey)?;
        let typed = BASE64_STANDARD.decode(key).map_err(|_| InvalidKey)?;
        let Some((&ED25519, public)) = typed.split_first() else { return Err(InvalidKey) };
        let key = Self { origin, public: public.try_into().map_err(|_| InvalidKey)? };
        if key.to_string() == text { Ok(key) } else { Err(InvalidKey) }
    }
}

/// What a log says about its tree.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Checkpoint {
    /// The log.
    pub origin: Origin,
    /// The number of entries.
    pub size: u64,
    /// The root of the tree over them.
    pub root: Digest,
    /// Further signed lines, none of them empty; usually there are none.
    pub extensions: Vec<String>,
}

/// Why a note is not a checkpoint of the expected log.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum InvalidNote {
    /// The text has not the form of a signed checkpoint.
    #[error("it is not a signed checkpoint")]
    Form,
    /// It is a checkpoint of another log.
    #[error("it belongs to another log")]
    Origin,
    /// No signature comes from the expected key.
    #[error("the log's key has not signed it")]
    Unsigned,
    /// The signature of the expected key is wrong.
    #[error("the signature is wrong")]
    Signature,
}

impl Checkpoint {
    /// The signed text: the note without its signatures.
    #[must_use]
    pub fn text(&self) -> String {
        let root = BASE64_STANDARD.encode(self.root.as_bytes());
        let mut text = format!("{}\n{}\n{root}\n", self.origin, self.size);
        for line in &self.extensions {
            text.push_str(line);
            text.push('\n');
        }
        text
    }

    /// The signed note. `key` is the public half of what `sign` signs with.
    #[must_use]
    pub fn sign(&self, key: &LogKey, sign: &Sign<'_>) -> String {
        let text = self.text();
        let signature = [key.id().as_slice(), &sign(text.as_bytes())].concat();
        format!("{text}\n{SIGNATURE_MARK}{} {}\n", key.origin, BASE64_STANDARD.encode(signature))
    }

    /// Reads a signed note of the log that `key` belongs to.
    ///
    /// # Errors
    /// [`InvalidNote`]; signatures of other keys are neither needed nor checked.
    pub fn open(note: &str, key: &LogKey, verify: &Verify<'_>) -> Result<Self, InvalidNote> {
        if note.len() > MAX_NOTE_BYTES || note.bytes().any(|b| b < b' ' && b != b'\n') {
            return Err(InvalidNote::Form);
        }
        let (text, signatures) = note.rsplit_once("\n\n").ok_or(InvalidNote::Form)?;
        let text = &note[..=text.len()];
        let checkpoint = Self::parse(text).ok_or(InvalidNote::Form)?;
        if checkpoint.origin != key.origin {
            return Err(InvalidNote::Origin);
        }
        let mut signed = false;
        let lines = signatures.strip_suffix('\n').ok_or(InvalidNote::Form)?;
        for (nth, line) in lines.split('\n').enumerate() {
            let (name, id, signature) = signature_line(line).ok_or(InvalidNote::Form)?;
            if nth == MAX_SIGNATURES {
                return Err(InvalidNote::Form);
            }
            if name == key.origin.0 && id == key.id() {
                let signature = signature.as_slice().try_into().map_err(|_| InvalidNote::Signature)?;
                if !verify(&key.public, text.as_bytes(), signature) {
                    return Err(InvalidNote::Signature);
                }
                signed = true;
            }
        }
        if signed { Ok(checkpoint) } else { Err(InvalidNote::Unsigned) }
    }

    fn parse(text: &str) -> Option<Self> {
        let mut lines = text.strip_suffix('\n')?.split('\n');
        let origin = lines.next()?.parse().ok()?;
        let size = decimal(lines.next()?)?;
        let root = hash_of_base64(lines.next()?)?;
        let extensions: Vec<String> = lines.map(str::to_owned).collect();
        let sound = extensions.len() <= MAX_EXTENSIONS && extensions.iter().all(|line| !line.is_empty());
        sound.then_some(Self { origin, size, root, extensions })
    }
}

fn signature_line(line: &str) -> Option<(&str, [u8; 4], Vec<u8>)> {
    let (name, signature) = line.strip_prefix(SIGNATURE_MARK)?.split_once(' ')?;
    if name.is_empty() || name.contains('+') || name.contains(char::is_whitespace) {
        return None;
    }
    let bytes = BASE64_STANDARD.decode(signature).ok()?;
    let (id, signature) = bytes.split_first_chunk::<4>()?;
    Some((name, *id, signature.to_vec()))
}

/// A number in decimal digits without leading zeroes.
fn decimal(text: &str) -> Option<u64> {
    let number: u64 = text.parse().ok()?;
    (number.to_string() == text).then_some(number)
}

fn hash_of_base64(text: &str) -> Option<Digest> {
    let bytes: [u8; 32] = BASE64_STANDARD.decode(text).ok()?.try_into().ok()?;
    Some(Digest::from_bytes(bytes))
}

/// Two checkpoints that cannot both come from one honest log.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum CheckpointConflict {
    /// They are of different logs and say nothing about each other.
    #[error("the checkpoints are of different logs: {0} and {1}")]
    Origins(Origin, Origin),
    /// The log told two stories: no tree of `newer` entries with the second root begins with a tree of
    /// `older` entries with the first root, or the proof given for it is not one.
    #[error("the log forked: what it signed at {older} entries is not the beginning of what it signed at {newer}")]
    Fork {
        /// The size of the smaller tree.
        older: u64,
        /// The size of the larger tree.
        newer: u64,
    },
}

/// Checks that one of two opened checkpoints continues the other. `proof` is the consistency proof from
/// the smaller to the larger, empty if the sizes are equal. The order of `a` and `b` does not matter.
///
/// # Errors
/// [`CheckpointConflict`]; with both signatures valid, a fork is evidence against the log.
pub fn compare(a: &Checkpoint, b: &Checkpoint, proof: &[Digest]) -> Result<(), CheckpointConflict> {
    if a.origin != b.origin {
        return Err(CheckpointConflict::Origins(a.origin.clone(), b.origin.clone()));
    }
    let (older, newer) = if a.size <= b.size { (a, b) } else { (b, a) };
    if verify_consistency(older.size, &older.root, newer.size, &newer.root, proof) {
        Ok(())
    } else {
        Err(CheckpointConflict::Fork { older: older.size, newer: newer.size })
    }
}

/// The proof that one entry is in the log, for keeping beside a receipt: a `tlog-proof`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Proof {
    /// The position of the entry.
    pub index: u64,
    /// The hashes from the entry's sibling up to below the root.
    pub hashes: Vec<Digest>,
    /// The signed note about the tree that the proof leads to.
    pub checkpoint: String,
}

impl Proof {
    /// The text form, about 1.3 kB for a million entries.
    #[must_use]
    pub fn to_text(&self) -> String {
        let mut text = format!("{PROOF_MARK}\nindex {}\n", self.index);
        for hash in &self.hashes {
            text.push_str(&BASE64_STANDARD.encode(hash.as_bytes()));
            text.push('\n');
        }
        text.push('\n');
        text.push_str(&self.checkpoint);
        text
    }

    /// Reads the text form. `None` if it is not one; extra data is skipped.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        if text.len() > 2 * MAX_NOTE_BYTES {
            return None;
        }
        let (head, checkpoint) = text.split_once("\n\n")?;
        let mut lines = head.split('\n').peekable();
        if lines.next()? != PROOF_MARK {
            return None;
        }
        lines.next_if(|line| line.starts_with("extra "));
        let index = decimal(lines.next()?.strip_prefix("index ")?)?;
        let hashes = lines.map(hash_of_base64).collect::<Option<Vec<_>>>()?;
        (hashes.len() <= MAX_PROOF).then(|| Self { index, hashes, checkpoint: checkpoint.to_owned() })
    }

    /// Checks that `entry` is in the log of `key` at the stated position.
    ///
    /// # Errors
    /// [`InvalidNote`] for the checkpoint; `Ok(false)` if it holds but the entry is not the one proven.
    pub fn verify(&self, entry: &Entry, key: &LogKey, verify: &Verify<'_>) -> Result<bool, InvalidNote> {
        let checkpoint = Checkpoint::open(&self.checkpoint, key, verify)?;
        let leaf = leaf_hash(entry.encode().as_bytes());
        let stands = tree::verify_inclusion(leaf, self.index, checkpoint.size, &self.hashes, &checkpoint.root);
        Ok(stands && entry.seq == self.index)
    }
}

#[cfg(test)]
pub(super) mod tests {
    use std::convert::Infallible;

    use super::*;
    use crate::audit::tree::{Frontier, consistency_proof, inclusion_proof};
    use crate::audit::{EntryDraft, Outcome};
    use crate::time::Timestamp;

    /// Stands in for Ed25519 where only the shape of notes is tested: a keyed hash.
    pub(in crate::audit) fn toy_sign(public: [u8; 32]) -> impl Fn(&[u8]) -> [u8; 64] {
        move |message| {
            let hash = tree::hash(&[b"toy", &public, message]);
            let mut signature = [0; 64];
            signature[..32].copy_from_slice(hash.as_bytes());
            signature[32..].copy_from_slice(hash.as_bytes());
            signature
        }
    }

    pub(in crate::audit) fn toy_verify(public: &[u8; 32], message: &[u8], signature: &[u8; 64]) -> bool {
        toy_sign(*public)(message) == *signature
    }

    fn key(seed: u8) -> LogKey {
        LogKey::new("satudata.test/64.02.diskominfo/audit".parse().unwrap(), [seed; 32])
    }

    fn checkpoint(size: u64) -> Checkpoint {
        Checkpoint { origin: key(1).origin, size, root: Digest::of(&size.to_be_bytes()), extensions: vec![] }
    }

    #[test]
    fn the_key_of_the_go_checksum_database_reads_and_prints() {
        let text = "sum.golang.org+033de0ae+Ac4zctda0e5eza+HJyk9SxEdh+s3Ux18htTTAD8OuAn8";
        let key: LogKey = text.parse().unwrap();
        assert_eq!(key.to_string(), text, "the key id is computed as the format says");
        assert_eq!(
            "sum.golang.org+033de0af+Ac4zctda0e5eza+HJyk9SxEdh+s3Ux18htTTAD8OuAn8".parse::<LogKey>(),
            Err(InvalidKey)
        );
    }

    #[test]
    fn a_note_opens_for_its_key_and_for_no_other() {
        let note = checkpoint(20_852_163).sign(&key(1), &toy_sign([1; 32]));
        assert_eq!(Checkpoint::open(&note, &key(1), &toy_verify), Ok(checkpoint(20_852_163)));
        assert_eq!(Checkpoint::open(&note, &key(2), &toy_verify), Err(InvalidNote::Unsigned));
        let forged = checkpoint(5).sign(&key(1), &toy_sign([2; 32]));
        assert_eq!(Checkpoint::open(&forged, &key(1), &toy_verify), Err(InvalidNote::Signature));
        let other = LogKey::new("elsewhere".parse().unwrap(), [1; 32]);
        assert_eq!(Checkpoint::open(&note, &other, &toy_verify), Err(InvalidNote::Origin));
    }

    #[test]
    fn signatures_of_unknown_keys_are_ignored() {
        let mut note = checkpoint(7).sign(&key(1), &toy_sign([1; 32]));
        note.push_str("\u{2014} parent.test/witness AAAAAAAA\n");
        assert_eq!(Checkpoint::open(&note, &key(1), &toy_verify), Ok(checkpoint(7)));
    }

    #[test]
    fn a_note_of_another_shape_is_refused() {
        let note = checkpoint(7).sign(&key(1), &toy_sign([1; 32]));
        for (from, to) in [
            ("\n7\n", "\n07\n"),
            ("\n7\n", "\n+7\n"),
            ("\n\n", "\n"),
            ("\u{2014} ", "- "),
            ("\n7\n", "\n7\r\n"),
            ("=\n\n", "\n\n"),
        ] {
            assert_eq!(
                Checkpoint::open(&note.replacen(from, to, 1), &key(1), &toy_verify),
                Err(InvalidNote::Form),
                "{to:?}"
            );
        }
        assert_eq!(Checkpoint::open(note.trim_end(), &key(1), &toy_verify), Err(InvalidNote::Form));
        assert_eq!(Checkpoint::open(&"x".repeat(MAX_NOTE_BYTES + 1), &key(1), &toy_verify), Err(InvalidNote::Form));
    }

    #[test]
    fn a_fork_is_told_from_an_extension() {
        let leaves: Vec<Digest> = (0..9_u64).map(|n| leaf_hash(&n.to_be_bytes())).collect();
        let tree = |leaves: &[Digest]| {
            let mut frontier = Frontier::default();
            leaves.iter().for_each(|leaf| frontier.push(*leaf));
            Checkpoint { origin: key(1).origin, size: frontier.size(), root: frontier.root(), extensions: vec![] }
        };
        let subtree = |level: u32, n: u64| -> Result<Digest, Infallible> {
            let start = usize::try_from(n << level).unwrap();
            Ok(tree(&leaves[start..start + (1 << level)]).root)
        };
        let proof = consistency_proof(5, 9, subtree).unwrap();
        assert_eq!(compare(&tree(&leaves), &tree(&leaves[..5]), &proof), Ok(()));
        let mut other = leaves.clone();
        other[3] = leaf_hash(b"another past");
        assert_eq!(
            compare(&tree(&other[..5]), &tree(&leaves), &proof),
            Err(CheckpointConflict::Fork { older: 5, newer: 9 })
        );
        assert_eq!(compare(&tree(&other), &tree(&leaves), &[]), Err(CheckpointConflict::Fork { older: 9, newer: 9 }));
    }

    #[test]
    fn a_proof_reads_back_and_holds_for_its_entry_only() {
        let entries: Vec<Entry> = (0..300)
            .map(|seq| EntryDraft::new("a", "b", "c", Outcome::Done).at(seq, Timestamp::from_seconds(1)))
            .collect();
        let leaves: Vec<Digest> = entries.iter().map(|entry| leaf_hash(entry.encode().as_bytes())).collect();
        let root_of = |leaves: &[Digest]| {
            let mut frontier = Frontier::default();
            leaves.iter().for_each(|leaf| frontier.push(*leaf));
            frontier.root()
        };
        let hashes = inclusion_proof(70, 300, |level, n| -> Result<Digest, Infallible> {
            let start = usize::try_from(n << level).unwrap();
            Ok(root_of(&leaves[start..start + (1 << level)]))
        })
        .unwrap();
        let head = Checkpoint { origin: key(1).origin, size: 300, root: root_of(&leaves), extensions: vec![] };
        let proof = Proof { index: 70, hashes, checkpoint: head.sign(&key(1), &toy_sign([1; 32])) };
        let text = proof.to_text();
        assert!(text.len() < 1500);
        let read = Proof::parse(&text).unwrap();
        assert_eq!(read, proof);
        assert_eq!(read.verify(&entries[70], &key(1), &toy_verify), Ok(true));
        assert_eq!(read.verify(&entries[71], &key(1), &toy_verify), Ok(false));
        assert_eq!(read.verify(&entries[70], &key(2), &toy_verify), Err(InvalidNote::Unsigned));
    }
}
