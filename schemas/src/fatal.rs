//! The words for files that cannot be read at all.

use std::borrow::Cow;

use crate::reader::csv::CsvStop;
use crate::reader::decode::DecodeStop;
use crate::reader::json::JsonStop;
use crate::report::{Fatal, Lang, Text, parsers, speech};
use crate::validator::Limits;

fn fatal(kind: &'static str, detail: &'static str, id: impl Into<String>, en: impl Into<String>) -> Fatal {
    Fatal {
        kind: Cow::Borrowed(kind),
        detail: Cow::Borrowed(detail),
        row: None,
        column: None,
        byte: None,
        message: Box::new(Text::new(id, en)),
        hint: None,
    }
}

#[allow(clippy::unnecessary_wraps, reason = "the field is an option")]
fn advice(text: Text) -> Option<Box<Text>> {
    Some(Box::new(text))
}

/// Bytes that are no text in the encoding of that name.
pub(crate) fn decode(stop: DecodeStop, row: u64, name: &str) -> Fatal {
    match stop {
        DecodeStop::Invalid { byte, .. } | DecodeStop::Detected { byte, .. } => Fatal {
            row: Some(row),
            byte: Some(byte),
            hint: advice(other_encoding(stop)),
            ..fatal(
                "encoding-error",
                "encoding",
                format!("Berkas bukan {name} (byte ke-{}, baris {row}).", speech::count(byte, Lang::Id)),
                format!("The file is not {name} (byte {}, row {row}).", speech::count(byte, Lang::En)),
            )
        },
        DecodeStop::Nul { byte } => Fatal {
            row: Some(row),
            byte: Some(byte),
            hint: advice(Text::fixed(
                "Berkas rusak, atau bukan berkas teks. Simpan ulang sebagai CSV UTF-8.",
                "The file is damaged, or no text file. Save it again as CSV UTF-8.",
            )),
            ..fatal(
                "source-error",
                "nul",
                format!("Berkas memuat karakter NUL (byte ke-{}, baris {row}).", speech::count(byte, Lang::Id)),
                format!("The file holds a NUL character (byte {}, row {row}).", speech::count(byte, Lang::En)),
            )
        },
    }
}

/// What to do about a file in another encoding; the one that it looks like is offered, and only the sender can say so.
fn other_encoding(stop: DecodeStop) -> Text {
    match stop {
        DecodeStop::Invalid { looks_like: Some(found), .. } => {
            let found = found.name();
            Text::new(
                format!(
                    "Berkas tampaknya memakai {found}. Simpan sebagai «CSV UTF-8», atau kirim lagi dengan --encoding {found} (HTTP: Content-Type: text/csv; charset={found})."
                ),
                format!(
                    "The file seems to be {found}. Save it as “CSV UTF-8”, or send it again with --encoding {found} (HTTP: Content-Type: text/csv; charset={found})."
                ),
            )
        }
        _ => Text::fixed(
            "Simpan sebagai CSV UTF-8. Bila berkas memang memakai pengodean lain, sebutkan dengan --encoding (HTTP: charset pada Content-Type).",
            "Save as CSV UTF-8. If the file does use another encoding, name it with --encoding (HTTP: charset of the Content-Type).",
        ),
    }
}

/// Nothing in the file.
pub(crate) fn empty() -> Fatal {
    Fatal {
        hint: advice(Text::fixed(
            "Periksa apakah berkas yang benar yang dipilih, dan apakah sudah disimpan.",
            "Check that it is the right file, and that it was saved.",
        )),
        ..fatal("source-error", "empty", "Berkas kosong.", "The file is empty.")
    }
}

/// Only comments in the file.
pub(crate) fn no_header() -> Fatal {
    Fatal {
        hint: advice(Text::fixed(
            "Tulis nama kolom di baris judul, seperti dalam standar data.",
            "Write the names of the columns in the header, as in the contract.",
        )),
        ..fatal("source-error", "header", "Berkas tidak punya baris judul.", "The file has no header.")
    }
}

/// The header does not fit; what is wrong stands in the report.
pub(crate) fn header() -> Fatal {
    Fatal {
        hint: advice(Text::fixed(
            "Perbaiki judul kolom seperti disebut dalam laporan ini; baris data baru diperiksa sesudah itu.",
            "Correct the labels as this report says; the rows are checked after that.",
        )),
        ..fatal(
            "header-error",
            "header",
            "Judul kolom tidak sesuai standar data.",
            "The header does not fit the contract.",
        )
    }
}

/// Something that cannot be.
pub(crate) fn internal() -> Fatal {
    Fatal {
        hint: advice(Text::fixed(
            "Sampaikan berkas dan standar datanya kepada pengelola simpul.",
            "Give the file and its contract to whoever runs the node.",
        )),
        ..fatal("internal-error", "arrow", "Kesalahan di dalam program.", "A fault in the program.")
    }
}

