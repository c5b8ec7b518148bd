//! JSON strings in one spelling: printable ASCII stands for itself, everything else is escaped.
//!
//! No control character, no bidirectional override and no look-alike letter of another alphabet
//! can reach a terminal or a log viewer through an audit line.

use std::fmt::Write as _;

/// Appends `text` to `out` as a JSON string with its quotes.
pub(super) fn push_string(out: &mut String, text: &str) {
    out.push('"');
    text.chars().for_each(|c| push_char(out, c));
    out.push('"');
}

/// Bytes that `c` takes inside a JSON string.
pub(super) fn width(c: char) -> usize {
    match c {
        '"' | '\\' | '\n' | '\r' | '\t' | '\u{8}' | '\u{c}' => 2,
        ' '..='~' => 1,
        _ => 6 * c.len_utf16(),
    }
}

fn push_char(out: &mut String, c: char) {
    match c {
        '"' => out.push_str("\\\""),
        '\\' => out.push_str("\\\\"),
        '\n' => out.push_str("\\n"),
        '\r' => out.push_str("\\r"),
        '\t' => out.push_str("\\t"),
        '\u{8}' => out.push_str("\\b"),
        '\u{c}' => out.push_str("\\f"),
        ' '..='~' => out.push(c),
        _ => {
            let mut units = [0_u16; 2];
            for unit in c.encode_utf16(&mut units) {
                // Writing to a String cannot fail.
                let _ = write!(out, "\\u{unit:04x}");
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn a_string_is_printable_ascii_and_reads_back(text in any::<String>()) {
            let mut out = String::new();
            push_string(&mut out, &text);
            prop_assert!(out.bytes().all(|b| (b' '..=b'~').contains(&b)));
            prop_assert_eq!(out.len(), 2 + text.chars().map(width).sum::<usize>());
            prop_assert_eq!(serde_json::from_str::<String>(&out).unwrap(), text);
        }
    }
}
