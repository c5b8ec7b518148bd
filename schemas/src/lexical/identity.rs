//! Formats of the `satudata` extension for identifiers of Indonesian administration.
//!
//! What the form itself rules out is an error. What the law lets happen is only a doubt: a NIK keeps the area and
//! birth date with which it was issued, however often its bearer moves or the date is corrected, and its kecamatan
//! may have been split or renumbered since.

use std::sync::LazyLock;

use hashbrown::HashSet;

use super::temporal::days_in_month;
use crate::standard;

/// An identifier that a string field declares in `satudata.format`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Identity {
    /// Nomor Induk Kependudukan: 16 digits PPKKCC DDMMYY SSSS, women with 40 added to the day.
    Nik,
    /// Nomor Kartu Keluarga: 16 digits PPKKCC DDMMYY SSSS with the day on which the card was issued.
    Nkk,
    /// Nomor Pokok Wajib Pajak: 15 digits, plain or as `99.999.999.9-999.999`; since 2024 16 digits, the NIK of a
    /// person or 0 and the old number of a body.
    Npwp,
    /// Nomor Pokok Sekolah Nasional: 8 characters, digits but for a letter that some non-formal schools have in front.
    Npsn,
    /// A telephone number.
    Phone,
}

/// Something about an identifier that may be right and is worth a look.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) enum Doubt {
    /// The first six digits are no kecamatan, neither of the current code list nor of those that it replaced.
    Area,
    /// The digits of the date are no date.
    Date,
    /// The serial number is 0000, where numbers begin with 0001.
    Serial,
    /// A telephone number that begins neither with 0 nor with +62 has probably lost its first digit.
    Prefix,
    /// A school number with a letter where digits are usual.
    Letter,
}

impl Identity {
    /// The identifier of that name.
    pub(crate) fn named(name: &str) -> Option<Self> {
        Some(match name {
            "nik" => Self::Nik,
            "nkk" => Self::Nkk,
            "npwp" => Self::Npwp,
            "npsn" => Self::Npsn,
            "telepon" => Self::Phone,
            _ => return None,
        })
    }

    /// What people call it.
    pub(crate) const fn title(self) -> &'static str {
        match self {
            Self::Nik => "NIK",
            Self::Nkk => "NKK",
            Self::Npwp => "NPWP",
            Self::Npsn => "NPSN",
            Self::Phone => "nomor telepon",
        }
    }

    /// What people call it in English.
    pub(crate) const fn title_en(self) -> &'static str {
        match self {
            Self::Phone => "telephone number",
            other => other.title(),
        }
    }

    /// Whether the identifier itself points to one person or family, whatever the contract says.
    pub(crate) const fn is_personal(self) -> bool {
        matches!(self, Self::Nik | Self::Nkk)
    }

    /// Whether the text has the form.
    pub(crate) fn accepts(self, text: &str) -> bool {
        match self {
            Self::Nik | Self::Nkk => sixteen(text).is_some(),
            Self::Npwp => sixteen(text).is_some() || fifteen(text),
            Self::Npsn => text.len() == 8 && text.bytes().all(|byte| byte.is_ascii_alphanumeric()),
            Self::Phone => phone_digits(text).is_some(),
        }
    }

    /// What is doubtful about a text that has the form.
    pub(crate) fn doubts(self, text: &str, mut doubt: impl FnMut(Doubt)) {
        match self {
            Self::Nik | Self::Nkk => {
                if let Some(digits) = sixteen(text) {
                    person(digits, self == Self::Nik, &mut doubt);
                }
            }
            Self::Npwp => {
                // A number that begins with 0 belongs to a body: no area code begins so.
                if let Some(digits) = sixteen(text).filter(|digits| !digits.starts_with(b"0")) {
                    person(digits, true, &mut doubt);
                }
            }
            Self::Npsn => {
                let tail = text.strip_prefix(|c: char| c.is_ascii_uppercase()).unwrap_or(text);
                if !tail.bytes().all(|byte| byte.is_ascii_digit()) {
                    doubt(Doubt::Letter);
                }
            }
            Self::Phone => {
                // Numbers of up to eight digits are dialled without an area code.
                let short = phone_digits(text).is_some_and(|digits| digits <= 8);
                let start = text.trim_start_matches([' ', '(']);
                if !short && !start.starts_with(['0', '+']) && !start.starts_with("62") {
                    doubt(Doubt::Prefix);
                }
            }
        }
    }

    /// The identifier as it should be written, where the text shows it without doubt: without the `.0` of a number,
    /// an apostrophe in front, blanks or dots.
    pub(crate) fn repaired(self, text: &str) -> Option<String> {
        let text = text.trim().trim_start_matches('\'');
        let text = text.strip_suffix(".0").unwrap_or(text);
        let fixed: String = match self {
            Self::Npsn => text.to_owned(),
            _ => text.chars().filter(|c| !c.is_whitespace() && !matches!(c, '.' | '-')).collect(),
        };
        self.accepts(&fixed).then_some(fixed)
    }
}

