//! One entry of the audit log and its only encoding.
//!
//! The encoding is a JSON object on one line: keys in the order of [`Entry`], details sorted by
//! key, no spaces, printable ASCII only. The Merkle tree commits to these bytes, so an entry has
//! exactly one spelling and [`Entry::parse`] refuses every other.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use serde::{Deserialize, Serialize};

use super::json;
use crate::time::Timestamp;

/// The most bytes one encoded entry takes.
pub const MAX_ENTRY_BYTES: usize = 8 * 1024;
/// The actor of a request that showed no valid identity.
pub const ANONYMOUS: &str = "anonymous";
/// The actor of what a node does by itself: schedules, recovery, maintenance.
pub const SYSTEM: &str = "system";

// Bytes of the encoded text, so that the sum stays below MAX_ENTRY_BYTES whatever the characters are.
const MAX_ACTOR: usize = 512;
const MAX_ACTION: usize = 64;
const MAX_OBJECT: usize = 1024;
const MAX_REASON: usize = 128;
const MAX_DETAIL_KEY: usize = 64;
const MAX_DETAIL_TEXT: usize = 1024;
const MAX_DETAILS: usize = 6000;
/// The detail that tells that other details did not fit.
const TRUNCATED: &str = "truncated";
const LAST_MILLIS: i64 = 253_402_300_799_999; // 9999-12-31T23:59:59.999Z, the end of RFC 3339

/// How an act ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Outcome {
    /// Access was given.
    Granted,
    /// Access was denied, or a delivery was not taken.
    Refused,
    /// An act took effect.
    Done,
    /// An act was tried and had no effect.
    Failed,
}

impl Outcome {
    /// The word in the log.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Granted => "granted",
            Self::Refused => "refused",
            Self::Done => "done",
            Self::Failed => "failed",
        }
    }
}

/// The value of one detail: flat on purpose, so that an entry stays readable and bounded.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(untagged)]
pub enum Detail {
    /// Yes or no.
    Flag(bool),
    /// A count, a size, a status.
    Number(i64),
    /// A short text.
    Text(String),
}

impl From<bool> for Detail {
    fn from(value: bool) -> Self {
        Self::Flag(value)
    }
}

impl From<i64> for Detail {
    fn from(value: i64) -> Self {
        Self::Number(value)
    }
}

impl From<u64> for Detail {
    /// Values above `i64::MAX` become `i64::MAX`.
    fn from(value: u64) -> Self {
        Self::Number(i64::try_from(value).unwrap_or(i64::MAX))
    }
}

impl From<&str> for Detail {
    fn from(value: &str) -> Self {
        Self::Text(value.to_owned())
    }
}

impl From<String> for Detail {
    fn from(value: String) -> Self {
        Self::Text(value)
    }
}

/// What a caller knows about an act; the log adds the position and the time.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EntryDraft {
    /// Who: the text of an identity, [`ANONYMOUS`] or [`SYSTEM`]. At most 512 encoded bytes are kept.
    pub actor: String,
    /// What was done, as a dotted word: `token.grant`, `admin.agreement.put`. At most 64 bytes are kept.
    pub action: String,
    /// To what: a path, a dataset, a delivery. At most 1,024 encoded bytes are kept.
    pub object: String,
    /// How it ended.
    pub outcome: Outcome,
    /// Why, as a stable word; empty if there is nothing to say. At most 128 bytes are kept.
    pub reason: String,
    /// Further facts, taken in the order of their keys until about 6,000 encoded bytes are full. A key
    /// keeps 64 bytes, a text 1,024. The detail `truncated` is then true.
    pub details: BTreeMap<String, Detail>,
}

impl EntryDraft {
    /// A draft without reason and details.
    #[must_use]
    pub fn new(
        actor: impl Into<String>,
        action: impl Into<String>,
        object: impl Into<String>,
        outcome: Outcome,
    ) -> Self {
        Self {
            actor: actor.into(),
            action: action.into(),
            object: object.into(),
            outcome,
            reason: String::new(),
            details: BTreeMap::new(),
        }
    }

    /// The draft with a reason.
    #[must_use]
    pub fn because(mut self, reason: impl Into<String>) -> Self {
        self.reason = reason.into();
        self
    }

    /// The draft with one more detail.
    #[must_use]
    pub fn with(mut self, key: impl Into<String>, value: impl Into<Detail>) -> Self {
        self.details.insert(key.into(), value.into());
        self
    }

    /// The entry at position `seq`. Texts and details beyond their limits are cut, always at the same
    /// place; a cut text ends in an ellipsis. Times outside 1970 to 9999 become the nearer end.
    #[must_use]
    pub fn at(self, seq: u64, time: Timestamp) -> Entry {
        Entry {
            seq,
            time: Timestamp::from_millis(time.millis().clamp(0, LAST_MILLIS)),
            actor: clip(self.actor, MAX_ACTOR),
            action: clip(self.action, MAX_ACTION),
            object: clip(self.object, MAX_OBJECT),
            outcome: self.outcome,
            reason: clip(self.reason, MAX_REASON),
            details: bounded(self.details),
        }
    }
}

