//! The words of the `satudata` extension: identifiers, doubts about them, rules across columns.

use super::numbers::regroup;
use super::words::Words;
use super::{Text, choices, shown};
use crate::across::AcrossRule;
use crate::contract::Contract;
use crate::field::Field;
use crate::form::Form;
use crate::lexical::identity::{Doubt, Identity, is_shortened};
use crate::lexical::number::{Wide, integer, json_integer};
use crate::lexical::text::TextFormat;
use crate::reader::rows::Tag;

/// The name of the rule that an identifier of that field has its form.
pub(crate) fn type_heading(field: &Field) -> Option<Text> {
    let Form::Text(TextFormat::Identity(identity)) = &field.form else { return None };
    Some(Text::new(format!("Bukan {}", identity.title()), format!("Not of the form of {}", identity.title_en())))
}

/// A text that is not of the form of its identifier.
pub(crate) fn identity_words(identity: Identity, value: &str) -> Words {
    let (id, en) = match identity {
        Identity::Nik | Identity::Nkk => ("16 angka", "16 digits"),
        Identity::Npwp => ("16 angka, atau 15 angka (99.999.999.9-999.999)", "16 digits, or 15 (99.999.999.9-999.999)"),
        Identity::Npsn => ("8 angka", "8 digits"),
        Identity::Phone => ("3 sampai 15 angka", "3 to 15 digits"),
    };
    let words = Words::new(
        format!("«{{value}}» bukan {}: harus {id}.", identity.title()),
        format!("“{{value}}” is not a {}: it has {en}.", identity.title_en()),
    );
    if let Some(fixed) = identity.repaired(value) {
        return words.hint("Tulis {fixed}.", "Write {fixed}.").fix(fixed);
    }
    if is_shortened(value) {
        return words.hint(
            "Lembar kerja menyimpannya sebagai bilangan dan membuang angka belakangnya. Format kolom sebagai Teks, lalu ambil lagi dari sumbernya.",
            "A spreadsheet stored it as a number and dropped its last digits. Format the column as text and take it from its source again.",
        );
    }
    if matches!(identity, Identity::Nik | Identity::Nkk)
        && let Some(Text { id, en }) = choices::miscounted(value, |text| identity.accepts(text))
    {
        return words.telling(id, en);
    }
    words
}

/// The name of a doubt.
pub(crate) fn doubt_heading(doubt: Doubt) -> Text {
    let (id, en) = match doubt {
        Doubt::Area => ("Kode wilayah dalam nomor tidak dikenal", "Unknown area in the number"),
        Doubt::Date => ("Tanggal dalam nomor meragukan", "Doubtful date in the number"),
        Doubt::Serial => ("Nomor urut dalam nomor meragukan", "Doubtful serial number"),
        Doubt::Prefix => ("Awal nomor telepon meragukan", "Doubtful start of a telephone number"),
        Doubt::Letter => ("NPSN memuat huruf", "A letter in an NPSN"),
    };
    Text::fixed(id, en)
}

/// The words for an identifier that has its form and may be wrong.
pub(crate) fn doubt_words(doubt: Doubt, field: &Field, value: &str) -> Words {
    let Form::Text(TextFormat::Identity(identity)) = &field.form else { return Words::default() };
    let name = identity.title();
    match doubt {
        Doubt::Area => Words::new(
            format!("Enam angka pertama {name} «{{value}}» bukan kode kecamatan yang dikenal."),
            format!("The first six digits of the {name} “{{value}}” are no known kecamatan."),
        )
        .hint(
            "Periksa ketikannya. Nomor yang memang tertulis demikian pada dokumen tetap sah.",
            "Check the typing. A number that does stand so on the document remains valid.",
        ),
        Doubt::Date => Words::new(
            format!("Angka ke-7 sampai ke-12 {name} «{{value}}» bukan tanggal yang mungkin."),
            format!("Digits 7 to 12 of the {name} “{{value}}” are no possible date."),
        )
        .hint("Periksa ketikannya.", "Check the typing."),
        Doubt::Serial => Words::new(
            format!("{name} «{{value}}» berakhir dengan 0000; nomor urut mulai dari 0001."),
            format!("The {name} “{{value}}” ends in 0000; serial numbers begin with 0001."),
        )
        .hint(
            "Mungkin lembar kerja membulatkannya. Periksa pada sumbernya.",
            "A spreadsheet may have rounded it. Check its source.",
        ),
        Doubt::Prefix => {
            Words::new("«{value}» tidak diawali 0 atau +62.", "“{value}” begins neither with 0 nor with +62.")
                .hint("Maksud Anda {fixed}?", "Did you mean {fixed}?")
                .fix(format!("0{}", value.trim()))
        }
        Doubt::Letter => Words::new("NPSN «{value}» memuat huruf.", "The NPSN “{value}” has a letter.").hint(
            "Biasanya NPSN seluruhnya angka. Periksa ketikannya.",
            "An NPSN is usually digits only. Check the typing.",
        ),
    }
}

/// The name of a rule across columns.
pub(crate) fn across_heading(name: &str) -> Text {
    Text::new(format!("Aturan «{name}» tidak terpenuhi"), format!("The rule “{name}” is broken"))
}

/// The contract's own words for a rule across columns; the cells follow unless they say where. `cell` gives the cell of a
/// field.
pub(crate) fn across<'c>(
    rule: &AcrossRule,
    contract: &Contract,
    cell: &dyn Fn(usize) -> Option<(&'c str, Tag)>,
) -> Words {
    let with_cells = |text: &str| match text.contains("{value}") {
        true => text.to_owned(),
        false => format!("{} ({{value}}).", text.trim_end_matches(['.', ' '])),
    };
    let words = Words::new(with_cells(&rule.message.id), with_cells(&rule.message.en));
    match summed(rule, contract, cell) {
        Some((sum, total)) => words.telling(
            format!("Jumlah bagian-bagiannya {sum}, tertulis {total}. Periksa angka-angka ini pada sumbernya."),
            format!("Its parts add up to {sum}, where {total} is written. Check these numbers at their source."),
        ),
        None => words.hint("Periksa isi kolom-kolom ini pada sumbernya.", "Check these columns at their source."),
    }
}

/// What the parts of a total come to, and the total as it is written, where the rule is a sum of whole numbers.
fn summed<'c>(
    rule: &AcrossRule,
    contract: &Contract,
    cell: &dyn Fn(usize) -> Option<(&'c str, Tag)>,
) -> Option<(String, String)> {
    let number = |name: &str| {
        let index = contract.fields.iter().position(|field| field.name == name)?;
        let Form::Integer(form) = &contract.fields.get(index)?.form else { return None };
        let (text, tag) = cell(index)?;
        let Wide(value) = if tag == Tag::Number { json_integer(text)? } else { integer(text, form)? };
        Some((value, text, form.group.as_deref()))
    };
    let (total, parts) = rule.sum()?;
    let (_, written, group) = number(total)?;
    let sum = parts.iter().try_fold(0_i128, |sum, part| sum.checked_add(number(part)?.0))?;
    let sum = sum.to_string();
    Some((group.map_or(sum.clone(), |group| regroup(&sum, group)), shown(written)))
}
