//! The words for numbers that are none, with the number as it should be written.

use super::words::Words;
use crate::field::Field;
use crate::lexical::number::{NumberForm, integer, number};
use crate::reader::rows::Tag;

/// Marks that people put between groups of three digits.
const GROUPS: [char; 8] = ['.', ',', ' ', '\u{a0}', '\u{202f}', '\'', '’', '_'];

/// The words for a cell of an integer field.
pub(super) fn integer_words(field: &Field, form: &NumberForm, value: &str) -> Words {
    let words = Words::new("«{value}» bukan bilangan bulat.", "“{value}” is not a whole number.");
    if integer(value, form).is_some() {
        return Words::new("«{value}» terlalu besar untuk disimpan.", "“{value}” is too large to be stored.").hint(
            "Batasnya ±9.223.372.036.854.775.807. Nomor pengenal ditulis sebagai teks, bukan bilangan.",
            "The limit is ±9,223,372,036,854,775,807. Identifiers are text, not numbers.",
        );
    }
    if let Some((id, en)) = no_number(field, value) {
        return words.hint(id, en);
    }
    let (core, unit) = bare(value);
    if let Some((word, zeros)) = scale(field, value) {
        let fixed = shifted(&core, zeros).filter(|digits| integer(digits, form).is_some());
        let fixed = fixed.map(|digits| form.group.as_deref().map_or(digits.clone(), |group| regroup(&digits, group)));
        return in_full(words, word, fixed);
    }
    if let Some(words) = lost_zeros(&words, field, form, &core) {
        return words;
    }
    let written = |digits: &str| {
        let grouped = form.group.as_deref().filter(|_| core.contains(GROUPS)).map(|group| regroup(digits, group));
        grouped.filter(|text| integer(text, form).is_some()).unwrap_or_else(|| digits.to_owned())
    };
    if let Some(digits) = whole(&core)
        && integer(&digits, form).is_some()
    {
        return sure(words, unit, written(&digits));
    }
    if readings(&core).iter().any(|reading| reading.contains('.')) {
        return words.hint(
            "Kolom ini hanya menerima bilangan bulat; periksa angkanya pada sumbernya.",
            "This column takes whole numbers only; check the number at its source.",
        );
    }
    match whole(&lookalike(&core)).filter(|digits| integer(digits, form).is_some()) {
        Some(digits) if has_digit(&core) => words
            .guess(
                "Ada huruf di antara angka. Maksud Anda {fixed}?",
                "There are letters among the digits. Did you mean {fixed}?",
            )
            .fix(written(&digits)),
        _ => {
            let example = form.group.as_deref().map_or_else(|| "1204".to_owned(), |group| regroup("1204", group));
            words.hint(
                format!("Tulis angkanya saja, misalnya {example}."),
                format!("Write digits only, such as {example}."),
            )
        }
    }
}

/// The words for a cell of a number field.
pub(super) fn number_words(field: &Field, form: &NumberForm, value: &str) -> Words {
    let words = Words::new("«{value}» bukan angka.", "“{value}” is not a number.");
    if number(value, form).is_some() {
        return Words::new("«{value}» terlalu besar untuk disimpan.", "“{value}” is too large to be stored.")
            .hint("Periksa apakah ada angka yang berlebih.", "Check whether there is a digit too many.");
    }
    if let Some((id, en)) = no_number(field, value) {
        return words.hint(id, en);
    }
    let (core, unit) = bare(value);
    let decimal = &form.decimal;
    let written = |reading: &str| Some(reading.replace('.', decimal)).filter(|text| number(text, form).is_some());
    if let Some((word, zeros)) = scale(field, value) {
        return in_full(words, word, shifted(&core, zeros).as_deref().and_then(written));
    }
    let found: Vec<String> = readings(&core).iter().filter_map(|reading| written(reading)).collect();
    match found.as_slice() {
        [only] if unit.is_some() => sure(words, unit, only.clone()),
        [only] if only.contains(decimal.as_str()) => words
            .hint(
                format!("Gunakan «{decimal}» sebagai tanda desimal: {{fixed}}"),
                format!("Use “{decimal}” as the decimal mark: {{fixed}}"),
            )
            .fix(only.clone()),
        [only] => sure(words, None, only.clone()),
        [fraction, thousands, ..] => words.telling(
            format!("Tulis {fraction} bila maksudnya pecahan, atau {thousands} bila maksudnya ribuan."),
            format!("Write {fraction} if a fraction is meant, or {thousands} if thousands are."),
        ),
        [] => {
            match readings(&lookalike(&core)).iter().find_map(|reading| written(reading)).filter(|_| has_digit(&core)) {
                Some(fixed) => words
                    .guess(
                        "Ada huruf di antara angka. Maksud Anda {fixed}?",
                        "There are letters among the digits. Did you mean {fixed}?",
                    )
                    .fix(fixed),
                None => words.hint(
                    format!("Tulis angkanya saja, dengan «{decimal}» sebagai tanda desimal, misalnya 12{decimal}5."),
                    format!("Write digits only, with “{decimal}” as the decimal mark, such as 12{decimal}5."),
                ),
            }
        }
    }
}

