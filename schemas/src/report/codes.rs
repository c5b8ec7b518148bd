//! The words for a code that its list does not have: no longer valid, not valid yet, of another system, or unknown.

use super::words::Words;
use super::{Text, shown};
use crate::code_list::{CodeList, Named, Retired, Split, Status, said};

/// Successors that a sentence names.
const NAMED: usize = 6;

/// The words for a code about which more is known than that it is not there. `system` is that of the codes the column holds.
pub(crate) fn code_words(list: &CodeList, system: Option<&str>, name: &Text, value: &str) -> Option<Words> {
    let code = value.trim();
    match list.status(code) {
        Status::Retired(retired) => Some(retired_words(&retired, name)),
        Status::NotYet { from, whole } => Some(not_yet_words(from, whole, name)),
        // Only spaces keep it from being the code.
        Status::Valid if code != value => None,
        Status::Valid | Status::Unknown => other_system(system?, name, code),
    }
}

/// The systems of codes that a list may declare, as people call them.
pub(crate) fn system_name(system: &str) -> String {
    match system {
        "kemendagri" => "Kemendagri".to_owned(),
        "bps" => "BPS".to_owned(),
        other => shown(other),
    }
}

fn named(code: &Named<'_>) -> String {
    match code.name {
        "" => shown(code.code),
        name => format!("{} – {}", shown(code.code), shown(name)),
    }
}

fn retired_words(retired: &Retired<'_>, list: &Text) -> Words {
    let (id, en) = match (retired.since.map(said), retired.until.map(said)) {
        (Some(since), _) => {
            (format!("tidak berlaku lagi sejak {}", since.id), format!("has not been valid since {}", since.en))
        }
        (None, Some(until)) => (
            format!("tidak berlaku lagi; terakhir berlaku {}", until.id),
            format!("is no longer valid; it was until {}", until.en),
        ),
        (None, None) => ("tidak berlaku lagi".to_owned(), "is no longer valid".to_owned()),
    };
    let words = Words::new(
        format!("«{{value}}» {id} menurut daftar {}.", list.id),
        format!("“{{value}}” {en} in the list {}.", list.en),
    );
    let Text { id, en } = split_words(&retired.splits);
    match retired.successors.as_slice() {
        [] => words.hint(
            format!("Kode ini tidak punya pengganti. Cari kode yang benar di daftar {}.", list.id),
            format!("Nothing replaced this code. Look the right one up in the list {}.", list.en),
        ),
        [only] => {
            let name = if only.name.is_empty() { String::new() } else { format!(" – {}", shown(only.name)) };
            words
                .hint(format!("Penggantinya {{fixed}}{name}.{id}"), format!("It was replaced by {{fixed}}{name}.{en}"))
                .fix(only.code)
        }
        several => {
            let more = if several.len() > NAMED { ", …" } else { "" };
            let list = |or: &str| {
                let names: Vec<String> = several.iter().take(NAMED).map(named).collect();
                match names.split_last() {
                    Some((last, rest)) if more.is_empty() => format!("{} {or} {last}", rest.join(", ")),
                    _ => names.join(", "),
                }
            };
            words.telling(
                format!("Wilayahnya dipecah; penggantinya {}{more}. Pilih sesuai letaknya.{id}", list("atau")),
                format!("It was split; its successors are {}{more}. Choose by the place.{en}", list("or")),
            )
        }
    }
}

/// What was split still exists, and somebody may look for the code there.
fn split_words(splits: &[Split<'_>]) -> Text {
    let sentence = |split: &Split<'_>| {
        let (part, whole) = (area(&split.part), area(&split.whole));
        let when = split.since.map(said);
        let (id, en) = when.map(|when| (format!(" sejak {}", when.id), format!(" in {}", when.en))).unwrap_or_default();
        Text::new(
            format!(" {part} dimekarkan dari {whole}{id}; {} masih berlaku.", shown(split.whole.code)),
            format!(" {part} was split off from {whole}{en}; {} is still valid.", shown(split.whole.code)),
        )
    };
    let all: Vec<Text> = splits.iter().map(sentence).collect();
    Text::new(
        all.iter().map(|text| text.id.as_ref()).collect::<String>(),
        all.iter().map(|text| text.en.as_ref()).collect::<String>(),
    )
}

/// An area as a sentence names it: `Kota Bangun (64.02.08)`.
fn area(code: &Named<'_>) -> String {
    match code.name {
        "" => shown(code.code),
        name => format!("{} ({})", shown(name), shown(code.code)),
    }
}

fn not_yet_words(from: &str, whole: Option<Named<'_>>, list: &Text) -> Words {
    let from = said(from);
    let words = Words::new(
        format!("«{{value}}» baru berlaku mulai {} menurut daftar {}.", from.id, list.id),
        format!("“{{value}}” is valid from {} on in the list {}.", from.en, list.en),
    );
    match whole {
        Some(whole) => {
            let whole = named(&whole);
            words.telling(
                format!("Sampai saat itu pakai kode asalnya: {whole}."),
                format!("Until then use the code that it is split off from: {whole}."),
            )
        }
        None => words.hint(
            "Pakai edisi daftar yang lebih baru, atau kode yang berlaku sekarang.",
            "Use a newer edition of the list, or the code that is valid now.",
        ),
    }
}

/// A code that looks like one of another system. Nothing is translated: the same digits mean other places there.
fn other_system(system: &str, name: &Text, code: &str) -> Option<Words> {
    let digits = code.bytes().all(|byte| byte.is_ascii_digit());
    let dotted = code.contains('.') && code.bytes().all(|byte| byte.is_ascii_digit() || byte == b'.');
    // Areas of BPS have 2, 4, 7 or 10 digits; those of Kemendagri without their dots 2, 4, 6 or 10.
    let areas = matches!(code.len(), 4 | 6 | 7 | 10);
    let words = |system: &str| {
        let system = system_name(system);
        Words::new(
            format!("«{{value}}» tidak ada di daftar {} (kode {system}).", name.id),
            format!("“{{value}}” is not in the list {} ({system} codes).", name.en),
        )
    };
    match system {
        "kemendagri" if digits && areas => Some(words(system).hint(
            "Kolom ini meminta kode Kemendagri, yang ditulis dengan titik, misalnya 64.02.05. Tanpa titik mungkin ini kode BPS, dan \
             angka yang sama di sana dapat berarti tempat lain: cari kodenya menurut nama wilayah.",
            "This column asks for Kemendagri codes, written with dots, such as 64.02.05. Without dots it may be a BPS code, where \
             the same digits may mean another place: look the code up by the name of the area.",
        )),
        "bps" if dotted => Some(words(system).hint(
            "Kolom ini meminta kode BPS, yang ditulis tanpa titik. Dengan titik mungkin ini kode Kemendagri, dan angka yang sama di \
             sana dapat berarti tempat lain: jangan buang titiknya, cari kodenya menurut nama wilayah.",
            "This column asks for BPS codes, written without dots. With dots it may be a Kemendagri code, where the same digits may \
             mean another place: do not drop the dots, look the code up by the name of the area.",
        )),
        _ => None,
    }
}
