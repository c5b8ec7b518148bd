//! The outer form of signed texts: JWS compact serialization (RFC 7515) and strict JSON.
//!
//! Two readers that understand one text differently are how a check is passed by and a claim is used. So
//! there is exactly one accepted spelling: three parts, base64url without padding or stray bits, and
//! JSON objects in which no member occurs twice.

use std::cell::Cell;
use std::collections::BTreeSet;
use std::fmt;

use base64::{Engine, prelude::BASE64_URL_SAFE_NO_PAD};
use serde::de::{self, DeserializeSeed, Deserializer, MapAccess, SeqAccess, Visitor};
use serde_json::{Map, Value};

/// The deepest nesting of objects and arrays that is read; the outermost object is level 1.
pub const MAX_DEPTH: usize = 16;

/// What is wrong with the outer form of a signed text.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Malformed {
    /// More bytes than the reader takes.
    #[error("longer than the limit")]
    TooLong,
    /// Not three non-empty parts separated by dots: an encrypted token, an unsigned one, a JSON serialization.
    #[error("not a JWS in compact serialization")]
    NotCompact,
    /// A part is not base64url without padding, or has bits set beyond its last byte.
    #[error("a part is not canonical base64url")]
    Base64,
    /// A part is not one JSON object.
    #[error("a part is not a JSON object")]
    Json,
    /// An object, at any level, has two members of one name.
    #[error("a JSON object has a member twice")]
    DuplicateMember,
    /// Nested deeper than [`MAX_DEPTH`].
    #[error("JSON nested too deeply")]
    TooDeep,
}

impl Malformed {
    /// The stable word for the audit log.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            Self::TooLong => "too_long",
            Self::NotCompact => "not_compact_jws",
            Self::Base64 => "bad_base64",
            Self::Json => "bad_json",
            Self::DuplicateMember => "duplicate_member",
            Self::TooDeep => "too_deep",
        }
    }
}

/// A JWS whose parts are separated but not yet believed.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Compact<'a> {
    /// What the signature covers: header, dot, payload, as they came.
    pub(crate) signed: &'a str,
    header: &'a str,
    payload: &'a str,
    signature: &'a str,
}

impl<'a> Compact<'a> {
    pub(crate) fn split(text: &'a str, limit: usize) -> Result<Self, Malformed> {
        if text.len() > limit {
            return Err(Malformed::TooLong);
        }
        let (signed, signature) = text.rsplit_once('.').ok_or(Malformed::NotCompact)?;
        let (header, payload) = signed.split_once('.').ok_or(Malformed::NotCompact)?;
        if header.is_empty() || payload.is_empty() || signature.is_empty() || payload.contains('.') {
            return Err(Malformed::NotCompact);
        }
        Ok(Self { signed, header, payload, signature })
    }

    pub(crate) fn header(&self) -> Result<Map<String, Value>, Malformed> {
        object(&base64url(self.header)?)
    }

    /// The payload as bytes that [`object`] has accepted.
    pub(crate) fn payload(&self) -> Result<Map<String, Value>, Malformed> {
        object(&base64url(self.payload)?)
    }

    pub(crate) fn signature(&self) -> Result<Vec<u8>, Malformed> {
        base64url(self.signature)
    }
}

/// Decodes base64url as RFC 7515 writes it. The engine refuses padding, white space and stray bits at the end.
pub(crate) fn base64url(text: &str) -> Result<Vec<u8>, Malformed> {
    BASE64_URL_SAFE_NO_PAD.decode(text).map_err(|_| Malformed::Base64)
}

/// Reads one JSON object in which no object repeats a member and nothing is nested deeper than [`MAX_DEPTH`].
pub(crate) fn object(json: &[u8]) -> Result<Map<String, Value>, Malformed> {
    let fault = Cell::new(Malformed::Json);
    let mut reader = serde_json::Deserializer::from_slice(json);
    let scan = Scan { levels_left: MAX_DEPTH, fault: &fault };
    scan.deserialize(&mut reader).and_then(|()| reader.end()).map_err(|_| fault.get())?;
    serde_json::from_slice(json).map_err(|_| Malformed::Json)
}