/// The words for a year.
pub(super) fn year_words(value: &str) -> Words {
    let words = Words::new("«{value}» bukan tahun.", "“{value}” is not a year.");
    let runs: Vec<&str> = value.split(|c: char| !c.is_ascii_digit()).filter(|run| !run.is_empty()).collect();
    match runs.as_slice() {
        [year] | [year, "0" | "00"] if year.len() == 4 => words.hint("Tulis {fixed}.", "Write {fixed}.").fix(*year),
        _ => words.hint("Tulis empat angka, misalnya 2024.", "Write four digits, such as 2024."),
    }
}

fn sure(words: Words, unit: Option<Around>, fixed: String) -> Words {
    match unit {
        Some(Around::Currency) => {
            words.hint("Tulis {fixed}, tanpa tanda mata uang.", "Write {fixed}, without the currency.")
        }
        Some(Around::Unit) => {
            words.hint("Tulis {fixed}; satuan tidak ikut ditulis.", "Write {fixed}, without the unit.")
        }
        None => words.hint("Tulis {fixed}.", "Write {fixed}."),
    }
    .fix(fixed)
}

/// A number that leaves its zeros to a word, written in full where that can be known.
fn in_full(words: Words, word: &str, fixed: Option<String>) -> Words {
    let (id, en) =
        (format!("Tulis bilangan lengkapnya, tanpa «{word}»."), format!("Write the number in full, without “{word}”."));
    match fixed {
        Some(fixed) => {
            words.guess(format!("{id} Maksud Anda {{fixed}}?"), format!("{en} Did you mean {{fixed}}?")).fix(fixed)
        }
        None => words.hint(id, en),
    }
}

/// The word behind a number that stands for zeros, and how many, unless the column counts in that word.
fn scale(field: &Field, value: &str) -> Option<(&'static str, usize)> {
    const SCALES: [(&str, usize); 18] = [
        ("puluh", 1),
        ("ratus", 2),
        ("ribu", 3),
        ("rb", 3),
        ("k", 3),
        ("thousand", 3),
        ("juta", 6),
        ("jt", 6),
        ("million", 6),
        ("mio", 6),
        ("miliar", 9),
        ("milyar", 9),
        ("milliar", 9),
        ("mlr", 9),
        ("billion", 9),
        ("triliun", 12),
        ("trilyun", 12),
        ("trillion", 12),
    ];
    let end = value.rfind(|c: char| c.is_ascii_digit())? + 1;
    let tail = value.get(end..)?.trim_start().to_lowercase();
    let word = tail.split(|c: char| !c.is_alphabetic()).next()?;
    let (word, zeros) = SCALES.into_iter().find(|(known, _)| *known == word)?;
    let unit = field.satudata("satuan").and_then(serde_json::Value::as_str).unwrap_or_default().to_lowercase();
    let mut counted = unit.split(|c: char| !c.is_alphabetic());
    let counts = counted.any(|part| SCALES.iter().any(|(known, same)| *known == part && *same == zeros));
    (!counts).then_some((word, zeros))
}

