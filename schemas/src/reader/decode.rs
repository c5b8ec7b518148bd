//! Bytes to text: UTF-8 checked as it streams, UTF-16 and the one-byte encodings transcoded.

use encoding_rs::{DecoderResult, Encoding, UTF_8, UTF_16BE, UTF_16LE, WINDOWS_1252};

/// What stopped the decoding, and at which byte of the file (counted from 0).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum DecodeStop {
    /// The bytes are not text in the declared encoding.
    Invalid {
        /// Offset of the first bad byte.
        byte: u64,
        /// The encoding that the bytes look like instead.
        looks_like: Option<&'static Encoding>,
    },
    /// The bytes are not UTF-8 but another encoding, in which the text goes on: see [`Decoder::resume`].
    Detected {
        /// Offset of the first byte that says so.
        byte: u64,
        /// That encoding.
        encoding: &'static Encoding,
    },
    /// A NUL character.
    Nul {
        /// Offset of the NUL; counted in decoded bytes when the file is not UTF-8.
        byte: u64,
    },
}

/// Bytes at the start that a byte order mark takes, or two characters of UTF-16 without one.
const HEAD_BYTES: usize = 4;
/// Bytes that windows-1252 does not define: a file that holds them is something else.
const UNDEFINED_1252: [u8; 5] = [0x81, 0x8d, 0x8f, 0x90, 0x9d];

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
    /// Another encoding than UTF-8 is looked for.
    detect: bool,
    /// Windows-1252 was detected.
    detected: bool,
    /// Nothing but ASCII so far.
    ascii: bool,
    /// Bytes that wait for [`Decoder::resume`], and whether they are the last.
    waiting: Option<(Vec<u8>, bool)>,
}

/// Finds an encoding by its registered name or by the name Python gives it.
pub(crate) fn encoding_for(name: &str) -> Option<&'static Encoding> {
    let name = name.trim().to_ascii_lowercase().replace('_', "-");
    match name.as_str() {
        // Text that claims to be ASCII and is more is UTF-8 or a fault, but never read as windows-1252, which the web does.
        "utf-8-sig" | "utf8-sig" | "ascii" | "us-ascii" => Some(UTF_8),
        "latin-1" => Encoding::for_label(b"latin1"),
        "cp-1252" => Encoding::for_label(b"cp1252"),
        "utf16" | "utf-16" => Some(UTF_16LE),
        "utf-16le" | "utf-16-le" => Some(UTF_16LE),
        "utf-16be" | "utf-16-be" => Some(UTF_16BE),
        other => Encoding::for_label(other.as_bytes()),
    }
}

/// An encoding of text, by the names of the WHATWG Encoding Standard and those that Python uses.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TextEncoding(pub(crate) &'static Encoding);

impl TextEncoding {
    /// Finds an encoding by its name: `utf-8`, `utf-16`, `windows-1252`, `latin-1` and the like, in any case.
    #[must_use]
    pub fn named(name: &str) -> Option<Self> {
        encoding_for(name).map(Self)
    }

    /// Its name.
    #[must_use]
    pub fn name(self) -> &'static str {
        self.0.name()
    }
}

impl Decoder {
    /// A decoder for the declared encoding, or for UTF-8 and whatever a byte order mark says.
    pub(crate) fn new(declared: Option<&'static Encoding>) -> Self {
        Self {
            declared,
            kind: None,
            head: Vec::new(),
            offset: 0,
            decoded: 0,
            behind: None,
            nul_is_text: false,
            detect: false,
            detected: false,
            ascii: true,
            waiting: None,
        }
    }

    /// A decoder that also finds out about UTF-16 without a mark and windows-1252 where no encoding is declared.
    ///
    /// It never takes back what it read: as long as there was only ASCII, the first byte that cannot be UTF-8 decides for
    /// windows-1252; behind a character of UTF-8 such a byte is a fault.
    pub(crate) fn detecting(declared: Option<&'static Encoding>) -> Self {
        Self { detect: declared.is_none(), ..Self::new(declared) }
    }