/// A number that a spreadsheet shortened, such as `3,27601E+15`: its last digits are lost.
pub(crate) fn is_shortened(text: &str) -> bool {
    let Some((mantissa, exponent)) = text.trim().split_once(['E', 'e']) else { return false };
    let digits = |text: &str| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    digits(exponent.trim_start_matches('+')) && digits(&mantissa.replace([',', '.'], ""))
}

fn sixteen(text: &str) -> Option<&[u8]> {
    let bytes = text.as_bytes();
    (bytes.len() == 16 && bytes.iter().all(u8::is_ascii_digit)).then_some(bytes)
}

fn fifteen(text: &str) -> bool {
    let bytes = text.as_bytes();
    match bytes.len() {
        15 => bytes.iter().all(u8::is_ascii_digit),
        20 => bytes.iter().zip(b"99.999.999.9-999.999").all(|(byte, mark)| match mark {
            b'9' => byte.is_ascii_digit(),
            mark => byte == mark,
        }),
        _ => false,
    }
}

/// How many digits a telephone number has: 3, as 112 and 119, to the 15 of ITU-T E.164.
fn phone_digits(text: &str) -> Option<usize> {
    let text = text.trim();
    let text = text.strip_prefix('+').unwrap_or(text);
    let mut digits = 0;
    for byte in text.bytes() {
        match byte {
            b'0'..=b'9' => digits += 1,
            b' ' | b'-' | b'.' | b'(' | b')' => {}
            _ => return None,
        }
    }
    (3..=15).contains(&digits).then_some(digits)
}

fn person(digits: &[u8], women: bool, doubt: &mut impl FnMut(Doubt)) {
    let part = |at: usize, len: usize| {
        digits.iter().skip(at).take(len).fold(0_u32, |value, byte| value * 10 + u32::from(byte.wrapping_sub(b'0')))
    };
    if !AREAS.contains(&part(0, 6)) {
        doubt(Doubt::Area);
    }
    let (day, month, year) = (part(6, 2), part(8, 2), part(10, 2));
    let day = if women && day > 40 { day - 40 } else { day };
    // Of two centuries the one in which 29 February exists is believed: 2000 was a leap year, as every fourth was.
    let valid = (1..=12).contains(&month) && (1..=days_in_month(2000 + i64::from(year), month)).contains(&day);
    if !valid {
        doubt(Doubt::Date);
    }
    if part(12, 4) == 0 {
        doubt(Doubt::Serial);
    }
}