/// A number of one reading with so many zeros more, `.` as its decimal mark.
fn shifted(core: &str, zeros: usize) -> Option<String> {
    let readings = readings(core);
    let [only] = readings.as_slice() else { return None };
    let (sign, plain) = only.strip_prefix('-').map_or(("", only.as_str()), |plain| ("-", plain));
    let (whole, fraction) = plain.split_once('.').unwrap_or((plain, ""));
    let (moved, rest) = fraction.split_at(zeros.min(fraction.len()));
    let digits = format!("{whole}{moved}{}", "0".repeat(zeros - moved.len()));
    let digits = digits.trim_start_matches('0');
    let digits = if digits.is_empty() { "0" } else { digits };
    let rest = rest.trim_end_matches('0');
    Some(if rest.is_empty() { format!("{sign}{digits}") } else { format!("{sign}{digits}.{rest}") })
}

/// A count whose mark between thousands does not stand before three digits: a spreadsheet took `19.500` for a fraction and
/// dropped its zeros, or something else happened that only the source can tell.
fn lost_zeros(words: &Words, field: &Field, form: &NumberForm, core: &str) -> Option<Words> {
    let mark = form.group.as_deref().filter(|mark| matches!(*mark, "." | ","))?;
    let (sign, digits) = core.strip_prefix('-').map_or(("", core), |digits| ("-", digits));
    let parts: Vec<&str> = digits.split(mark).collect();
    let (first, rest) = parts.split_first().filter(|(_, rest)| !rest.is_empty())?;
    let plain = parts.iter().all(|part| !part.is_empty() && part.bytes().all(|byte| byte.is_ascii_digit()));
    if !plain || (1..=3).contains(&first.len()) && rest.iter().all(|part| part.len() == 3) {
        return None;
    }
    let (name, name_en) = if mark == "." { ("titik", "full stop") } else { ("koma", "comma") };
    let nothing = |part: &str| part.bytes().all(|byte| byte == b'0');
    let accepts = |text: &str| {
        let value = field.form.read(text, Tag::Text);
        value.is_some_and(|value| {
            let mut good = true;
            field.constraints.broken(&value, |_| good = false);
            good
        })
    };
    let meant = match rest {
        [last] if last.len() < 3 && (1..=3).contains(&first.len()) && !first.starts_with('0') => {
            Some(format!("{sign}{first}{mark}{last:0<3}")).filter(|meant| accepts(meant))
        }
        _ => None,
    };
    Some(match (meant, rest) {
        (Some(meant), [last]) if nothing(last) => words.clone().telling(
            format!("Di kolom ini {name} memisahkan ribuan. Tulis {sign}{first}, atau {meant} bila nolnya hilang; lihat sumbernya."),
            format!("Here a {name_en} stands between thousands. Write {sign}{first}, or {meant} if its zeros were lost; see the source."),
        ),
        (Some(meant), _) => words.clone().telling(
            format!("Kolom ini hanya menerima bilangan bulat, dan {name} memisahkan ribuan. Mungkin {meant} yang kehilangan nol; lihat sumbernya."),
            format!("This column takes whole numbers only, and a {name_en} stands between thousands. Perhaps {meant} that lost its zeros; see the source."),
        ),
        (None, [last]) if nothing(last) && last.len() < 3 => return None,
        (None, _) => words.clone().hint(
            format!("Di kolom ini {name} memisahkan ribuan, jadi harus diikuti tiga angka. Periksa angkanya pada sumbernya."),
            format!("Here a {name_en} stands between thousands, so three digits have to follow it. Check the number at its source."),
        ),
    })
}

/// What stands around a number.
#[derive(Clone, Copy)]
enum Around {
    Currency,
    Unit,
}

/// A number without its currency or unit and without spaces around it.
fn bare(value: &str) -> (String, Option<Around>) {
    let text = value.trim().trim_start_matches(['\'', '’', '`']);
    let first = text.find(|c: char| c.is_ascii_digit()).unwrap_or(0);
    let (head, rest) = text.split_at(first);
    let sign = if head.trim_end().ends_with('-') { "-" } else { "" };
    let currency = head.chars().any(|c| c.is_alphabetic() || matches!(c, '$' | '€'))
        && head.chars().all(|c| c.is_alphabetic() || c.is_whitespace() || matches!(c, '.' | '$' | '€' | '-'));
    let end = rest.rfind(|c: char| c.is_ascii_digit()).map_or(0, |at| at + 1);
    let (core, tail) = rest.split_at(end);
    let unit = tail.chars().any(|c| c.is_alphabetic() || matches!(c, '%' | '°'))
        && tail
            .chars()
            .all(|c| c.is_alphanumeric() || c.is_whitespace() || matches!(c, '%' | '°' | '.' | '/' | '²' | '³'));
    let rupiah = tail.trim_start() == ",-";
    match (head.is_empty() || currency, unit || rupiah) {
        (true, true) if rupiah || currency => (format!("{sign}{core}"), Some(Around::Currency)),
        (true, true) => (format!("{sign}{core}"), Some(Around::Unit)),
        (true, false) if currency && tail.is_empty() => (format!("{sign}{core}"), Some(Around::Currency)),
        _ => (text.to_owned(), None),
    }
}