    /// The name of the declared encoding.
    pub(crate) fn name(&self) -> &'static str {
        self.declared.map_or("UTF-8", Encoding::name)
    }

    /// Goes on behind [`DecodeStop::Detected`].
    pub(crate) fn resume(&mut self, out: &mut String) -> Result<(), DecodeStop> {
        let (bytes, last) = self.waiting.take().unwrap_or_default();
        self.step(&bytes, last, out)
    }

    /// [`Decoder::decode`] that goes on by itself in the encoding that was detected.
    pub(crate) fn decode_on(&mut self, bytes: &[u8], last: bool, out: &mut String) -> Result<(), DecodeStop> {
        let mut result = self.decode(bytes, last, out);
        while let Err(DecodeStop::Detected { .. }) = result {
            result = self.resume(out);
        }
        result
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
            if self.head.len() < HEAD_BYTES && !last {
                return Ok(());
            }
            let head = std::mem::take(&mut self.head);
            let (encoding, skip) = self.choose(&head);
            self.begin(encoding);
            self.offset = skip as u64;
            let rest = head.get(skip..).unwrap_or_default();
            if self.detect && encoding != UTF_8 {
                self.waiting = Some((rest.to_vec(), last));
                return Err(DecodeStop::Detected { byte: 0, encoding });
            }
            return self.step(rest, last, out);
        }
        self.step(bytes, last, out)
    }

    fn begin(&mut self, encoding: &'static Encoding) {
        self.kind = Some(if encoding == UTF_8 {
            Kind::Utf8 { carry: Vec::with_capacity(4) }
        } else {
            Kind::Other(Box::new(encoding.new_decoder_without_bom_handling()))
        });
    }

    /// Decides the encoding from the start of the file; says how long the byte order mark is.
    fn choose(&self, head: &[u8]) -> (&'static Encoding, usize) {
        let utf16 = |encoding: &Encoding| encoding == UTF_16LE || encoding == UTF_16BE;
        match (self.declared, head) {
            (None, [0xff, 0xfe, ..]) => (UTF_16LE, 2),
            (None, [0xfe, 0xff, ..]) => (UTF_16BE, 2),
            (Some(declared), [0xff, 0xfe, ..]) if utf16(declared) => (UTF_16LE, 2),
            (Some(declared), [0xfe, 0xff, ..]) if utf16(declared) => (UTF_16BE, 2),
            (None, [0xef, 0xbb, 0xbf, ..]) => (UTF_8, 3),
            (Some(declared), [0xef, 0xbb, 0xbf, ..]) if declared == UTF_8 => (UTF_8, 3),
            (None, _) if self.detect => (unmarked_utf16(head).unwrap_or(UTF_8), 0),
            (declared, _) => (declared.unwrap_or(UTF_8), 0),
        }
    }

    fn step(&mut self, bytes: &[u8], last: bool, out: &mut String) -> Result<(), DecodeStop> {
        let (written, base) = (out.len(), self.offset);
        self.offset += bytes.len() as u64;
        let (text_base, result) = match &mut self.kind {
            Some(Kind::Utf8 { carry }) => {
                let (carried, base) = (carry.clone(), base - carry.len() as u64);
                let read = utf8(carry, bytes, last, out);
                (base, read.map_err(|at| (base + at as u64, [&carried, bytes].concat().split_off(at))))
            }
            Some(Kind::Other(decoder)) => {
                let good = if self.detected { defined_1252(bytes) } else { bytes.len() };
                let read = other(decoder, bytes.get(..good).unwrap_or_default(), last, out);
                let read = if good < bytes.len() { read.and(Err(good)) } else { read };
                (self.decoded, read.map_err(|at| (base + at as u64, Vec::new())))
            }
            None => (base, Ok(())),
        };
        let fresh = out.as_bytes().get(written..).unwrap_or_default();
        self.ascii = self.ascii && fresh.is_ascii();
        self.decoded += fresh.len() as u64;
        let nul = memchr::memchr(0, fresh).filter(|_| !self.nul_is_text);
        let result = result.map_err(|(byte, rest)| self.fault(byte, rest, last));
        if let Some(at) = nul {
            self.behind = Some((out.split_off(written + at), result));
            return Err(DecodeStop::Nul { byte: text_base + at as u64 });
        }
        result
    }

    /// What a byte is that does not fit; `rest` is the text from it on where that may be in another encoding.
    fn fault(&mut self, byte: u64, rest: Vec<u8>, last: bool) -> DecodeStop {
        let looks_like = match *rest {
            [0xff, 0xfe, ..] if byte == 0 => Some(UTF_16LE),
            [0xfe, 0xff, ..] if byte == 0 => Some(UTF_16BE),
            [first, ..] => Some(WINDOWS_1252).filter(|_| self.ascii && !UNDEFINED_1252.contains(&first)),
            [] => None,
        };
        let (true, Some(encoding)) = (self.detect, looks_like) else {
            return DecodeStop::Invalid { byte, looks_like };
        };
        self.begin(encoding);
        self.detected = true;
        (self.offset, self.decoded) = (byte, byte);
        self.waiting = Some((rest, last));
        DecodeStop::Detected { byte, encoding }
    }
}