/// The kecamatan of the shipped list and those that it replaced, as numbers of six digits.
static AREAS: LazyLock<HashSet<u32>> = LazyLock::new(|| {
    let lists = standard::code_lists().filter(|list| list.name == "wilayah").filter_map(|list| list.load().ok());
    let mut areas = HashSet::new();
    for list in lists {
        let current = list.values(list.key()).into_iter().flatten().map(str::to_owned);
        let all = current.chain(list.retired().map(|(code, _)| code.to_owned()));
        areas.extend(all.filter(|code| code.len() == 8).filter_map(|code| code.replace('.', "").parse::<u32>().ok()));
    }
    areas
});

#[cfg(test)]
mod tests {
    use super::*;

    fn doubts(identity: Identity, text: &str) -> Vec<Doubt> {
        let mut found = Vec::new();
        assert!(identity.accepts(text), "{text}");
        identity.doubts(text, |doubt| found.push(doubt));
        found
    }

    #[test]
    fn a_nik_is_doubted_part_by_part_and_refused_only_for_its_form() {
        assert_eq!(doubts(Identity::Nik, "6402051708900001"), []);
        assert_eq!(doubts(Identity::Nik, "6402055708900001"), [], "a woman born on the 17th");
        assert_eq!(doubts(Identity::Nik, "9101010101900001"), [], "the code was retired, the number was not");
        assert_eq!(doubts(Identity::Nik, "6402052902960001"), [], "a leap day");
        assert_eq!(doubts(Identity::Nik, "6402052902970001"), [Doubt::Date]);
        assert_eq!(doubts(Identity::Nik, "6402050013900001"), [Doubt::Date]);
        assert_eq!(doubts(Identity::Nik, "6402054008900001"), [Doubt::Date]);
        assert_eq!(doubts(Identity::Nik, "0099991708900000"), [Doubt::Area, Doubt::Serial]);
        assert_eq!(doubts(Identity::Nkk, "6402055708900001"), [Doubt::Date], "a card has no sex");
        for bad in
            ["640205170890000", "64020517089000011", "640205170890000a", "6402 0517 0890 0001", "٦402051708900001"]
        {
            assert!(!Identity::Nik.accepts(bad), "{bad}");
        }
    }

    #[test]
    fn tax_school_and_telephone_numbers_have_their_forms() {
        for good in ["012345678901000", "01.234.567.8-901.000", "0012345678901000", "6402051708900001"] {
            assert_eq!(doubts(Identity::Npwp, good), [], "{good}");
        }
        assert_eq!(doubts(Identity::Npwp, "6499991708900001"), [Doubt::Area]);
        assert!(!Identity::Npwp.accepts("01.234.567.8.901.000"));
        assert_eq!(doubts(Identity::Npsn, "20253417"), []);
        assert_eq!(doubts(Identity::Npsn, "P9970123"), []);
        assert_eq!(doubts(Identity::Npsn, "2025E417"), [Doubt::Letter]);
        assert!(!Identity::Npsn.accepts("2025341"));
        for good in ["0541-123456", "+62 811 5555 1234", "62811555512", "112", "(0541) 123.456"] {
            assert_eq!(doubts(Identity::Phone, good), [], "{good}");
        }
        assert_eq!(doubts(Identity::Phone, "8115555123"), [Doubt::Prefix]);
        assert!(!Identity::Phone.accepts("0811-5555-CALL"));
        assert!(!Identity::Phone.accepts("11"));
    }

    #[test]
    fn what_a_spreadsheet_did_is_undone_or_named() {
        assert_eq!(Identity::Npsn.repaired("20253417.0").as_deref(), Some("20253417"));
        assert_eq!(Identity::Nik.repaired("'6402051708900001").as_deref(), Some("6402051708900001"));
        assert_eq!(Identity::Nik.repaired("640205.170890.0001").as_deref(), Some("6402051708900001"));
        assert_eq!(Identity::Nik.repaired("6.4E+15"), None);
        assert!(is_shortened("3,27601E+15") && is_shortened("6.402e15"));
        assert!(!is_shortened("2025E417X") && !is_shortened("E5") && !is_shortened("1E"));
    }
}
