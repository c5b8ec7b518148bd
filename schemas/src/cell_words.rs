//! The words for workbooks and columnar files: why one cannot be read, and what its typed cells have against a field.

use std::borrow::Cow;

use crate::field::Field;
use crate::form::Form;
use crate::messages::Words;
use crate::reader::cells::{CellFault, CellStop, Foreign};
use crate::reader::rows::Tag;
use crate::report::{Fatal, Text, shown};
use crate::validator::Limits;

/// Digits that Excel keeps of a number; those beyond become zeros.
const EXCEL_DIGITS: usize = 15;

/// Why a foreign file cannot be read.
pub(crate) fn fatal(stop: &CellStop, format: Foreign, limits: &Limits) -> Fatal {
    let (row, column, words) = match stop {
        CellStop::CellTooLong { row, column } => (
            Some(*row),
            Some(*column as u64),
            limit(
                "cell",
                format!("Di baris {row}, kolom {column} ada sel yang lebih panjang dari {} byte.", limits.cell_bytes),
                format!("In row {row}, column {column} a cell is longer than {} bytes.", limits.cell_bytes),
            ),
        ),
        CellStop::RowTooLong { row } => (
            Some(*row),
            None,
            limit(
                "row",
                format!("Baris {row} lebih panjang dari {} byte.", limits.row_bytes),
                format!("Row {row} is longer than {} bytes.", limits.row_bytes),
            ),
        ),
        CellStop::TooManyColumns { row } => (
            Some(*row),
            None,
            limit(
                "columns",
                format!("Baris {row} punya lebih dari {} kolom.", limits.columns),
                format!("Row {row} has more than {} columns.", limits.columns),
            ),
        ),
        CellStop::Fault(fault) => (None, None, fault_words(fault, format)),
    };
    Fatal { row, column, ..words }
}

