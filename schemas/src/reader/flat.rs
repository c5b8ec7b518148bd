//! The common object of a line: single values under the names of the contract, in its order, without escapes.
//!
//! It is read in one pass over its bytes. Whatever is not as plain as that, a fault above all, is left to the JSON parser, which
//! reads the object again: this reader never refuses anything.

use super::rows::{Span, Tag};
use crate::field::same;

/// Whether objects can be read under these names: none of them needs an escape.
pub(crate) fn fits(names: &[String]) -> bool {
    names.iter().all(|name| !name.bytes().any(|byte| byte < b' ' || byte == b'"' || byte == b'\\'))
}

/// Puts the cells of the object that `source` is into `slots`, one for each of `names`. `base` is where `source` begins in the
/// text, `longest` the most bytes of a cell. `None` when the object is not plain; then `slots` hold no sense.
pub(crate) fn read(
    source: &str,
    base: usize,
    names: &[String],
    longest: usize,
    slots: &mut [Option<Span>],
) -> Option<()> {
    let mut scan = Scan { bytes: source.as_bytes(), at: 0 };
    scan.skip(b'{')?;
    let mut next = 0;
    loop {
        let index = next + scan.name(names.get(next..)?)?;
        scan.skip(b':')?;
        let span = scan.value(base)?;
        if span.len() > longest {
            return None;
        }
        *slots.get_mut(index)? = Some(span);
        next = index + 1;
        scan.space();
        let byte = scan.peek()?;
        scan.at += 1;
        match byte {
            b',' => {}
            b'}' => break,
            _ => return None,
        }
    }
    scan.space();
    scan.peek().is_none().then_some(())
}

struct Scan<'a> {
    bytes: &'a [u8],
    at: usize,
}

impl<'a> Scan<'a> {
    #[inline]
    fn peek(&self) -> Option<u8> {
        self.bytes.get(self.at).copied()
    }

    #[inline]
    fn space(&mut self) {
        while let Some(b' ' | b'\t' | b'\r' | b'\n') = self.peek() {
            self.at += 1;
        }
    }

    /// Passes spaces and this byte.
    #[inline]
    fn skip(&mut self, byte: u8) -> Option<()> {
        self.space();
        (self.peek()? == byte).then(|| self.at += 1)
    }

    /// Passes a name; says which of `names` it is.
    #[inline]
    fn name(&mut self, names: &[String]) -> Option<usize> {
        self.skip(b'"')?;
        let rest: &'a [u8] = self.bytes.get(self.at..)?;
        // Mostly it is the next one.
        if let Some(first) = names.first().map(String::as_bytes)
            && rest.get(first.len()) == Some(&b'"')
            && same(rest.get(..first.len())?, first)
        {
            self.at += first.len() + 1;
            return Some(0);
        }
        let name = rest.get(..memchr::memchr(b'"', rest)?)?;
        self.at += name.len() + 1;
        names.iter().position(|known| same(known.as_bytes(), name))
    }

    /// Passes a value.
    #[inline]
    fn value(&mut self, base: usize) -> Option<Span> {
        self.space();
        match self.peek()? {
            b'"' => {
                self.at += 1;
                let rest = self.bytes.get(self.at..)?;
                let text = rest.get(..memchr::memchr2(b'"', b'\\', rest)?)?;
                let control = text.iter().fold(false, |found, byte| found | (*byte < b' '));
                if control || rest.get(text.len()) != Some(&b'"') {
                    return None;
                }
                let start = self.at;
                self.at += text.len() + 1;
                Some(Span::text(base + start, base + start + text.len()))
            }
            b'n' => self.word(b"null").map(|_| Span::NULL),
            b't' => self.word(b"true").map(|start| self.span(base, start, Tag::Bool)),
            b'f' => self.word(b"false").map(|start| self.span(base, start, Tag::Bool)),
            b'-' | b'0'..=b'9' => self.number().map(|start| self.span(base, start, Tag::Number)),
            _ => None,
        }
    }

    fn span(&self, base: usize, start: usize, tag: Tag) -> Span {
        Span::text(base + start, base + self.at).tagged(tag)
    }

    /// Passes this word; says where it began.
    fn word(&mut self, word: &[u8]) -> Option<usize> {
        let start = self.at;
        self.bytes.get(start..)?.starts_with(word).then(|| {
            self.at += word.len();
            start
        })
    }

    /// Passes a number without an exponent; says where it began.
    #[inline]
    fn number(&mut self) -> Option<usize> {
        let start = self.at;
        self.at += usize::from(self.peek()? == b'-');
        let zero = self.peek()? == b'0';
        let whole = self.digits();
        if whole == 0 || zero && whole > 1 {
            return None;
        }
        if self.peek() == Some(b'.') {
            self.at += 1;
            if self.digits() == 0 {
                return None;
            }
        }
        (!matches!(self.peek(), Some(b'e' | b'E'))).then_some(start)
    }

    #[inline]
    fn digits(&mut self) -> usize {
        let start = self.at;
        while let Some(b'0'..=b'9') = self.peek() {
            self.at += 1;
        }
        self.at - start
    }
}