/// One entry of the audit log.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Entry {
    /// The position in the log, from 0.
    pub seq: u64,
    /// When, by the clock of the node.
    pub time: Timestamp,
    /// Who.
    pub actor: String,
    /// What was done.
    pub action: String,
    /// To what.
    pub object: String,
    /// How it ended.
    pub outcome: Outcome,
    /// Why.
    pub reason: String,
    /// Further facts.
    pub details: BTreeMap<String, Detail>,
}

impl Entry {
    /// The bytes that the Merkle tree commits to: one line without its end, printable ASCII.
    #[must_use]
    pub fn encode(&self) -> String {
        let mut out = String::with_capacity(256);
        // Writing to a String cannot fail.
        let _ = write!(out, "{{\"seq\":{},\"time\":\"{}\"", self.seq, self.time);
        for (key, text) in [("actor", &self.actor), ("action", &self.action), ("object", &self.object)] {
            push_field(&mut out, key, text);
        }
        push_field(&mut out, "outcome", self.outcome.as_str());
        push_field(&mut out, "reason", &self.reason);
        out.push_str(",\"details\":{");
        for (nth, (key, value)) in self.details.iter().enumerate() {
            if nth > 0 {
                out.push(',');
            }
            json::push_string(&mut out, key);
            out.push(':');
            push_detail(&mut out, value);
        }
        out.push_str("}}");
        out
    }

    /// Reads an encoded entry. `None` if `line` is longer than [`MAX_ENTRY_BYTES`], is not an entry or
    /// is spelt in any other way than [`Entry::encode`] spells it.
    #[must_use]
    pub fn parse(line: &[u8]) -> Option<Self> {
        if line.len() > MAX_ENTRY_BYTES {
            return None;
        }
        let entry: Self = serde_json::from_slice(line).ok()?;
        (entry.encode().as_bytes() == line).then_some(entry)
    }
}

/// Which entries somebody wants to see. An empty filter takes all.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Filter {
    /// At this instant or later.
    pub since: Option<Timestamp>,
    /// Before this instant.
    pub until: Option<Timestamp>,
    /// By exactly this actor.
    pub actor: Option<String>,
    /// This action or those below it: `admin` takes `admin.agreement.put`.
    pub action: Option<String>,
    /// With this outcome.
    pub outcome: Option<Outcome>,
}

impl Filter {
    /// Whether `entry` is wanted.
    #[must_use]
    pub fn takes(&self, entry: &Entry) -> bool {
        self.since.is_none_or(|since| entry.time >= since)
            && self.until.is_none_or(|until| entry.time < until)
            && self.actor.as_ref().is_none_or(|actor| *actor == entry.actor)
            && self.action.as_ref().is_none_or(|action| is_within(&entry.action, action))
            && self.outcome.is_none_or(|outcome| outcome == entry.outcome)
    }
}

fn is_within(action: &str, prefix: &str) -> bool {
    action.strip_prefix(prefix).is_some_and(|rest| rest.is_empty() || rest.starts_with('.'))
}

fn push_field(out: &mut String, key: &str, text: &str) {
    out.push(',');
    json::push_string(out, key);
    out.push(':');
    json::push_string(out, text);
}

fn push_detail(out: &mut String, value: &Detail) {
    match value {
        Detail::Flag(flag) => out.push_str(if *flag { "true" } else { "false" }),
        Detail::Number(number) => out.push_str(&number.to_string()),
        Detail::Text(text) => json::push_string(out, text),
    }
}

/// `text` if its encoded form takes at most `limit` bytes, otherwise as much of its start as fits with
/// an ellipsis.
fn clip(text: String, limit: usize) -> String {
    const ELLIPSIS: char = '\u{2026}';
    let (mut used, mut keep) = (0, 0);
    for (at, c) in text.char_indices() {
        used += json::width(c);
        if used <= limit - json::width(ELLIPSIS) {
            keep = at + c.len_utf8();
        }
        if used > limit {
            let mut start = text[..keep].to_owned();
            start.push(ELLIPSIS);
            return start;
        }
    }
    text
}

