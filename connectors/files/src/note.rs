//! Why a file is put aside without being opened, in words for the one who put it there.

use crate::inbox::Entry;
use crate::name;

/// A report to lie beside a file.
pub struct Texts {
    /// For the clerk.
    pub text: String,
    /// For a program.
    pub json: Vec<u8>,
}

/// Why a file can never become a payload.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reason {
    /// A symbolic link, a pipe, a socket or a device.
    NotARegularFile,
    /// Larger than this many bytes.
    TooLarge(u64),
    /// An extension that promises no format we read.
    UnknownFormat,
    /// A name that is not text.
    NameNotText,
}

/// The reason to put this entry aside, if there is one.
pub fn reason(entry: &Entry, max_bytes: u64) -> Option<Reason> {
    if !entry.regular {
        return Some(Reason::NotARegularFile);
    }
    let Some(name) = entry.name.to_str() else { return Some(Reason::NameNotText) };
    if name::format(name).is_none() {
        return Some(Reason::UnknownFormat);
    }
    (entry.seen.size > max_bytes).then_some(Reason::TooLarge(max_bytes))
}

impl Reason {
    fn rule(self) -> &'static str {
        match self {
            Self::NotARegularFile => "not_a_regular_file",
            Self::TooLarge(_) => "too_large",
            Self::UnknownFormat => "unknown_format",
            Self::NameNotText => "name_not_text",
        }
    }

    /// In Indonesian and in English.
    fn words(self) -> (String, String) {
        match self {
            Self::NotARegularFile => (
                "Ini bukan berkas biasa (tautan, pipa, atau perangkat), jadi tidak dibuka. Salin berkas aslinya ke folder ini.".into(),
                "This is not a regular file (a link, a pipe or a device), so it was not opened. Copy the file itself here.".into(),
            ),
            Self::TooLarge(limit) => (
                format!("Berkas lebih besar dari batas {limit} bita. Bagilah menjadi beberapa berkas, masing-masing dengan baris judul."),
                format!("The file is larger than the limit of {limit} bytes. Divide it into several files, each with the header row."),
            ),
            Self::UnknownFormat => (
                "Jenis berkas tidak dikenal. Simpan sebagai CSV (di Excel: Simpan Sebagai, CSV UTF-8), lalu taruh lagi di folder ini.".into(),
                "The kind of file is not known. Save it as CSV (in Excel: Save As, CSV UTF-8) and put it here again.".into(),
            ),
            Self::NameNotText => (
                "Nama berkas tidak dapat dibaca sebagai teks UTF-8. Ganti namanya, lalu taruh lagi di folder ini.".into(),
                "The name of the file is not UTF-8 text. Give it another name and put it here again.".into(),
            ),
        }
    }

    /// The report for the file of this name.
    pub fn texts(self, file: &str) -> Texts {
        let (id, en) = self.words();
        let json = serde_json::json!({
            "errors": [{"rule": self.rule(), "file": file, "message": {"id": id, "en": en}}]
        });
        Texts { text: format!("{file}\n\n{id}\n\n{en}\n"), json: format!("{json}\n").into_bytes() }
    }
}
