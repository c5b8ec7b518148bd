//! Bytes to text: UTF-8 checked as it streams, UTF-16 and the one-byte encodings transcoded.

use encoding_rs::{DecoderResult, Encoding, UTF_8, UTF_16BE, UTF_16LE};

/// What stopped the decoding, and at which byte of the file (counted from 0).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum DecodeStop {
    /// The bytes are not text in the declared encoding.
    Invalid {
        /// Offset of the first bad byte.
        byte: u64,
        /// The bad byte itself, where it is known.
        value: Option<u8>,
    },
    /// A NUL character.
    Nul {
        /// Offset of the NUL; counted in decoded bytes when the file is not UTF-8.
        byte: u64,
    },
}

/// The most bytes that a byte order mark takes.
const BOM_BYTES: usize = 3;

enum Kind {
    Utf8 { carry: Vec<u8> },
    Other(Box<encoding_rs::Decoder>),
}

/// A streaming decoder.
pub(crate) struct Decoder {
    declared: Option<&'static Encoding>,
    kind: Option<Kind>,
    head: Vec<u8>,
    offset: u64,
    /// Bytes of text made so far.
    decoded: u64,
    /// Text from a NUL that stopped the decoding on, and what came of the bytes behind it.
    behind: Option<(String, Result<(), DecodeStop>)>,
    /// NUL characters are text like any other.
    nul_is_text: bool,
}

/// Finds an encoding by its registered name or by the name Python gives it.
pub(crate) fn encoding_for(name: &str) -> Option<&'static Encoding> {
    let name = name.trim().to_ascii_lowercase().replace('_', "-");
    match name.as_str() {
        "utf-8-sig" | "utf8-sig" => Some(UTF_8),
        "latin-1" => Encoding::for_label(b"latin1"),
        "cp-1252" => Encoding::for_label(b"cp1252"),
        "utf16" | "utf-16" => Some(UTF_16LE),
        "utf-16le" | "utf-16-le" => Some(UTF_16LE),
        "utf-16be" | "utf-16-be" => Some(UTF_16BE),
        other => Encoding::for_label(other.as_bytes()),
    }
}

impl Decoder {
    /// A decoder for the declared encoding, or for UTF-8 and whatever a byte order mark says.
    pub(crate) fn new(declared: Option<&'static Encoding>) -> Self {
        Self { declared, kind: None, head: Vec::new(), offset: 0, decoded: 0, behind: None, nul_is_text: false }
    }

    /// Goes on behind a NUL, which is text from here on.
    pub(crate) fn keep_nul(&mut self, out: &mut String) -> Result<(), DecodeStop> {
        self.nul_is_text = true;
        let (text, result) = self.behind.take().unwrap_or((String::new(), Ok(())));
        out.push_str(&text);
        result
    }

    /// Appends the text of `bytes` to `out`; what comes before the fault is appended too.
    pub(crate) fn decode(&mut self, bytes: &[u8], last: bool, out: &mut String) -> Result<(), DecodeStop> {
        if self.kind.is_none() {
            self.head.extend_from_slice(bytes);
            if self.head.len() < BOM_BYTES && !last {
                return Ok(());
            }
            let head = std::mem::take(&mut self.head);
            let skip = self.choose(&head);
            self.offset = skip as u64;
            return self.step(head.get(skip..).unwrap_or_default(), last, out);
        }
        self.step(bytes, last, out)
    }

    /// Decides the encoding from the mark at the start; says how long the mark is.
    fn choose(&mut self, head: &[u8]) -> usize {
        let utf16 = |encoding: &Encoding| encoding == UTF_16LE || encoding == UTF_16BE;
        let (encoding, skip) = match (self.declared, head) {
            (None, [0xff, 0xfe, ..]) => (UTF_16LE, 2),
            (None, [0xfe, 0xff, ..]) => (UTF_16BE, 2),
            (Some(declared), [0xff, 0xfe, ..]) if utf16(declared) => (UTF_16LE, 2),
            (Some(declared), [0xfe, 0xff, ..]) if utf16(declared) => (UTF_16BE, 2),
            (None, [0xef, 0xbb, 0xbf, ..]) => (UTF_8, 3),
            (Some(declared), [0xef, 0xbb, 0xbf, ..]) if declared == UTF_8 => (UTF_8, 3),
            (declared, _) => (declared.unwrap_or(UTF_8), 0),
        };
        self.kind = Some(if encoding == UTF_8 {
            Kind::Utf8 { carry: Vec::with_capacity(4) }
        } else {
            Kind::Other(Box::new(encoding.new_decoder_without_bom_handling()))
        });
        skip
    }