fn words(kind: &'static str, detail: &'static str, id: impl Into<String>, en: impl Into<String>) -> Fatal {
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

fn limit(detail: &'static str, id: impl Into<String>, en: impl Into<String>) -> Fatal {
    words("limit-error", detail, id, en)
}

impl Fatal {
    fn advise(mut self, id: impl Into<String>, en: impl Into<String>) -> Self {
        self.hint = Some(Box::new(Text::new(id, en)));
        self
    }
}

fn fault_words(fault: &CellFault, format: Foreign) -> Fatal {
    let name = format.name();
    let unreadable = |detail, why_id: &str, why_en: &str| {
        words(
            "source-error",
            detail,
            format!("Berkas tidak dapat dibaca sebagai {name}: {why_id}."),
            format!("The file cannot be read as {name}: {why_en}."),
        )
    };
    match fault {
        CellFault::Other { is } => other_words(is, name),
        CellFault::Encrypted => unreadable("encrypted", "berkas dilindungi kata sandi", "a password protects it")
            .advise("Hapus kata sandinya, simpan, lalu kirim lagi.", "Remove the password, save it and send it again."),
        CellFault::NoSheet { wanted, sheets } => {
            let sheets = sheets.iter().map(|sheet| format!("«{}»", shown(sheet))).collect::<Vec<_>>().join(", ");
            words(
                "source-error",
                "sheet",
                format!("Buku kerja tidak punya lembar «{}».", shown(wanted)),
                format!("The workbook has no sheet “{}”.", shown(wanted)),
            )
            .advise(format!("Lembar yang ada: {sheets}."), format!("It has the sheets {sheets}."))
        }
        CellFault::Damaged { why } => unreadable("damaged", &shown(why), &shown(why)).advise(
            "Buka berkas itu dengan aplikasinya, simpan ulang, lalu kirim lagi.",
            "Open the file with its application, save it again and send it again.",
        ),
        CellFault::Unsupported { what } => words(
            "source-error",
            "unsupported",
            format!("Berkas {name} ini memuat yang tidak dapat diterima: {}.", shown(what)),
            format!("This {name} file holds what cannot be taken: {}.", shown(what)),
        ),
        CellFault::Bomb { limit: bytes } => limit(
            "unpacked",
            format!("Isi berkas menjadi lebih dari {bytes} byte bila dibuka."),
            format!("The file unpacks to more than {bytes} bytes."),
        ),
        CellFault::Memory => limit(
            "memory",
            format!("Berkas {name} ini memerlukan lebih banyak memori daripada yang disediakan untuk satu berkas."),
            format!("This {name} file needs more memory than one file is given."),
        )
        .advise(
            "Kirim isinya sebagai CSV, atau hapus sel berformat yang jauh di luar tabel.",
            "Send its content as CSV, or delete formatted cells far outside the table.",
        ),
        CellFault::Time => limit(
            "time",
            format!("Berkas {name} ini memerlukan lebih banyak waktu daripada yang disediakan untuk satu berkas."),
            format!("This {name} file needs more time than one file is given."),
        )
        .advise("Kirim isinya sebagai CSV.", "Send its content as CSV."),
        CellFault::Died => unreadable("damaged", "isinya menggagalkan pembacanya", "its content broke the reader")
            .advise(
                "Buka berkas itu dengan aplikasinya, simpan ulang, lalu kirim lagi.",
                "Open the file with its application, save it again and send it again.",
            ),
    }
}

/// A file that comes as text of the kind `name` and is none.
pub(crate) fn no_text(is: &str, name: &str) -> Fatal {
    let (id, en) = match is {
        "xlsx" | "ods" => (
            "Kirim dengan nama dan jenis yang sebenarnya (.xlsx, .ods), atau simpan dari aplikasinya sebagai CSV UTF-8.",
            "Send it under its true name and type (.xlsx, .ods), or save it from its application as CSV UTF-8.",
        ),
        "ole" => (
            "Buka dengan Excel atau LibreOffice, hapus kata sandinya bila ada, lalu simpan sebagai XLSX atau CSV UTF-8.",
            "Open it with Excel or LibreOffice, remove its password if it has one, and save it as XLSX or CSV UTF-8.",
        ),
        "html" | "xml" => (
            "Buka dengan Excel atau LibreOffice, lalu simpan sebagai CSV UTF-8.",
            "Open it with Excel or LibreOffice, and save it as CSV UTF-8.",
        ),
        "zip" | "gzip" | "archive" => {
            ("Buka arsipnya, lalu kirim berkas di dalamnya.", "Unpack it, and send the file in it.")
        }
        "pdf" | "image" | "document" => (
            "Tabel di dalamnya tidak dapat dibaca. Minta tabel aslinya sebagai XLSX atau CSV UTF-8.",
            "A table in it cannot be read. Ask for the table itself as XLSX or CSV UTF-8.",
        ),
        _ => (
            "Kirim dengan nama dan jenis yang sebenarnya, atau simpan sebagai CSV UTF-8.",
            "Send it under its true name and type, or save it as CSV UTF-8.",
        ),
    };
    other_words(is, name).advise(id, en)
}

/// The file is something else than its name says.
fn other_words(is: &str, name: &str) -> Fatal {
    let (id, en) = match is {
        "ole" => ("berkas Office lama, misalnya buku kerja XLS", "an old Office file, such as an XLS workbook"),
        "archive" => ("arsip", "an archive"),
        "xlsx" => ("buku kerja XLSX", "an XLSX workbook"),
        "xls" => ("buku kerja Excel lama (XLS)", "an old Excel workbook (XLS)"),
        "xlsb" => ("buku kerja biner Excel (XLSB)", "a binary Excel workbook (XLSB)"),
        "ods" => ("lembar kerja OpenDocument (ODS)", "an OpenDocument spreadsheet (ODS)"),
        "parquet" => ("berkas Parquet", "a Parquet file"),
        "arrow" => ("berkas Arrow IPC", "an Arrow IPC file"),
        "html" => ("halaman HTML yang diberi nama lain", "an HTML page under another name"),
        "xml" => ("berkas XML", "an XML file"),
        "json" => ("berkas JSON", "a JSON file"),
        "text" => ("berkas teks, mungkin CSV", "a text file, perhaps CSV"),
        "pdf" => ("dokumen PDF", "a PDF document"),
        "document" => ("dokumen, bukan lembar kerja", "a document, not a spreadsheet"),
        "zip" => ("arsip ZIP", "a ZIP archive"),
        "gzip" => ("berkas gzip", "a gzip file"),
        "image" => ("gambar", "an image"),
        "empty" => ("kosong", "empty"),
        _ => ("berkas jenis lain", "a file of another kind"),
    };
    words(
        "format-error",
        "other",
        format!("Berkas ini bukan {name}, melainkan {id}."),
        format!("This file is not {name} but {en}."),
    )
    .advise(
        format!("Buka lalu «Simpan sebagai» {name}, atau kirim dengan nama dan jenis yang sebenarnya."),
        format!("Open it and “Save as” {name}, or send it under its true name and type."),
    )
}

/// What a typed cell has against its field, where the words for text would mislead.
pub(crate) fn cell(field: &Field, tag: Tag, value: &str) -> Option<Words> {
    let said = |id: &str, en: &str| Words::new(id, en);
    let advised = |id: &'static str, en: &'static str, words: Words| Words { hint: Some(Text::fixed(id, en)), ..words };
    Some(match (tag, &field.form) {
        (Tag::Number, Form::Text(_)) if rounded(value) => advised(
            "Excel membulatkan angka setelah 15 angka, jadi angka terakhirnya mungkin sudah salah. Format kolom sebagai Teks, lalu ketik ulang dari sumbernya.",
            "Excel rounds numbers after 15 digits, so the last ones are probably wrong. Format the column as Text, then type it again from its source.",
            said("Excel menyimpan «{value}» sebagai angka.", "Excel keeps “{value}” as a number."),
        ),
        (Tag::Number, Form::Text(_)) => advised(
            "Format kolom sebagai Teks, lalu ketik ulang.",
            "Format the column as Text, then type it again.",
            said(
                "Sel menyimpan «{value}» sebagai angka, bukan teks.",
                "The cell keeps “{value}” as a number, not as text.",
            ),
        ),
        (Tag::Stamp, Form::Text(_)) => advised(
            "Format kolom sebagai Teks, lalu ketik ulang.",
            "Format the column as Text, then type it again.",
            said(
                "Sel menyimpan «{value}» sebagai tanggal, bukan teks.",
                "The cell keeps “{value}” as a date, not as text.",
            ),
        ),
        (Tag::Number, Form::Date(_) | Form::DateTime { .. }) => advised(
            "Format sel sebagai Tanggal.",
            "Format the cell as a Date.",
            said("«{value}» angka, bukan tanggal.", "“{value}” is a number, not a date."),
        ),
        (Tag::Stamp, Form::Date(_)) => advised(
            "Tulis tanggalnya saja.",
            "Write the date alone.",
            said("«{value}» memuat jam, atau bukan tanggal.", "“{value}” holds a time of day, or is no date."),
        ),
        (Tag::Stamp, Form::Integer(_) | Form::Number(_)) => advised(
            "Format sel sebagai Angka.",
            "Format the cell as a Number.",
            said(
                "Sel menyimpan «{value}» sebagai tanggal, bukan angka.",
                "The cell keeps “{value}” as a date, not as a number.",
            ),
        ),
        (Tag::Bool, form) if !matches!(form, Form::Boolean { .. }) => {
            said("Sel menyimpan «{value}» sebagai BENAR/SALAH.", "The cell keeps “{value}” as TRUE/FALSE.")
        }
        (Tag::Error, _) => advised(
            "Perbaiki rumusnya, atau ganti dengan nilainya.",
            "Correct the formula, or put the value in its place.",
            said("Rumus di sel ini gagal: {value}.", "The formula in this cell fails: {value}."),
        ),
        (Tag::NoValue, _) => advised(
            "Buka berkas dengan Excel atau LibreOffice dan simpan, supaya rumusnya dihitung.",
            "Open the file with Excel or LibreOffice and save it, so that its formulas are computed.",
            said("Sel memuat rumus tanpa hasil.", "The cell holds a formula without its result."),
        ),
        _ => return None,
    })
}

/// Whether a whole number has more digits than Excel keeps.
fn rounded(value: &str) -> bool {
    value.len() > EXCEL_DIGITS && value.bytes().all(|byte| byte.is_ascii_digit())
}
