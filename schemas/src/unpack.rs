//! What lies between the files of a resource and the reader: gzip, and several files as one.

use std::io::Write;

use flate2::write::MultiGzDecoder;
use serde_json::Value;

use crate::validator::{Format, Validator};

/// The longest header line that is recognised when a later file repeats it, in bytes.
const HEADER_BYTES: usize = 64 << 10;

/// Whether the resource says, or its path shows, that its files are gzipped.
pub(crate) fn is_gzip(resource: &Value) -> bool {
    let first = resource.get("path").map(|path| path.get(0).unwrap_or(path)).and_then(Value::as_str);
    match resource.get("compression").and_then(Value::as_str) {
        Some(word) => word == "gz" || word == "gzip",
        None => first.is_some_and(|path| path.to_ascii_lowercase().ends_with(".gz")),
    }
}

/// Feeds files into a validator as if they were one.
///
/// A later file of lines begins on a line of its own, and its first line is passed over when it
/// repeats the first line of the first file, which is the header.
pub(crate) struct Unpacked<'a> {
    gzip: bool,
    decoder: MultiGzDecoder<Joined<'a>>,
    damaged: bool,
}

struct Joined<'a> {
    validator: &'a mut Validator,
    /// Takes what the validator gave since the last call.
    after: &'a mut dyn FnMut(&mut Validator),
    lines: bool,
    /// The first line of the first file, as far as it was read.
    header: Vec<u8>,
    header_done: bool,
    /// The beginning of a later file while it may still be the header.
    held: Option<Vec<u8>>,
    last: u8,
}

impl<'a> Unpacked<'a> {
    /// A way into `validator`; `after` is called whenever bytes went in, to take the rows that came of them.
    pub(crate) fn new(
        gzip: bool,
        format: Format,
        validator: &'a mut Validator,
        after: &'a mut dyn FnMut(&mut Validator),
    ) -> Self {
        let joined = Joined {
            validator,
            after,
            lines: format == Format::Csv,
            header: Vec::new(),
            header_done: false,
            held: None,
            last: b'\n',
        };
        Self { gzip, decoder: MultiGzDecoder::new(joined), damaged: false }
    }

    /// The next bytes of the file.
    pub(crate) fn push(&mut self, bytes: &[u8]) {
        if !self.gzip {
            self.decoder.get_mut().take(bytes);
        } else if !self.damaged {
            self.damaged = self.decoder.write_all(bytes).is_err();
        }
    }

    /// The file ended and another one follows.
    pub(crate) fn next_file(&mut self) {
        if self.gzip {
            self.damaged |= self.decoder.flush().is_err();
        }
        self.decoder.get_mut().next_file();
    }

    /// The last file ended; says whether a gzip stream was damaged.
    pub(crate) fn finish(mut self) -> bool {
        if self.gzip && !self.damaged {
            self.damaged = self.decoder.try_finish().is_err();
        }
        self.decoder.get_mut().release();
        self.damaged
    }
}

impl Joined<'_> {
    fn take(&mut self, bytes: &[u8]) {
        let Some(held) = &mut self.held else {
            self.remember(bytes);
            return self.pass(bytes);
        };
        held.extend_from_slice(bytes);
        let end = held.iter().position(|byte| matches!(byte, b'\n' | b'\r'));
        if end.is_some() || held.len() > HEADER_BYTES {
            self.release();
        }
    }

    fn remember(&mut self, bytes: &[u8]) {
        if self.lines && !self.header_done {
            let end = bytes.iter().position(|byte| matches!(byte, b'\n' | b'\r'));
            self.header.extend_from_slice(bytes.get(..end.unwrap_or(bytes.len())).unwrap_or_default());
            self.header_done = end.is_some() || self.header.len() > HEADER_BYTES;
        }
    }

    fn pass(&mut self, bytes: &[u8]) {
        self.last = bytes.last().copied().unwrap_or(self.last);
        let _ = self.validator.push(bytes);
        (self.after)(self.validator);
    }

    fn next_file(&mut self) {
        self.release();
        if self.lines {
            if !matches!(self.last, b'\n' | b'\r') {
                self.pass(b"\n");
            }
            self.header_done = true;
            self.held = Some(Vec::new());
        }
    }

    /// Passes on what was held back, without a repeated header.
    fn release(&mut self) {
        let Some(held) = self.held.take() else { return };
        let bare = |bytes: &[u8]| bytes.strip_prefix(b"\xef\xbb\xbf").unwrap_or(bytes).to_vec();
        let end = held.iter().position(|byte| matches!(byte, b'\n' | b'\r')).unwrap_or(held.len());
        let (line, rest) = held.split_at(end);
        if bare(line) != bare(&self.header) {
            return self.pass(&held);
        }
        let rest = rest.strip_prefix(b"\r\n").or_else(|| rest.get(1..)).unwrap_or_default();
        if !rest.is_empty() {
            self.pass(rest);
        }
    }
}

impl Write for Joined<'_> {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.take(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}