/// Walks over a JSON value and keeps nothing of it.
#[derive(Clone, Copy)]
struct Scan<'a> {
    levels_left: usize,
    fault: &'a Cell<Malformed>,
}

impl Scan<'_> {
    fn refuse<E: de::Error>(self, fault: Malformed) -> E {
        self.fault.set(fault);
        E::custom(fault)
    }

    fn descend<E: de::Error>(self) -> Result<Self, E> {
        match self.levels_left.checked_sub(1) {
            Some(levels_left) => Ok(Self { levels_left, ..self }),
            None => Err(self.refuse(Malformed::TooDeep)),
        }
    }
}

impl<'de> DeserializeSeed<'de> for Scan<'_> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Scan<'_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a JSON value")
    }

    fn visit_unit<E>(self) -> Result<(), E> {
        Ok(())
    }

    fn visit_bool<E>(self, _: bool) -> Result<(), E> {
        Ok(())
    }

    fn visit_i64<E>(self, _: i64) -> Result<(), E> {
        Ok(())
    }

    fn visit_u64<E>(self, _: u64) -> Result<(), E> {
        Ok(())
    }

    fn visit_f64<E>(self, _: f64) -> Result<(), E> {
        Ok(())
    }

    fn visit_str<E>(self, _: &str) -> Result<(), E> {
        Ok(())
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<(), A::Error> {
        let inner = self.descend()?;
        while items.next_element_seed(inner)?.is_some() {}
        Ok(())
    }

    fn visit_map<A: MapAccess<'de>>(self, mut members: A) -> Result<(), A::Error> {
        let inner = self.descend()?;
        let mut seen = BTreeSet::new();
        while let Some(name) = members.next_key::<String>()? {
            if !seen.insert(name) {
                return Err(self.refuse(Malformed::DuplicateMember));
            }
            members.next_value_seed(inner)?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_one_spelling_of_an_object_is_read() {
        let deep = |levels: usize| format!("{}1{}", "{\"a\":".repeat(levels), "}".repeat(levels));
        for (json, expected) in [
            (r#"{"a":1,"b":{"a":2}}"#.to_owned(), None),
            (deep(MAX_DEPTH), None),
            (deep(MAX_DEPTH + 1), Some(Malformed::TooDeep)),
            (deep(10_000), Some(Malformed::TooDeep)),
            (format!(r#"{{"a":{}{}}}"#, "[".repeat(16), "]".repeat(16)), Some(Malformed::TooDeep)),
            (r#"{"a":1,"a":1}"#.to_owned(), Some(Malformed::DuplicateMember)),
            (r#"{"scope":1,"sc\u006fpe":2}"#.to_owned(), Some(Malformed::DuplicateMember)),
            (r#"{"x":[{"a":1,"a":2}]}"#.to_owned(), Some(Malformed::DuplicateMember)),
            (r#"{"a":1}{"#.to_owned(), Some(Malformed::Json)),
            (r#"{"a":NaN}"#.to_owned(), Some(Malformed::Json)),
            (r#"{"a":1,}"#.to_owned(), Some(Malformed::Json)),
            ("[1]".to_owned(), Some(Malformed::Json)),
            (String::new(), Some(Malformed::Json)),
        ] {
            assert_eq!(object(json.as_bytes()).err(), expected, "{json:.60}");
        }
        assert_eq!(object(b"{\"a\":\"\xff\"}").err(), Some(Malformed::Json));
    }

    #[test]
    fn base64url_has_one_spelling() {
        assert_eq!(base64url("QQ").unwrap(), b"A");
        for text in ["QQ==", "QR", "Q", "Q Q", "QQ\n", "+/+/", "é"] {
            assert_eq!(base64url(text).err(), Some(Malformed::Base64), "{text:?}");
        }
    }
}
