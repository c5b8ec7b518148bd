//! The words for files that cannot be read at all.

use std::borrow::Cow;

use crate::reader::csv::CsvStop;
use crate::reader::decode::DecodeStop;
use crate::reader::json::JsonStop;
use crate::report::{Fatal, Text};
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

/// Bytes that are no text.
pub(crate) fn decode(stop: DecodeStop, row: u64, declared: Option<&'static encoding_rs::Encoding>) -> Fatal {
    let name = declared.map_or("UTF-8", encoding_rs::Encoding::name);
    match stop {
        DecodeStop::Invalid { byte, .. } => Fatal {
            row: Some(row),
            byte: Some(byte),
            hint: advice(Text::fixed(
                "Simpan sebagai CSV UTF-8. Bila berkas memang memakai pengodean lain (misalnya windows-1252 dari Excel), sebutkan dalam standar data.",
                "Save as CSV UTF-8. If the file does use another encoding (such as windows-1252 from Excel), the contract has to say so.",
            )),
            ..fatal(
                "encoding-error",
                "encoding",
                format!("Berkas bukan {name} (byte ke-{byte}, baris {row})."),
                format!("The file is not {name} (byte {byte}, row {row})."),
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
                format!("Berkas memuat karakter NUL (byte ke-{byte}, baris {row})."),
                format!("The file holds a NUL character (byte {byte}, row {row})."),
            )
        },
    }
}

/// Nothing in the file.
pub(crate) fn empty() -> Fatal {
    fatal("source-error", "empty", "Berkas kosong.", "The file is empty.")
}

/// Only comments in the file.
pub(crate) fn no_header() -> Fatal {
    fatal("source-error", "header", "Berkas tidak punya baris judul.", "The file has no header.")
}

/// The header does not fit; what is wrong stands in the report.
pub(crate) fn header() -> Fatal {
    fatal("header-error", "header", "Judul kolom tidak sesuai standar data.", "The header does not fit the contract.")
}

/// Something that cannot be.
pub(crate) fn internal(why: &str) -> Fatal {
    fatal("internal-error", "arrow", format!("Kesalahan internal: {why}"), format!("Internal error: {why}"))
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
            hint: quoted.then(|| Box::new(quote_hint)),
            ..too_long("cell", "sel", "cell", *row, limits.cell_bytes)
        },
        CsvStop::RowTooLong { row } => too_long("row", "baris", "row", *row, limits.row_bytes),
        CsvStop::TooManyColumns { row } => Fatal {
            row: Some(*row),
            ..fatal(
                "limit-error",
                "columns",
                format!("Baris {row} punya lebih dari {} kolom.", limits.columns),
                format!("Row {row} has more than {} columns.", limits.columns),
            )
        },
    }
}

fn too_long(detail: &'static str, id: &str, en: &str, row: u64, limit: usize) -> Fatal {
    Fatal {
        row: Some(row),
        ..fatal(
            "limit-error",
            detail,
            format!("Di baris {row} ada {id} yang lebih panjang dari {limit} byte."),
            format!("In row {row} a {en} is longer than {limit} bytes."),
        )
    }
}

/// JSON that cannot be read.
pub(crate) fn json(stop: &JsonStop, limits: &Limits) -> Fatal {
    match stop {
        JsonStop::CellTooLong { row } => too_long("cell", "nilai", "value", *row, limits.cell_bytes),
        JsonStop::RowTooLong { row } => too_long("row", "baris", "row", *row, limits.row_bytes),
        JsonStop::TooManyMembers { row } => Fatal {
            row: Some(*row),
            ..fatal(
                "limit-error",
                "columns",
                format!("Baris {row} punya lebih dari {} nama.", limits.columns),
                format!("Row {row} has more than {} names.", limits.columns),
            )
        },
        JsonStop::Document { why, line, column } => Fatal {
            row: *line,
            column: *column,
            ..fatal(
                "source-error",
                "json",
                format!("Berkas bukan JSON yang memuat larik baris: {why}."),
                format!("The file is not JSON with an array of rows: {why}."),
            )
        },
    }
}