/// Too many different keys.
pub(crate) fn keys_full(limits: &Limits) -> Fatal {
    let limit = limits.key_bytes >> 20;
    Fatal {
        hint: advice(Text::fixed("Bagi berkas menjadi beberapa kiriman.", "Divide the file into several deliveries.")),
        ..fatal(
            "limit-error",
            "keys",
            format!("Kunci dalam berkas memerlukan lebih dari {limit} MiB."),
            format!("The keys of the file need more than {limit} MiB."),
        )
    }
}

/// Records that cannot be read.
pub(crate) fn csv(stop: &CsvStop, limits: &Limits) -> Fatal {
    let quote_hint = Text::fixed(
        "Tutup kutipnya, atau gandakan kutip yang merupakan bagian dari isi.",
        "Close the quote, or double a quote that is part of the value.",
    );
    match stop {
        CsvStop::Unterminated { row, column } => Fatal {
            row: Some(*row),
            column: Some(*column as u64),
            hint: advice(quote_hint),
            ..fatal(
                "source-error",
                "quote",
                format!("Kutip yang dibuka di baris {row}, kolom {column}, tidak ditutup."),
                format!("The quote opened in row {row}, column {column}, is never closed."),
            )
        },
        CsvStop::CellTooLong { row, column, quoted } => Fatal {
            row: Some(*row),
            column: Some(*column as u64),
            hint: if *quoted { advice(quote_hint) } else { advice(delimiter_hint()) },
            ..too_long("cell", "sel", "cell", *row, limits.cell_bytes)
        },
        CsvStop::RowTooLong { row } => too_long("row", "baris", "row", *row, limits.row_bytes),
        CsvStop::TooManyColumns { row } => too_many(*row, limits.columns, ("kolom", "columns")),
    }
}

fn delimiter_hint() -> Text {
    Text::fixed(
        "Periksa tanda pemisah dan akhir baris; mungkin seluruh berkas terbaca sebagai satu baris.",
        "Check the delimiters and line ends; the whole file may be read as one row.",
    )
}

fn too_many(row: u64, limit: usize, (id, en): (&str, &str)) -> Fatal {
    let said = |lang| speech::count(limit as u64, lang);
    Fatal {
        row: Some(row),
        hint: advice(delimiter_hint()),
        ..fatal(
            "limit-error",
            "columns",
            format!("Baris {row} punya lebih dari {} {id}.", said(Lang::Id)),
            format!("Row {row} has more than {} {en}.", said(Lang::En)),
        )
    }
}

fn too_long(detail: &'static str, id: &str, en: &str, row: u64, limit: usize) -> Fatal {
    let said = |lang| speech::count(limit as u64, lang);
    Fatal {
        row: Some(row),
        hint: advice(delimiter_hint()),
        ..fatal(
            "limit-error",
            detail,
            format!("Di baris {row} ada {id} yang lebih panjang dari {} byte.", said(Lang::Id)),
            format!("In row {row} a {en} is longer than {} bytes.", said(Lang::En)),
        )
    }
}

/// JSON that cannot be read.
pub(crate) fn json(stop: &JsonStop, limits: &Limits) -> Fatal {
    match stop {
        JsonStop::CellTooLong { row } => too_long("cell", "nilai", "value", *row, limits.cell_bytes),
        JsonStop::RowTooLong { row } => too_long("row", "baris", "row", *row, limits.row_bytes),
        JsonStop::TooManyMembers { row } => too_many(*row, limits.columns, ("nama", "names")),
        JsonStop::Document { why, line, column } => {
            let why = parsers::json(why);
            Fatal {
                row: *line,
                column: *column,
                hint: advice(Text::fixed(
                    "Simpan sebagai larik objek, [{…}, {…}], atau satu objek per baris (.ndjson).",
                    "Save it as an array of objects, [{…}, {…}], or one object a line (.ndjson).",
                )),
                ..fatal(
                    "source-error",
                    "json",
                    format!("Berkas bukan JSON yang memuat larik baris{}: {}.", at(*line, *column, Lang::Id), why.id),
                    format!("The file is not JSON with an array of rows{}: {}.", at(*line, *column, Lang::En), why.en),
                )
            }
        }
    }
}

/// Where in the document.
fn at(line: Option<u64>, column: Option<u64>, lang: Lang) -> String {
    match (line, column.filter(|column| *column > 0), lang) {
        (Some(line), Some(column), Lang::Id) => format!(" (baris {line}, huruf ke-{column})"),
        (Some(line), Some(column), Lang::En) => format!(" (line {line}, character {column})"),
        _ => String::new(),
    }
}
