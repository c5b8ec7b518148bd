//! Why a code list cannot be used, in words.

use thiserror::Error;

use super::{MAX_CODES, MAX_COLUMNS, MAX_FILE_BYTES};
use crate::report::Text;

/// Why a code list cannot be used. Lines are counted from 1, the header is line 1.
#[derive(Debug, Error, PartialEq, Eq)]
#[error("{}", self.text().en)]
pub enum CodeListError {
    /// The descriptor is not JSON, or nests too deep.
    Json(String),
    /// The descriptor lacks something that a code list needs.
    Missing(&'static str),
    /// The `id` is not `urn:satudata:ref:name@version`, or `version` says something else.
    Identity(String),
    /// The descriptor has a word in a place where it means nothing.
    Word {
        /// The place in the descriptor.
        place: &'static str,
        /// The word.
        word: String,
    },
    /// A file named by the descriptor was not handed over.
    File(String),
    /// A file is larger than [`MAX_FILE_BYTES`], or has more than [`MAX_CODES`] rows or [`MAX_COLUMNS`] columns.
    TooLarge(String),
    /// A file is not UTF-8.
    Encoding(String),
    /// A column named by the descriptor is not in the header of the file.
    Column {
        /// The file.
        file: String,
        /// The column that the descriptor names.
        column: String,
    },
    /// A line does not have as many cells as the header, or a quote is left open on it.
    Row {
        /// The file.
        file: String,
        /// The line, from 1.
        line: usize,
    },
    /// A code is empty or stands there twice.
    Code {
        /// The file.
        file: String,
        /// The line, from 1.
        line: usize,
        /// The code.
        code: String,
    },
    /// A code is said to be replaced, and is still valid.
    StillValid {
        /// The file.
        file: String,
        /// The line, from 1.
        line: usize,
        /// The code.
        code: String,
    },
    /// A code points to one that the list does not know.
    Unknown {
        /// The file.
        file: String,
        /// The line, from 1.
        line: usize,
        /// The code that is not known.
        code: String,
    },
    /// A date is none, or an end lies before its beginning.
    Date {
        /// The file.
        file: String,
        /// The line, from 1.
        line: usize,
        /// What stands there.
        date: String,
    },
}

impl CodeListError {
    /// What is wrong, where, and what to do.
    #[must_use]
    pub fn text(&self) -> Text {
        let (id, en) = match self {
            Self::Json(why) => (
                format!(
                    "Deskriptornya bukan JSON yang dapat dibaca ({why}). Periksa tanda kurung, koma, dan kutipnya."
                ),
                format!("The descriptor is not JSON that can be read ({why}). Check its brackets, commas and quotes."),
            ),
            Self::Missing(what) => (
                format!("Deskriptornya tidak memuat {what}. Tambahkan."),
                format!("The descriptor lacks {what}. Add it."),
            ),
            Self::Identity(text) => (
                format!(
                    "Identitas «{text}» tidak sah. Tulis \"id\": \"urn:satudata:ref:nama@versi\" (huruf kecil, angka, tanda hubung; \
                     versi juga titik), dan \"version\" yang sama dengan versi itu."
                ),
                format!(
                    "The identity “{text}” is not valid. Write \"id\": \"urn:satudata:ref:name@version\" (small letters, digits, \
                     hyphens; in the version also dots) and the same \"version\"."
                ),
            ),
            Self::Word { place, word } => (
                format!("{place}: «{word}» tidak dikenal. Baca bentuknya di docs/KODE-REFERENSI.md."),
                format!("{place}: “{word}” is not known. docs/KODE-REFERENSI.md has the form."),
            ),
            Self::File(file) => (
                format!("Berkas {file} tidak ada. Letakkan di samping deskriptornya, atau perbaiki \"path\"."),
                format!("The file {file} is not there. Put it beside the descriptor, or correct \"path\"."),
            ),
            Self::TooLarge(file) => (
                format!(
                    "Berkas {file} terlalu besar: paling banyak {MAX_CODES} baris, {MAX_COLUMNS} kolom, {MAX_FILE_BYTES} byte."
                ),
                format!(
                    "The file {file} is too large: at most {MAX_CODES} rows, {MAX_COLUMNS} columns, {MAX_FILE_BYTES} bytes."
                ),
            ),
            Self::Encoding(file) => (
                format!("Berkas {file} bukan UTF-8. Simpan ulang sebagai CSV UTF-8."),
                format!("The file {file} is not UTF-8. Save it again as CSV UTF-8."),
            ),
            Self::Column { file, column } => (
                format!(
                    "Berkas {file}, baris 1: tidak ada kolom «{column}». Perbaiki judulnya, dan pakai koma sebagai pemisah."
                ),
                format!(
                    "File {file}, line 1: there is no column “{column}”. Correct the header, and divide cells by commas."
                ),
            ),
            other => other.in_a_line(),
        };
        Text::new(id, en)
    }

    fn in_a_line(&self) -> (String, String) {
        let at = |file: &str, line: usize, id: String, en: String| {
            (format!("Berkas {file}, baris {line}: {id}"), format!("File {file}, line {line}: {en}"))
        };
        match self {
            Self::Row { file, line } => at(
                file,
                *line,
                "banyaknya sel tidak sama dengan judul, atau ada kutip yang tidak ditutup. Periksa koma dan kutip di baris ini.".into(),
                "wrong number of cells, or an open quote. Check the commas and quotes of this line.".into(),
            ),
            Self::Code { file, line, code } if code.is_empty() => at(
                file,
                *line,
                "kodenya kosong. Isi kodenya atau hapus baris ini.".into(),
                "the code is empty. Fill it in or delete the line.".into(),
            ),
            Self::Code { file, line, code } => at(
                file,
                *line,
                format!("kode «{code}» sudah ada di baris lain. Hapus salah satunya."),
                format!("the code “{code}” stands in another line already. Delete one of them."),
            ),
            Self::StillValid { file, line, code } => at(
                file,
                *line,
                format!("kode «{code}» dinyatakan diganti, padahal masih berlaku dalam daftar. Hapus salah satunya."),
                format!("the code “{code}” is said to be replaced, but is still valid in the list. Delete one of them."),
            ),
            Self::Unknown { file, line, code } => at(
                file,
                *line,
                format!("kode «{code}» tidak ada dalam daftar. Perbaiki kodenya atau tambahkan ke daftar."),
                format!("the code “{code}” is not in the list. Correct it, or add it to the list."),
            ),
            Self::Date { file, line, date } => at(
                file,
                *line,
                format!("«{date}» bukan masa berlaku yang sah. Tulis seperti 2022, 2022-02, atau 2022-02-14; awal tidak boleh setelah akhir."),
                format!("“{date}” is no valid date. Write it like 2022, 2022-02 or 2022-02-14; a beginning is not after its end."),
            ),
            other => (format!("{other:?}"), format!("{other:?}")),
        }
    }
}
