//! The words of parsers in our own words. A parser's sentence is English and may repeat what it read, so nothing of it
//! reaches a report.

use super::Text;

/// What a JSON parser says, and what we say. The first that the sentence contains holds.
const JSON: [(&str, &str, &str); 21] = [
    ("EOF while parsing a string", "teks yang dibuka dengan tanda kutip tidak ditutup", "a string is not closed"),
    ("EOF while parsing", "isinya berakhir sebelum lengkap", "it ends before it is complete"),
    ("expected `:`", "tanda «:» sesudah nama tidak ada", "there is no “:” after a name"),
    ("expected `,` or `]`", "tanda «,» atau «]» tidak ada", "there is no “,” or “]”"),
    ("expected `,` or `}`", "tanda «,» atau «}» tidak ada", "there is no “,” or “}”"),
    ("key must be a string", "nama harus diapit tanda kutip ganda", "a name has to stand in double quotes"),
    ("trailing comma", "ada tanda «,» yang berlebih", "there is a “,” too many"),
    ("trailing characters", "ada isi sesudah akhir objek", "something follows the end of the object"),
    ("invalid escape", "ada tanda «\\» yang tidak sah dalam teks", "a string holds a “\\” that means nothing"),
    ("escape", "ada tanda «\\» yang tidak sah dalam teks", "a string holds a “\\” that means nothing"),
    ("surrogate", "ada huruf «\\u…» yang tidak lengkap", "a character “\\u…” is incomplete"),
    ("unicode code point", "ada huruf «\\u…» yang tidak sah", "a character “\\u…” does not exist"),
    ("control character", "ada karakter kendali dalam teks", "a string holds a control character"),
    ("NUL", "ada karakter NUL dalam teks", "a string holds a NUL character"),
    ("invalid number", "ada bilangan yang salah tulis", "a number is written wrongly"),
    ("number out of range", "ada bilangan yang terlalu besar", "a number is too large"),
    ("recursion limit", "isinya bersusun terlalu dalam", "it nests too deeply"),
    ("nests too deep", "isinya bersusun terlalu dalam", "it nests too deeply"),
    ("a JSON object", "isinya bukan objek dalam kurung kurawal {…}", "it is no object in braces {…}"),
    ("invalid type", "isinya bukan larik dalam kurung siku […]", "it is no array in brackets […]"),
    ("too many members", "namanya terlalu banyak", "it has too many names"),
];

/// Why a text is not the JSON that it should be.
pub(crate) fn json(said: &str) -> Text {
    match JSON.iter().find(|(sign, _, _)| said.contains(sign)) {
        Some((_, id, en)) => Text::fixed(id, en),
        None => Text::fixed("tulisannya tidak mengikuti aturan JSON", "it does not follow the rules of JSON"),
    }
}

/// Why a file cannot be opened or read.
#[must_use]
pub fn io(kind: std::io::ErrorKind) -> Text {
    use std::io::ErrorKind;
    match kind {
        ErrorKind::NotFound => Text::fixed("berkasnya tidak ada", "there is no such file"),
        ErrorKind::PermissionDenied => {
            Text::fixed("tidak ada izin untuk membacanya", "there is no permission to read it")
        }
        ErrorKind::IsADirectory => Text::fixed("itu folder, bukan berkas", "it is a folder, not a file"),
        ErrorKind::StorageFull => Text::fixed("penyimpanan penuh", "the storage is full"),
        ErrorKind::UnexpectedEof => Text::fixed("berkas terputus", "the file ends early"),
        ErrorKind::InvalidData => Text::fixed("isinya rusak", "its content is damaged"),
        _ => Text::fixed("perangkat atau jaringan gagal membacanya", "the device or network failed to read it"),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::Value;

    use super::*;

    #[test]
    fn no_word_of_the_parser_is_repeated() {
        for text in [
            "",
            "{",
            "[1",
            "{\"a\"",
            "{\"a\" 1}",
            "{a:1}",
            "[1,]",
            "1 2",
            "\"\\x\"",
            "\"\\ud800\"",
            "\"\u{1}\"",
            "01",
            "1e999",
            "tru",
            "\"a",
            "{\"a\":1 \"b\"}",
            "[1 2]",
        ] {
            let said = serde_json::from_str::<Value>(text).unwrap_err().to_string();
            let ours = json(&said);
            assert_ne!(ours.id, "", "{said}");
            for word in ["EOF", "expected", "parsing", "column", "invalid", "trailing"] {
                assert!(!ours.id.contains(word) && !ours.en.contains(word), "{said}: {ours:?}");
            }
        }
        let said = serde_json::from_str::<Vec<Value>>("\"6403010101010001\"").unwrap_err().to_string();
        assert!(said.contains("6403010101010001"), "the parser repeats what it read");
        assert_eq!(json(&said).en, "it is no array in brackets […]");
    }
}