/// How many bytes stand before the first that windows-1252 does not define.
fn defined_1252(bytes: &[u8]) -> usize {
    let [a, b, c, d, e] = UNDEFINED_1252;
    let first = memchr::memchr3(a, b, c, bytes).unwrap_or(bytes.len());
    memchr::memchr2(d, e, bytes.get(..first).unwrap_or_default()).unwrap_or(first)
}

/// UTF-16 whose first two characters are ASCII: no other text holds a NUL there.
fn unmarked_utf16(head: &[u8]) -> Option<&'static Encoding> {
    let text = |byte: u8| byte != 0 && byte.is_ascii();
    match *head {
        [a, 0, b, 0, ..] if text(a) && text(b) => Some(UTF_16LE),
        [0, a, 0, b, ..] if text(a) && text(b) => Some(UTF_16BE),
        _ => None,
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
            assert_eq!(stop, Err(DecodeStop::Invalid { byte: 13, looks_like: Some(WINDOWS_1252) }), "piece {piece}");
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

    fn detected(bytes: &[u8], piece: usize) -> (String, Vec<DecodeStop>) {
        let mut decoder = Decoder::detecting(None);
        let (mut out, mut stops) = (String::new(), Vec::new());
        for (chunk, last) in bytes.chunks(piece).map(|chunk| (chunk, false)).chain([(&[][..], true)]) {
            let mut result = decoder.decode(chunk, last, &mut out);
            while let Err(stop) = result {
                stops.push(stop);
                if !matches!(stop, DecodeStop::Detected { .. }) {
                    return (out, stops);
                }
                result = decoder.resume(&mut out);
            }
        }
        (out, stops)
    }

    #[test]
    fn what_is_not_utf8_is_detected_where_nothing_is_declared_and_nowhere_else() {
        let utf16 = |text: &str, mark: bool, order: fn(u16) -> [u8; 2]| -> Vec<u8> {
            mark.then_some('\u{feff}').into_iter().chain(text.chars()).flat_map(|c| order(c as u16)).collect()
        };
        for piece in 1..9 {
            let at = |byte, encoding| vec![DecodeStop::Detected { byte, encoding }];
            let windows = b"a,Caf\xe9 \x96\n2,\xf1\xc3\xa9";
            assert_eq!(detected(windows, piece), ("a,Café –\n2,ñÃ©".to_owned(), at(5, WINDOWS_1252)));
            assert_eq!(detected(b"Caf\xe9", piece), ("Café".to_owned(), at(3, WINDOWS_1252)));
            for (mark, order) in [
                (true, u16::to_le_bytes as fn(u16) -> [u8; 2]),
                (true, u16::to_be_bytes),
                (false, u16::to_le_bytes),
                (false, u16::to_be_bytes),
            ] {
                let (text, stops) = detected(&utf16("nama\nCafé", mark, order), piece);
                assert_eq!((text.as_str(), stops.len()), ("nama\nCafé", 1), "{mark}");
            }
            assert_eq!(detected("nama\nCafé".as_bytes(), piece), ("nama\nCafé".to_owned(), vec![]));
            // Behind a character of UTF-8, and where windows-1252 has no character either, it is a fault.
            let fault = |byte| vec![DecodeStop::Invalid { byte, looks_like: None }];
            assert_eq!(detected("é \u{e9}".as_bytes(), piece).1, vec![]);
            assert_eq!(detected(b"\xc3\xa9 \xe9 ", piece).1, fault(3));
            assert_eq!(detected(b"ab \x81c", piece).1, fault(3));
        }
    }
}
