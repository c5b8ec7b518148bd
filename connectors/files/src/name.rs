//! What file names mean, and how a free one is found.

use simpul_connector_api::Format;

/// The longest file name on the usual file systems, in bytes.
const NAME_MAX: usize = 255;
/// What is appended for the clerk's report.
pub const REPORT_TEXT: &str = ".laporan.txt";
/// What is appended for the program's report.
pub const REPORT_JSON: &str = ".laporan.json";

/// Whether a file of this name is none of ours: hidden, an editor's lock, an unfinished transfer.
pub fn ignored(name: &[u8]) -> bool {
    const UNFINISHED: [&str; 5] = [".part", ".partial", ".tmp", ".filepart", ".crdownload"];
    let lower = name.to_ascii_lowercase();
    name.starts_with(b".") || name.starts_with(b"~$") || UNFINISHED.iter().any(|end| lower.ends_with(end.as_bytes()))
}

/// The format that an extension promises.
pub fn format(name: &str) -> Option<Format> {
    match name.rsplit_once('.')?.1.to_ascii_lowercase().as_str() {
        "csv" => Some(Format::Csv),
        "ndjson" | "jsonl" => Some(Format::Ndjson),
        "xlsx" | "xlsm" => Some(Format::Xlsx),
        "xls" => Some(Format::Xls),
        "ods" => Some(Format::Ods),
        "parquet" => Some(Format::Parquet),
        "arrow" | "arrows" | "feather" => Some(Format::Arrow),
        _ => None,
    }
}

/// The `number`th name to try for a file: `data.csv`, `data (2).csv`, … It leaves room for the reports' endings.
pub fn numbered(name: &str, number: u32) -> String {
    const LONGEST_EXTENSION: usize = 16;
    let cut = name.rfind('.').filter(|at| *at > 0 && name.len() - at <= LONGEST_EXTENSION).unwrap_or(name.len());
    let (stem, extension) = name.split_at(cut);
    let suffix = if number > 1 { format!(" ({number})") } else { String::new() };
    let room = NAME_MAX - REPORT_JSON.len() - suffix.len() - extension.len();
    format!("{}{suffix}{extension}", &stem[..stem.floor_char_boundary(room)])
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn unfinished_and_hidden_files_are_ignored() {
        for name in [".x.csv", "~$data.csv", "a.csv.part", "a.PART", "b.filepart", ".", ".."] {
            assert!(ignored(name.as_bytes()), "{name}");
        }
        for name in ["a.csv", "Data Penduduk Kutai é.csv", "part.csv", "~a.csv"] {
            assert!(!ignored(name.as_bytes()), "{name}");
        }
    }

    #[test]
    fn numbers_stand_before_the_extension() {
        assert_eq!(numbered("a b.csv", 1), "a b.csv");
        assert_eq!(numbered("a b.csv", 2), "a b (2).csv");
        assert_eq!(numbered("tanpa", 3), "tanpa (3)");
    }

    proptest! {
        #[test]
        fn a_numbered_name_and_its_reports_always_fit(name in "[^/\0]{1,255}", number in 1u32..10_000) {
            let numbered = numbered(&name, number);
            prop_assert!(numbered.len() + REPORT_JSON.len() <= NAME_MAX);
            prop_assert!(!numbered.contains('/') && !numbered.is_empty());
        }

        #[test]
        fn other_numbers_are_other_names(name in "[a-zé.]{1,300}", a in 1u32..100, b in 1u32..100) {
            prop_assert_eq!(a == b, numbered(&name, a) == numbered(&name, b));
        }
    }
}