    fn step(&mut self, bytes: &[u8], last: bool, out: &mut String) -> Result<(), DecodeStop> {
        let written = out.len();
        let base = self.offset;
        let text_base = match &self.kind {
            Some(Kind::Utf8 { carry }) => base - carry.len() as u64,
            _ => self.decoded,
        };
        let result = match &mut self.kind {
            Some(Kind::Utf8 { carry }) => {
                let base = base - carry.len() as u64;
                utf8(carry, bytes, last, out).map_err(|at| DecodeStop::Invalid { byte: base + at as u64, value: None })
            }
            Some(Kind::Other(decoder)) => other(decoder, bytes, last, out)
                .map_err(|at| DecodeStop::Invalid { byte: base + at as u64, value: None }),
            None => Ok(()),
        };
        self.offset += bytes.len() as u64;
        let fresh = out.as_bytes().get(written..).unwrap_or_default();
        self.decoded += fresh.len() as u64;
        if let Some(at) = memchr::memchr(0, fresh).filter(|_| !self.nul_is_text) {
            self.behind = Some((out.split_off(written + at), result));
            return Err(DecodeStop::Nul { byte: text_base + at as u64 });
        }
        result
    }
}

/// Checks `carry + bytes`; an incomplete character at the end waits in `carry`. The error is an
/// offset counted from the start of the carry.
fn utf8(carry: &mut Vec<u8>, bytes: &[u8], last: bool, out: &mut String) -> Result<(), usize> {
    let mut rest = bytes;
    let carried = carry.len();
    while !carry.is_empty() {
        match std::str::from_utf8(carry) {
            Ok(text) => {
                out.push_str(text);
                carry.clear();
            }
            Err(fault) if fault.error_len().is_some() => return Err(0),
            Err(_) => match rest.split_first() {
                Some((byte, tail)) => {
                    carry.push(*byte);
                    rest = tail;
                }
                None => return if last { Err(0) } else { Ok(()) },
            },
        }
    }
    let done = carried + bytes.len() - rest.len();
    match std::str::from_utf8(rest) {
        Ok(text) => out.push_str(text),
        Err(fault) => {
            let (good, bad) = rest.split_at(fault.valid_up_to());
            out.push_str(std::str::from_utf8(good).unwrap_or_default());
            if fault.error_len().is_some() || last {
                return Err(done + good.len());
            }
            carry.extend_from_slice(bad);
        }
    }
    Ok(())
}

fn other(decoder: &mut encoding_rs::Decoder, bytes: &[u8], last: bool, out: &mut String) -> Result<(), usize> {
    let mut read = 0;
    loop {
        let rest = bytes.get(read..).unwrap_or_default();
        out.reserve(decoder.max_utf8_buffer_length_without_replacement(rest.len()).unwrap_or(rest.len()));
        let (result, used) = decoder.decode_to_string_without_replacement(rest, out, last);
        read += used;
        match result {
            DecoderResult::InputEmpty => return Ok(()),
            DecoderResult::OutputFull => {}
            DecoderResult::Malformed(bad, after) => {
                return Err(read.saturating_sub(usize::from(bad) + usize::from(after)));
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn all(encoding: Option<&str>, bytes: &[u8], piece: usize) -> (String, Result<(), DecodeStop>) {
        let mut decoder = Decoder::new(encoding.and_then(encoding_for));
        let mut out = String::new();
        for chunk in bytes.chunks(piece) {
            if let Err(stop) = decoder.decode(chunk, false, &mut out) {
                return (out, Err(stop));
            }
        }
        let end = decoder.decode(&[], true, &mut out);
        (out, end)
    }

    #[test]
    fn a_character_cut_between_pieces_is_whole_again_and_a_bad_byte_is_named() {
        for piece in 1..9 {
            assert_eq!(all(None, "\u{feff}añ日👩".as_bytes(), piece), ("añ日👩".to_owned(), Ok(())));
            let (out, stop) = all(Some("utf-8"), b"id,nama\n1,Caf\xe9\n", piece);
            assert_eq!(stop, Err(DecodeStop::Invalid { byte: 13, value: None }), "piece {piece}");
            assert!(out.starts_with("id,nama\n1,"));
            assert_eq!(all(None, "日\0".as_bytes(), piece).1, Err(DecodeStop::Nul { byte: 3 }));
            assert_eq!(all(Some("utf-16le"), b"a\0b\0\0\0", piece).1, Err(DecodeStop::Nul { byte: 2 }));
            assert_eq!(all(None, b"ab\0c", piece).1, Err(DecodeStop::Nul { byte: 2 }));
            assert_eq!(all(Some("windows-1252"), b"Caf\xe9", piece).0, "Café");
            assert_eq!(all(Some("utf-16"), b"\xff\xfea\x00b\x00", piece).0, "ab");
            assert_eq!(all(None, b"\xfe\xff\x00a\x00b", piece).0, "ab");
            assert!(all(None, b"a\xe2\x82", piece).1.is_err(), "a cut character at the end");
        }
    }
}
