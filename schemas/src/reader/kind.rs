//! What a file is that comes as text and is none: told by its first bytes, before anything is decoded.

/// What the first bytes say.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Look {
    /// More bytes decide.
    Undecided,
    /// Text, as far as can be seen.
    Text,
    /// Something else, by the name that [`crate::cell_words`] has for it.
    Other(&'static str),
}

/// Bytes at the start of a ZIP archive in which the names of its first members stand.
const MEMBERS: usize = 512;
/// Bytes that a mark-up language needs to show itself.
const MARKUP: usize = 16;
/// Blanks at the start that are passed over.
const BLANKS: usize = 64;

const BYTE_ORDER: &[u8] = b"\xef\xbb\xbf";
const ZIP: &[u8] = b"PK\x03\x04";
/// Marks with which files of other kinds begin; none of them begins a table in text.
const MARKS: [(&[u8], &str); 14] = [
    (ZIP, "zip"),
    (b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1", "ole"),
    (b"%PDF-", "pdf"),
    (b"\x89PNG\r\n", "image"),
    (b"\xff\xd8\xff", "image"),
    (b"GIF87a", "image"),
    (b"GIF89a", "image"),
    (b"II*\0", "image"),
    (b"MM\0*", "image"),
    (b"\x1f\x8b\x08", "gzip"),
    (b"PAR1\x15", "parquet"),
    (b"ARROW1\0\0", "arrow"),
    (b"Rar!\x1a\x07", "archive"),
    (b"7z\xbc\xaf\x27\x1c", "archive"),
];

/// Looks at the first bytes of a file; `last` says that there are no more.
pub(crate) fn look(head: &[u8], last: bool) -> Look {
    if let Some((_, is)) = MARKS.iter().find(|(mark, _)| head.starts_with(mark)) {
        return match *is {
            "zip" if head.len() < MEMBERS && !last => Look::Undecided,
            "zip" => Look::Other(archive(head)),
            other => Look::Other(other),
        };
    }
    let begun = |mark: &[u8]| mark.starts_with(head) && mark.len() > head.len();
    if !last && (begun(BYTE_ORDER) || MARKS.iter().any(|(mark, _)| begun(mark))) {
        return Look::Undecided;
    }
    markup(head, last)
}

/// What a ZIP archive holds, by the names of its first members.
fn archive(head: &[u8]) -> &'static str {
    let head = head.get(..MEMBERS).unwrap_or(head);
    let has = |name: &[u8]| head.windows(name.len()).any(|part| part == name);
    match () {
        () if has(b"opendocument.spreadsheet") => "ods",
        () if has(b"opendocument.") || has(b"word/") || has(b"ppt/") => "document",
        () if has(b"[Content_Types].xml") || has(b"xl/") || has(b"docProps/") => "xlsx",
        () => "zip",
    }
}

fn markup(head: &[u8], last: bool) -> Look {
    let text = head.strip_prefix(BYTE_ORDER).unwrap_or(head);
    let text = text.trim_ascii_start();
    match text.first() {
        None if !last && head.len() < BLANKS => return Look::Undecided,
        Some(b'<') if !last && text.len() < MARKUP => return Look::Undecided,
        Some(b'<') => {}
        _ => return Look::Text,
    }
    let start = text.get(..MARKUP.min(text.len())).unwrap_or_default().to_ascii_lowercase();
    let html = ["<!doctype html", "<html", "<head", "<table", "<meta", "<style"];
    match () {
        () if html.iter().any(|mark| start.starts_with(mark.as_bytes())) => Look::Other("html"),
        () if start.starts_with(b"<?xml") => Look::Other("xml"),
        () => Look::Text,
    }
}

/// Whether a header in a one-byte encoding is UTF-8 in truth: it has other characters than ASCII, and all of them are
/// characters of UTF-8. `lines` is the number of lines down to the header.
pub(crate) fn is_utf8(head: &[u8], lines: usize) -> bool {
    let mut ends = head.iter().enumerate().filter(|(_, byte)| **byte == b'\n').map(|(at, _)| at);
    // A header that is cut may be cut within a character.
    let Some(end) = ends.nth(lines.saturating_sub(1)) else { return false };
    let header = head.get(..end).unwrap_or_default();
    !header.is_ascii() && std::str::from_utf8(header).is_ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_are_known_by_their_first_bytes_and_tables_are_left_alone() {
        let zip = |name: &str| [ZIP, &[0; 26], name.as_bytes()].concat();
        for (bytes, is) in [
            (zip("[Content_Types].xml"), "xlsx"),
            (zip("mimetypeapplication/vnd.oasis.opendocument.spreadsheet"), "ods"),
            (zip("data.csv"), "zip"),
            (b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1 etc.".to_vec(), "ole"),
            (b"%PDF-1.7\n".to_vec(), "pdf"),
            (b"\x89PNG\r\n\x1a\n".to_vec(), "image"),
            (b"\xef\xbb\xbf\r\n <!DOCTYPE html><html>".to_vec(), "html"),
            (b"<TABLE border=1><tr>".to_vec(), "html"),
            (b"<?xml version=\"1.0\"?>".to_vec(), "xml"),
        ] {
            assert_eq!(look(&bytes, true), Look::Other(is), "{is}");
            let decided =
                (0..bytes.len()).map(|cut| look(&bytes[..cut], false)).find(|found| *found != Look::Undecided);
            assert!(matches!(decided, None | Some(Look::Other(_))), "{is}: {decided:?}");
        }
        for text in
            ["", "a,b\n", "PAR1;PAR2\n", "PK,nama\n", "<5;>5\n", "%PD", "{\"a\": 1}", "[", "GIF;n\n", "\n\n", "II*\n"]
        {
            assert_eq!(look(text.as_bytes(), true), Look::Text, "{text}");
        }
        assert_eq!(look(b"kode", false), Look::Text);
    }

    #[test]
    fn a_header_in_utf8_is_told_from_one_in_a_byte_a_letter() {
        assert!(is_utf8("a;Luas (km²)\n1;2\n".as_bytes(), 1));
        assert!(is_utf8("Judul\na;km²\n".as_bytes(), 2));
        assert!(!is_utf8(b"a;Luas (km\xb2)\n1;2\n", 1));
        assert!(!is_utf8("a;b\n1;²\n".as_bytes(), 1));
        assert!(!is_utf8("a;km²".as_bytes(), 1));
    }

    proptest::proptest! {
        #[test]
        fn no_bytes_stop_it(bytes in proptest::collection::vec(proptest::num::u8::ANY, 0..80), last in proptest::bool::ANY) {
            let _ = (look(&bytes, last), is_utf8(&bytes, 1));
        }
    }
}