/// The digits of a whole number, whatever marks are between its groups; `.0` and `,00` at its end say nothing.
fn whole(core: &str) -> Option<String> {
    let readings = readings(core);
    if let Some(thousands) = readings.iter().find(|reading| !reading.contains('.')) {
        return Some(thousands.clone());
    }
    let (whole, fraction) = readings.first()?.split_once('.')?;
    fraction.bytes().all(|byte| byte == b'0').then(|| whole.to_owned())
}

/// What a number with any marks may mean, with `.` as the decimal mark: nothing, one reading, or first as a fraction and
/// then as thousands.
fn readings(core: &str) -> Vec<String> {
    let (sign, digits) = match core.strip_prefix(['-', '+', '−']) {
        Some(rest) => (if core.starts_with('+') { "" } else { "-" }, rest.trim_start()),
        None => ("", core),
    };
    let marks: Vec<char> = digits.chars().filter(|c| !c.is_ascii_digit()).collect();
    let edges = digits.starts_with(|c: char| c.is_ascii_digit()) && digits.ends_with(|c: char| c.is_ascii_digit());
    if !edges || marks.iter().any(|mark| !GROUPS.contains(mark)) {
        return Vec::new();
    }
    let Some(last) = marks.last().copied() else { return vec![core.to_owned()] };
    let grouped = |text: &str, mark: char| {
        let mut parts = text.split(mark);
        let first = parts.next().unwrap_or_default();
        (1..=3).contains(&first.len())
            && parts.all(|part| part.len() == 3)
            && !text.contains(|c| c != mark && GROUPS.contains(&c))
    };
    let plain = |text: &str| text.chars().filter(char::is_ascii_digit).collect::<String>();
    let mut found = Vec::new();
    let (head, tail) = digits.rsplit_once(last).unwrap_or_default();
    let other = marks.iter().copied().find(|mark| *mark != last);
    let fraction = matches!(last, '.' | ',')
        && other.map_or(marks.len() == 1, |other| !head.contains(last) && grouped(head, other));
    if fraction {
        found.push(format!("{sign}{}.{tail}", plain(head)));
    }
    // A zero does not begin a group of thousands.
    if grouped(digits, last) && !digits.starts_with('0') {
        found.push(format!("{sign}{}", plain(digits)));
    }
    found
}

/// Letters that are typed or scanned in place of digits.
fn lookalike(core: &str) -> String {
    let digit = |c| match c {
        'o' | 'O' => '0',
        'l' | 'I' | 'i' | '|' => '1',
        'S' | 's' => '5',
        'B' => '8',
        other => other,
    };
    core.chars().map(digit).collect()
}

fn has_digit(text: &str) -> bool {
    text.bytes().filter(u8::is_ascii_digit).count() * 2 >= text.len()
}

/// Digits with that mark between their thousands.
pub(super) fn regroup(digits: &str, group: &str) -> String {
    let (sign, digits) = digits.strip_prefix('-').map_or(("", digits), |digits| ("-", digits));
    let mut out = sign.to_owned();
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index).is_multiple_of(3) {
            out.push_str(group);
        }
        out.push(digit);
    }
    out
}

/// Advice for what is no number and was never meant as one.
pub(super) fn no_number(field: &Field, value: &str) -> Option<(String, String)> {
    spoilt_by_excel(value).or_else(|| says_nothing(field, value))
}