fn bounded(details: BTreeMap<String, Detail>) -> BTreeMap<String, Detail> {
    let (mut kept, mut used) = (BTreeMap::new(), 0);
    let mut encoded = String::new();
    for (key, value) in details {
        let key = clip(key, MAX_DETAIL_KEY);
        let value = match value {
            Detail::Text(text) => Detail::Text(clip(text, MAX_DETAIL_TEXT)),
            other => other,
        };
        encoded.clear();
        json::push_string(&mut encoded, &key);
        push_detail(&mut encoded, &value);
        used += encoded.len() + 2;
        if used > MAX_DETAILS {
            kept.insert(TRUNCATED.to_owned(), Detail::Flag(true));
            break;
        }
        kept.insert(key, value);
    }
    kept
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const NOW: Timestamp = Timestamp::from_seconds(1_795_000_000);

    fn draft() -> impl Strategy<Value = EntryDraft> {
        let detail = prop_oneof![
            any::<bool>().prop_map(Detail::Flag),
            any::<i64>().prop_map(Detail::Number),
            text(3000).prop_map(Detail::Text)
        ];
        (text(700), text(80), text(1500), text(200), prop::collection::btree_map(text(90), detail, 0..40)).prop_map(
            |(actor, action, object, reason, details)| {
                let outcome = [Outcome::Granted, Outcome::Refused, Outcome::Done, Outcome::Failed][actor.len() % 4];
                EntryDraft { actor, action, object, outcome, reason, details }
            },
        )
    }

    fn text(longest: usize) -> impl Strategy<Value = String> {
        (prop::collection::vec(any::<char>(), 0..6), 0..longest).prop_map(|(chars, length)| {
            if chars.is_empty() { String::new() } else { chars.iter().cycle().take(length).collect() }
        })
    }

    proptest! {
        #[test]
        fn whatever_the_texts_an_entry_is_one_short_line_that_reads_back(draft in draft(), millis in any::<i64>()) {
            let entry = draft.at(7, Timestamp::from_millis(millis));
            let line = entry.encode();
            prop_assert!(line.len() <= MAX_ENTRY_BYTES);
            prop_assert!(line.bytes().all(|b| (b' '..=b'~').contains(&b)));
            prop_assert_eq!(Entry::parse(line.as_bytes()), Some(entry));
        }

        #[test]
        fn foreign_bytes_never_panic(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
            let _ = Entry::parse(&bytes);
        }
    }

    #[test]
    fn the_encoding_is_the_documented_one() {
        let entry =
            EntryDraft::new("spiffe://x/64.02.a/b", "access.refuse", "/v1/x\r\n\u{1b}[31m\u{202e}", Outcome::Refused)
                .because("no_agreement")
                .with("status", 403_u64)
                .with("method", "GET")
                .with("retry", false)
                .at(12, NOW);
        assert_eq!(
            entry.encode(),
            "{\"seq\":12,\"time\":\"2026-11-18T11:06:40.000Z\",\"actor\":\"spiffe://x/64.02.a/b\",\"action\":\"access.refuse\",\
             \"object\":\"/v1/x\\r\\n\\u001b[31m\\u202e\",\"outcome\":\"refused\",\"reason\":\"no_agreement\",\
             \"details\":{\"method\":\"GET\",\"retry\":false,\"status\":403}}"
        );
    }

    #[test]
    fn another_spelling_of_the_same_entry_is_refused() {
        let line = EntryDraft::new(SYSTEM, "node.start", "", Outcome::Done)
            .with("a", 1_u64)
            .with("b", "x")
            .at(0, NOW)
            .encode();
        assert!(Entry::parse(line.as_bytes()).is_some());
        for (from, to) in [
            ("{\"seq\"", "{ \"seq\""),
            ("system", "s\\u0079stem"),
            ("\"a\":1,\"b\":\"x\"", "\"b\":\"x\",\"a\":1"),
            ("\"a\":1", "\"a\":1.0"),
            ("\"a\":1", "\"a\":1,\"a\":1"),
            (".000Z", "Z"),
            ("\"seq\":0", "\"seq\":0,\"more\":0"),
        ] {
            let other = line.replacen(from, to, 1);
            assert_ne!(other, line);
            assert_eq!(Entry::parse(other.as_bytes()), None, "{other}");
        }
    }

    #[test]
    fn details_that_do_not_fit_are_left_out_and_said_so() {
        let mut draft = EntryDraft::new(SYSTEM, "x", "", Outcome::Done);
        for nth in 0..20 {
            draft = draft.with(format!("key-{nth:02}"), "a".repeat(1000));
        }
        let entry = draft.at(0, NOW);
        assert_eq!(entry.details.get(TRUNCATED), Some(&Detail::Flag(true)));
        assert_eq!(entry.details.len(), 6);
        assert!(entry.details.contains_key("key-04") && !entry.details.contains_key("key-05"));
    }

    #[test]
    fn a_filter_takes_an_action_and_what_lies_below_it() {
        let entry = EntryDraft::new("a", "admin.agreement.put", "", Outcome::Done).at(0, NOW);
        for (action, taken) in
            [("admin", true), ("admin.agreement.put", true), ("admin.agree", false), ("token", false)]
        {
            let filter = Filter { action: Some(action.to_owned()), ..Filter::default() };
            assert_eq!(filter.takes(&entry), taken, "{action}");
        }
        assert!(!Filter { until: Some(NOW), ..Filter::default() }.takes(&entry));
        assert!(Filter { since: Some(NOW), ..Filter::default() }.takes(&entry));
    }
}