/// What a spreadsheet leaves in a cell.
pub(super) fn spoilt_by_excel(value: &str) -> Option<(String, String)> {
    let text = value.trim();
    let upper = text.to_ascii_uppercase();
    if ["#N/A", "#REF!", "#DIV/0!", "#VALUE!", "#NAME?", "#NUM!", "#NULL!", "#SPILL!"].contains(&upper.as_str()) {
        return Some((
            "Rumus Excel di sel ini gagal. Perbaiki rumusnya atau tulis nilainya.".to_owned(),
            "The Excel formula of this cell failed. Correct it or write the value.".to_owned(),
        ));
    }
    if text.len() > 2 && text.bytes().all(|byte| byte == b'#') {
        return Some((
            "Kolom di Excel terlalu sempit. Lebarkan kolomnya lalu simpan lagi.".to_owned(),
            "The column is too narrow in Excel. Widen it and save again.".to_owned(),
        ));
    }
    let (mantissa, exponent) = upper.split_once("E+")?;
    let digits =
        |text: &str| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit() || matches!(byte, b'.' | b','));
    (digits(mantissa) && digits(exponent)).then(|| {
        (
            "Excel menyingkat angka ini dan membuang sebagian. Ubah format kolomnya menjadi Teks, lalu ketik ulang."
                .to_owned(),
            "Excel has shortened this number and lost a part of it. Make the column Text, then type it again."
                .to_owned(),
        )
    })
}

/// Whether a text is a word for nothing.
pub(super) fn is_nothing(value: &str) -> bool {
    const NOTHING: [&str; 14] =
        ["-", "–", "—", "--", "...", "…", "n/a", "na", "null", "none", "nihil", "kosong", "tidak ada", "tad"];
    NOTHING.contains(&value.trim().to_lowercase().as_str())
}

/// Advice for a word for nothing that the contract does not know.
fn says_nothing(field: &Field, value: &str) -> Option<(String, String)> {
    if !is_nothing(value) {
        return None;
    }
    Some(match super::words::word_for_nothing(field) {
        _ if field.required => (
            "Kolom ini wajib diisi angka. Tulis 0 bila memang nol.".to_owned(),
            "This column has to hold a number. Write 0 if it is nought.".to_owned(),
        ),
        Some("") => (
            "Tulis 0 bila nol; kosongkan sel bila datanya tidak ada.".to_owned(),
            "Write 0 if it is nought; leave the cell empty if there is no figure.".to_owned(),
        ),
        Some(word) => (
            format!("Tulis 0 bila nol; tulis «{word}» bila datanya tidak ada."),
            format!("Write 0 if it is nought; write “{word}” if there is no figure."),
        ),
        None => ("Tulis 0 bila memang nol.".to_owned(), "Write 0 if it is nought.".to_owned()),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn marks_are_read_in_every_way_that_makes_sense() {
        assert_eq!(readings("1.234"), ["1.234", "1234"]);
        assert_eq!(readings("1.234.567"), ["1234567"]);
        assert_eq!(readings("1.234,5"), ["1234.5"]);
        assert_eq!(readings("-1,234.50"), ["-1234.50"]);
        assert_eq!(readings("12,5"), ["12.5"]);
        assert_eq!(readings("0,125"), ["0.125"]);
        assert_eq!(readings("1 234 567"), ["1234567"]);
        for nonsense in ["", "1..2", "1,23,4", "1.2.3", "a", "1.", ",5", "1,234.567.890"] {
            assert!(readings(nonsense).is_empty(), "{nonsense}: {:?}", readings(nonsense));
        }
    }

    #[test]
    fn whole_numbers_lose_their_marks() {
        assert_eq!(whole("1.204").as_deref(), Some("1204"));
        assert_eq!(whole("32.0").as_deref(), Some("32"));
        assert_eq!(whole("1.500.000,00").as_deref(), Some("1500000"));
        assert_eq!(whole("1.5"), None);
        assert_eq!(whole("0,125"), None);
    }

    #[test]
    fn units_and_currencies_stay_outside() {
        let core = |text| bare(text).0;
        assert_eq!(core("1.204 jiwa"), "1.204");
        assert_eq!(core("Rp 1.500,-"), "1.500");
        assert_eq!(core("Rp. -3"), "-3");
        assert_eq!(core("12 km²"), "12");
        assert_eq!(core("3 atau 4"), "3 atau 4");
        assert_eq!(core("'0812"), "0812");
    }

    proptest::proptest! {
        #[test]
        fn nothing_of_a_cell_stops_the_search(text in "\\PC{0,12}|[0-9.,'RpO -]{0,12}") {
            let _ = (readings(&text), whole(&text), bare(&text), lookalike(&text), spoilt_by_excel(&text));
        }
    }
}
