//! Dates, times and instants: the default forms, strptime patterns, and their inverse.

use super::loose;

/// Microseconds in a day.
pub(crate) const DAY_MICROS: i64 = 86_400_000_000;

/// Days from 1970-01-01 to a date of the proleptic Gregorian calendar.
#[inline]
pub(crate) const fn days_from_civil(year: i64, month: u32, day: u32) -> i64 {
    let year = if month <= 2 { year - 1 } else { year };
    let era = year.div_euclid(400);
    let of_era = year.rem_euclid(400);
    let of_year = (153 * ((month as i64 + 9) % 12) + 2) / 5 + day as i64 - 1;
    era * 146_097 + of_era * 365 + of_era / 4 - of_era / 100 + of_year - 719_468
}

/// The date of a day count.
pub(crate) const fn civil_from_days(days: i64) -> (i64, u32, u32) {
    let days = days + 719_468;
    let era = days.div_euclid(146_097);
    let of_era = days.rem_euclid(146_097);
    let year = (of_era - of_era / 1460 + of_era / 36_524 - of_era / 146_096) / 365;
    let of_year = of_era - (365 * year + year / 4 - year / 100);
    let shifted = (5 * of_year + 2) / 153;
    let day = (of_year - (153 * shifted + 2) / 5 + 1) as u32;
    let month = if shifted < 10 { shifted + 3 } else { shifted - 9 } as u32;
    (year + era * 400 + (month <= 2) as i64, month, day)
}

#[inline]
pub(crate) const fn days_in_month(year: i64, month: u32) -> u32 {
    match month {
        2 if year % 4 == 0 && (year % 100 != 0 || year % 400 == 0) => 29,
        2 => 28,
        4 | 6 | 9 | 11 => 30,
        _ => 31,
    }
}

#[inline]
pub(crate) fn civil(year: i64, month: u32, day: u32) -> Option<i32> {
    let valid = year >= 1 && (1..=12).contains(&month) && day >= 1 && day <= days_in_month(year, month);
    valid.then(|| days_from_civil(year, month, day) as i32)
}

#[inline]
fn digits(bytes: &[u8]) -> Option<u32> {
    let mut value = 0_u32;
    for byte in bytes {
        let digit = byte.wrapping_sub(b'0');
        if digit > 9 {
            return None;
        }
        value = value * 10 + u32::from(digit);
    }
    Some(value)
}

/// `yyyy-mm-dd`, nothing else.
#[inline]
pub(crate) fn iso_date(text: &str) -> Option<i32> {
    match text.as_bytes() {
        [y @ .., b'-', m1, m2, b'-', d1, d2] if y.len() == 4 => {
            civil(digits(y)?.into(), digits(&[*m1, *m2])?, digits(&[*d1, *d2])?)
        }
        _ => None,
    }
}

/// `hh:mm:ss`, nothing else; microseconds since midnight.
#[inline]
pub(crate) fn iso_time(text: &str) -> Option<i64> {
    match text.as_bytes() {
        [h1, h2, b':', m1, m2, b':', s1, s2] => clock(digits(&[*h1, *h2])?, digits(&[*m1, *m2])?, digits(&[*s1, *s2])?),
        _ => None,
    }
}

#[inline]
pub(crate) fn clock(hour: u32, minute: u32, second: u32) -> Option<i64> {
    (hour < 24 && minute < 60 && second < 60).then(|| i64::from(hour * 3600 + minute * 60 + second) * 1_000_000)
}

/// `yyyy`.
#[inline]
pub(crate) fn year(text: &str) -> Option<i32> {
    (text.len() == 4).then(|| digits(text.as_bytes())).flatten().map(|year| year as i32)
}

/// `yyyy-mm`, as months since year 0.
#[inline]
pub(crate) fn year_month(text: &str) -> Option<i32> {
    match text.as_bytes() {
        [y @ .., b'-', m1, m2] if y.len() == 4 => {
            let month = digits(&[*m1, *m2]).filter(|month| (1..=12).contains(month))?;
            Some(digits(y)? as i32 * 12 + month as i32 - 1)
        }
        _ => None,
    }
}

/// A point in time, or a wall-clock time without a zone.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Stamp {
    /// Microseconds since 1970-01-01T00:00:00, in UTC when there is a zone.
    pub(crate) micros: i64,
    /// Whether a zone was written.
    pub(crate) zoned: bool,
}

/// The XML Schema form: `yyyy-mm-ddThh:mm:ss`, a fraction, a zone. Hour 24 is the end of the day.
pub(crate) fn iso_datetime(text: &str) -> Option<Stamp> {
    let date = iso_date(text.get(..10)?)?;
    let rest = text.get(10..)?.strip_prefix('T')?;
    let (clock_text, mut rest) = (rest.get(..8)?, rest.get(8..)?);
    let end_of_day = clock_text == "24:00:00";
    let mut micros = if end_of_day { DAY_MICROS } else { iso_time(clock_text)? };
    if let Some(fraction) = rest.strip_prefix('.') {
        let count = fraction.bytes().take_while(u8::is_ascii_digit).count();
        if count == 0 {
            return None;
        }
        let (fraction, tail) = fraction.split_at(count);
        let part = fraction_micros(fraction);
        if end_of_day && part != 0 {
            return None;
        }
        micros += part;
        rest = tail;
    }
    let local = i64::from(date) * DAY_MICROS + micros;
    if rest.is_empty() {
        return Some(Stamp { micros: local, zoned: false });
    }
    Some(Stamp { micros: local - zone(rest)?, zoned: true })
}

pub(crate) fn fraction_micros(digits: &str) -> i64 {
    digits.bytes().chain(std::iter::repeat(b'0')).take(6).fold(0, |sum, byte| sum * 10 + i64::from(byte - b'0'))
}

/// `Z`, `+08:00` or `-05:30`, as microseconds east of Greenwich.
pub(crate) fn zone(text: &str) -> Option<i64> {
    match text.as_bytes() {
        [b'Z'] => Some(0),
        [sign @ (b'+' | b'-'), h1, h2, b':', m1, m2] => offset(*sign, digits(&[*h1, *h2])?, digits(&[*m1, *m2])?),
        _ => None,
    }
}

pub(crate) fn offset(sign: u8, hours: u32, minutes: u32) -> Option<i64> {
    let valid = minutes < 60 && (hours < 14 || hours == 14 && minutes == 0);
    let micros = i64::from(hours * 60 + minutes) * 60_000_000;
    valid.then_some(if sign == b'-' { -micros } else { micros })
}

/// Writes `yyyy-mm-dd`.
pub(crate) fn write_date(days: i64, out: &mut String) {
    use std::fmt::Write as _;
    let (year, month, day) = civil_from_days(days);
    let _ = write!(out, "{year:04}-{month:02}-{day:02}");
}

/// Writes `hh:mm:ss`, with the fraction only if there is one.
pub(crate) fn write_time(micros: i64, out: &mut String) {
    use std::fmt::Write as _;
    let seconds = micros / 1_000_000;
    let _ = write!(out, "{:02}:{:02}:{:02}", seconds / 3600, seconds / 60 % 60, seconds % 60);
    let fraction = micros % 1_000_000;
    if fraction != 0 {
        let text = format!("{fraction:06}");
        let _ = write!(out, ".{}", text.trim_end_matches('0'));
    }
}

/// Writes `yyyy-mm-ddThh:mm:ss[.ffffff]`.
pub(crate) fn write_datetime(micros: i64, out: &mut String) {
    write_date(micros.div_euclid(DAY_MICROS), out);
    out.push('T');
    write_time(micros.rem_euclid(DAY_MICROS), out);
}

/// How the dates or times of a field are written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum TemporalForm {
    /// The ISO form of the type.
    Default,
    /// Whatever a person might write; day before month.
    Any,
    /// A strptime pattern.
    Pattern(Strptime),
}

/// A compiled strptime pattern.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Strptime {
    items: Vec<Item>,
    source: String,
    names: Names,
}

/// In which language a pattern reads and writes the names of months and days.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Names {
    /// English, as strptime has it in the C locale.
    #[default]
    English,
    /// Indonesian: the full names, the abbreviations in use.
    Indonesian,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Item {
    Space,
    Literal(char),
    Field(char),
}

/// Steps of the search for another way to divide the digits of a text.
const BACKTRACK_STEPS: u32 = 2000;

impl Item {
    /// Passes over spaces or a literal.
    fn skip<'a>(&self, rest: &'a str) -> Option<&'a str> {
        match self {
            Self::Space => {
                let trimmed = rest.trim_start();
                (trimmed.len() < rest.len()).then_some(trimmed)
            }
            Self::Literal(c) => {
                // Python compiles patterns without regard to case.
                let next = rest.chars().next()?;
                if next != *c && !next.to_lowercase().eq(c.to_lowercase()) {
                    return None;
                }
                rest.get(next.len_utf8()..)
            }
            Self::Field(_) => None,
        }
    }
}

/// Reads the text by the items, trying fewer digits for each number in turn.
fn backtrack(items: &[Item], text: &str, parts: Parts, steps: &mut u32) -> Option<Parts> {
    *steps = steps.checked_sub(1)?;
    let Some((item, items)) = items.split_first() else { return text.is_empty().then_some(parts) };
    let Item::Field(field) = item else { return backtrack(items, item.skip(text)?, parts, steps) };
    let digits = text.bytes().take_while(u8::is_ascii_digit).count();
    let most = if digits_may_vary(*field) { digits.min(6) } else { 1 };
    (1..=most.max(1)).rev().find_map(|count| {
        // What follows the digits is cut off for a moment, so that the field takes no more of them.
        let (head, tail) = if digits_may_vary(*field) { (text.get(..count)?, text.get(count..)?) } else { (text, "") };
        let mut parts = parts;
        let rest = parts.take(*field, head)?;
        if tail.is_empty() {
            return backtrack(items, rest, parts, steps);
        }
        rest.is_empty().then(|| backtrack(items, tail, parts, steps)).flatten()
    })
}

const fn digits_may_vary(field: char) -> bool {
    matches!(field, 'm' | 'I' | 'd' | 'H' | 'M' | 'S' | 'j' | 'f' | 'V' | 'U' | 'W')
}

#[derive(Clone, Copy, Debug, Default)]
struct Parts {
    /// The language of the names that are read.
    names: Names,
    year: Option<i64>,
    month: Option<u32>,
    day: Option<u32>,
    of_year: Option<u32>,
    hour: u32,
    hour12: bool,
    afternoon: Option<bool>,
    minute: u32,
    second: u32,
    micros: i64,
    zone: Option<i64>,
    /// The day of the week from Monday, 0.
    weekday: Option<i64>,
    iso_year: Option<i64>,
    iso_week: Option<i64>,
    /// The week of the year, and whether it begins on Monday.
    week: Option<(i64, bool)>,
}

const MONTHS: [&str; 12] = [
    "January",
    "February",
    "March",
    "April",
    "May",
    "June",
    "July",
    "August",
    "September",
    "October",
    "November",
    "December",
];
const DAYS: [&str; 7] = ["Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday"];

/// The day of the week from Monday, 0.
const fn weekday_of(days: i64) -> i64 {
    (days + 3).rem_euclid(7)
}

/// The Monday of the first week of an ISO year: the one that holds 4 January.
const fn iso_week_start(year: i64) -> i64 {
    let fourth = days_from_civil(year, 1, 4);
    fourth - weekday_of(fourth)
}

/// The names of months in Indonesian, and the abbreviations that occur: the first is the one that is written.
const BULAN: [(&str, &[&str]); 12] = [
    ("Januari", &["Jan"]),
    ("Februari", &["Feb"]),
    ("Maret", &["Mar"]),
    ("April", &["Apr"]),
    ("Mei", &["Mei"]),
    ("Juni", &["Jun"]),
    ("Juli", &["Jul"]),
    ("Agustus", &["Agu", "Agt", "Ags", "Agust"]),
    ("September", &["Sep", "Sept"]),
    ("Oktober", &["Okt"]),
    ("November", &["Nov", "Nop"]),
    ("Desember", &["Des"]),
];
/// Days from Monday. Both spellings of Friday are in use.
const HARI: [(&str, &[&str]); 7] = [
    ("Senin", &["Sen"]),
    ("Selasa", &["Sel"]),
    ("Rabu", &["Rab"]),
    ("Kamis", &["Kam"]),
    ("Jumat", &["Jum", "Jum'at"]),
    ("Sabtu", &["Sab"]),
    ("Minggu", &["Min"]),
];
/// Old spellings of months.
const BULAN_LAMA: [(u32, &str); 3] = [(1, "Pebruari"), (10, "Nopember"), (7, "Augustus")];

/// Reads the name of a month or day at the start of `text`; of several that fit, the longest.
fn named(text: &str, field: char, names: Names) -> Option<(u32, &str)> {
    let full = matches!(field, 'B' | 'A');
    let month = matches!(field, 'B' | 'b');
    let english = |width| if month { name(text, &MONTHS, width) } else { name(text, &DAYS, width) };
    let indonesian = |full: bool| {
        let table: &[(&str, &[&str])] = if month { &BULAN } else { &HARI };
        let fits = |word: &str| {
            let head = text.get(..word.len())?;
            head.eq_ignore_ascii_case(word).then(|| text.get(word.len()..).unwrap_or_default())
        };
        let words = table.iter().zip(0_u32..).flat_map(|((name, short), index)| {
            let words: Vec<&str> = if full { vec![name] } else { short.to_vec() };
            words.into_iter().map(move |word| (index, word))
        });
        let old = BULAN_LAMA.iter().copied().filter(|_| full && month);
        words.chain(old).filter_map(|(index, word)| Some((index, fits(word)?))).min_by_key(|(_, rest)| rest.len())
    };
    match names {
        Names::English => english(if full { usize::MAX } else { 3 }),
        Names::Indonesian => indonesian(full),
    }
}

impl Strptime {
    /// The same pattern with names in another language.
    pub(crate) fn in_language(mut self, names: Names) -> Self {
        self.names = names;
        self
    }

    /// Compiles a pattern; an unknown directive is named in the error.
    pub(crate) fn compile(pattern: &str) -> Result<Self, String> {
        let mut items = Vec::new();
        let mut chars = pattern.chars();
        while let Some(c) = chars.next() {
            match c {
                '%' => match chars.next() {
                    Some('%') => items.push(Item::Literal('%')),
                    Some('T' | 'X') => items.extend(Self::compile("%H:%M:%S")?.items),
                    Some('R') => items.extend(Self::compile("%H:%M")?.items),
                    Some('F') => items.extend(Self::compile("%Y-%m-%d")?.items),
                    Some('D' | 'x') => items.extend(Self::compile("%m/%d/%y")?.items),
                    Some('c') => items.extend(Self::compile("%a %b %d %H:%M:%S %Y")?.items),
                    Some('h') => items.push(Item::Field('b')),
                    Some('e') => items.push(Item::Field('d')),
                    Some(field) if "YymdHIMSfpbBaAjzZwuGVUW".contains(field) => items.push(Item::Field(field)),
                    Some(other) => return Err(format!("%{other}")),
                    None => return Err("%".to_owned()),
                },
                c if c.is_whitespace() => {
                    if items.last() != Some(&Item::Space) {
                        items.push(Item::Space);
                    }
                }
                c => items.push(Item::Literal(c)),
            }
        }
        Ok(Self { items, source: pattern.to_owned(), names: Names::English })
    }

    /// The pattern as the contract has it.
    pub(crate) fn source(&self) -> &str {
        &self.source
    }

    /// Whether the values carry a zone.
    pub(crate) fn has_zone(&self) -> bool {
        self.items.contains(&Item::Field('z'))
    }

    fn parse(&self, text: &str) -> Option<Parts> {
        // A number takes as many digits as it can; when that leads nowhere, fewer are tried.
        let mut parts = Parts { names: self.names, ..Parts::default() };
        let fresh = parts;
        if self.greedy(text, &mut parts).is_some() {
            return Some(parts);
        }
        backtrack(&self.items, text, fresh, &mut BACKTRACK_STEPS.clone())
    }

    fn greedy(&self, text: &str, parts: &mut Parts) -> Option<()> {
        let mut rest = text;
        for item in &self.items {
            rest = match item {
                Item::Field(field) => parts.take(*field, rest)?,
                item => item.skip(rest)?,
            };
        }
        rest.is_empty().then_some(())
    }

    /// Reads a date.
    pub(crate) fn date(&self, text: &str) -> Option<i32> {
        self.parse(text)?.date()
    }

    /// Reads a time of day, in microseconds since midnight.
    pub(crate) fn time(&self, text: &str) -> Option<i64> {
        self.parse(text)?.clock()
    }

    /// Reads a date with a time.
    pub(crate) fn datetime(&self, text: &str) -> Option<Stamp> {
        let parts = self.parse(text)?;
        let local = i64::from(parts.date()?) * DAY_MICROS + parts.clock()?;
        Some(Stamp { micros: local - parts.zone.unwrap_or(0), zoned: parts.zone.is_some() })
    }

    /// Writes a value so that this pattern reads it; zones are written as UTC.
    pub(crate) fn format(&self, micros: i64) -> String {
        use std::fmt::Write as _;
        let (days, clock) = (micros.div_euclid(DAY_MICROS), micros.rem_euclid(DAY_MICROS));
        let (year, month, day) = civil_from_days(days);
        let (hour, minute, second) = (clock / 3_600_000_000, clock / 60_000_000 % 60, clock / 1_000_000 % 60);
        let weekday = (days + 3).rem_euclid(7) as usize;
        let name = |field: char| self.names.write(field, month as usize - 1, weekday);
        let mut out = String::new();
        for item in &self.items {
            let _ = match item {
                Item::Space => write!(out, " "),
                Item::Literal(c) => write!(out, "{c}"),
                Item::Field('Y') => write!(out, "{year:04}"),
                Item::Field('y') => write!(out, "{:02}", year.rem_euclid(100)),
                Item::Field('m') => write!(out, "{month:02}"),
                Item::Field('d') => write!(out, "{day:02}"),
                Item::Field('H') => write!(out, "{hour:02}"),
                Item::Field('I') => write!(out, "{:02}", (hour + 11) % 12 + 1),
                Item::Field('M') => write!(out, "{minute:02}"),
                Item::Field('S') => write!(out, "{second:02}"),
                Item::Field('f') => write!(out, "{:06}", clock % 1_000_000),
                Item::Field('p') => write!(out, "{}", if hour < 12 { "AM" } else { "PM" }),
                Item::Field(field @ ('B' | 'b' | 'A' | 'a')) => write!(out, "{}", name(*field)),
                Item::Field('u') => write!(out, "{}", weekday + 1),
                Item::Field('w') => write!(out, "{}", (weekday + 1) % 7),
                Item::Field('j') => write!(out, "{:03}", days - days_from_civil(year, 1, 1) + 1),
                Item::Field(field @ ('G' | 'V')) => {
                    let iso = [year + 1, year, year - 1].into_iter().find(|iso| iso_week_start(*iso) <= days);
                    let iso = iso.unwrap_or(year);
                    match field {
                        'G' => write!(out, "{iso:04}"),
                        _ => write!(out, "{:02}", (days - iso_week_start(iso)) / 7 + 1),
                    }
                }
                Item::Field(field @ ('U' | 'W')) => {
                    let first = days_from_civil(year, 1, 1);
                    let offset = (weekday_of(first) + i64::from(*field == 'U')) % 7;
                    write!(out, "{:02}", (days - first + offset) / 7 + i64::from(offset == 0))
                }
                Item::Field('z') => write!(out, "+0000"),
                Item::Field('Z') => write!(out, "UTC"),
                Item::Field(_) => Ok(()),
            };
        }
        out
    }
}

impl Names {
    /// The name of a month (from 0) or day (from Monday) as a pattern with that directive writes it.
    fn write(self, field: char, month: usize, weekday: usize) -> &'static str {
        let pick = |names: &'static [&'static str], index: usize, width: usize| {
            names.get(index).and_then(|name| name.get(..width.min(name.len()))).unwrap_or_default()
        };
        let own = |table: &'static [(&str, &[&str])], index: usize, full: bool| {
            table
                .get(index)
                .map_or("", |(name, short)| if full { name } else { short.first().copied().unwrap_or(name) })
        };
        match (self, field) {
            (Self::Indonesian, 'B' | 'b') => own(&BULAN, month, field == 'B'),
            (Self::Indonesian, _) => own(&HARI, weekday, field == 'A'),
            (_, 'B') => pick(&MONTHS, month, 9),
            (_, 'b') => pick(&MONTHS, month, 3),
            (_, 'A') => pick(&DAYS, weekday, 9),
            _ => pick(&DAYS, weekday, 3),
        }
    }
}

impl Parts {
    fn take<'a>(&mut self, field: char, rest: &'a str) -> Option<&'a str> {
        let (value, rest) = match field {
            'Y' => number(rest, 4, 4, 0, 9999)?,
            'y' => number(rest, 2, 2, 0, 99)?,
            'm' | 'I' => number(rest, 1, 2, 1, 12)?,
            'd' => number(rest, 1, 2, 1, 31)?,
            'H' => number(rest, 1, 2, 0, 23)?,
            'M' => number(rest, 1, 2, 0, 59)?,
            'S' => number(rest, 1, 2, 0, 61)?,
            'j' => number(rest, 1, 3, 1, 366)?,
            'w' => number(rest, 1, 1, 0, 6)?,
            'u' => number(rest, 1, 1, 1, 7)?,
            'G' => number(rest, 4, 4, 1, 9999)?,
            'V' => number(rest, 1, 2, 1, 53)?,
            'U' | 'W' => number(rest, 1, 2, 0, 53)?,
            'B' | 'b' | 'A' | 'a' => named(rest, field, self.names)?,
            'p' => name(rest, &["AM", "PM"], 2)?,
            'z' => return self.take_zone(rest),
            'Z' => return ["UTC", "GMT"].iter().find_map(|zone| rest.strip_prefix(zone)),
            _ => return self.take_fraction(rest),
        };
        match field {
            'Y' => self.year = Some(value.into()),
            'y' => self.year = Some(i64::from(value) + if value < 69 { 2000 } else { 1900 }),
            'm' => self.month = Some(value),
            'B' | 'b' => self.month = Some(value + 1),
            'd' => self.day = Some(value),
            'j' => self.of_year = Some(value),
            'H' => self.hour = value,
            'I' => (self.hour, self.hour12) = (value, true),
            'p' => self.afternoon = Some(value == 1),
            'M' => self.minute = value,
            'S' => self.second = value,
            'A' | 'a' => self.weekday = Some(value.into()),
            'u' => self.weekday = Some(i64::from(value) - 1),
            'w' => self.weekday = Some((i64::from(value) + 6) % 7),
            'G' => self.iso_year = Some(value.into()),
            'V' => self.iso_week = Some(value.into()),
            'U' | 'W' => self.week = Some((value.into(), field == 'W')),
            _ => {}
        }
        Some(rest)
    }

    fn take_fraction<'a>(&mut self, rest: &'a str) -> Option<&'a str> {
        let count = rest.bytes().take(6).take_while(u8::is_ascii_digit).count();
        let (digits, rest) = rest.split_at(count);
        self.micros = fraction_micros(digits);
        (count > 0).then_some(rest)
    }

    /// `Z`, `+hhmm` or `+hh:mm`.
    fn take_zone<'a>(&mut self, rest: &'a str) -> Option<&'a str> {
        if let Some(rest) = rest.strip_prefix('Z') {
            self.zone = Some(0);
            return Some(rest);
        }
        let sign = *rest.as_bytes().first().filter(|sign| matches!(sign, b'+' | b'-'))?;
        let (hours, rest) = number(rest.get(1..)?, 2, 2, 0, 23)?;
        let (minutes, rest) = number(rest.strip_prefix(':').unwrap_or(rest), 2, 2, 0, 59)?;
        self.zone = Some(offset(sign, hours, minutes)?);
        Some(rest)
    }

    fn date(&self) -> Option<i32> {
        if let (Some(year), Some(week), Some(weekday)) = (self.iso_year, self.iso_week, self.weekday) {
            let days = iso_week_start(year) + (week - 1) * 7 + weekday;
            return (week < 53 || days < iso_week_start(year + 1)).then(|| i32::try_from(days).ok()).flatten();
        }
        let year = self.year.unwrap_or(1900);
        if let (Some((week, monday)), Some(weekday), None) = (self.week, self.weekday, self.month) {
            let first = days_from_civil(year, 1, 1);
            let shift = i64::from(!monday);
            let (offset, weekday) = ((weekday_of(first) + shift) % 7, (weekday + shift) % 7);
            return i32::try_from(first - offset + (week - i64::from(offset == 0)) * 7 + weekday).ok();
        }
        if let (Some(day), None) = (self.of_year, self.month) {
            let valid = day <= 365 || days_in_month(year, 2) == 29;
            return valid.then(|| (days_from_civil(year, 1, 1) + i64::from(day) - 1) as i32);
        }
        civil(year, self.month.unwrap_or(1), self.day.unwrap_or(1))
    }

    fn clock(&self) -> Option<i64> {
        let hour = match self.afternoon {
            Some(afternoon) if self.hour12 => self.hour % 12 + if afternoon { 12 } else { 0 },
            _ if self.hour12 => self.hour % 12,
            _ => self.hour,
        };
        Some(clock(hour, self.minute, self.second)? + self.micros)
    }
}

/// As many digits as fit, between `min` and `max` of them, and within the range.
fn number(text: &str, min: usize, max: usize, low: u32, high: u32) -> Option<(u32, &str)> {
    let available = text.bytes().take(max).take_while(u8::is_ascii_digit).count();
    (min..=available).rev().find_map(|count| {
        let value = digits(text.as_bytes().get(..count)?)?;
        (low..=high).contains(&value).then(|| (value, text.get(count..).unwrap_or_default()))
    })
}

fn name<'a>(text: &'a str, names: &[&str], width: usize) -> Option<(u32, &'a str)> {
    names.iter().enumerate().find_map(|(index, name)| {
        let name = name.get(..width.min(name.len()))?;
        let head = text.get(..name.len())?;
        head.eq_ignore_ascii_case(name).then(|| (index as u32, text.get(name.len()..).unwrap_or_default()))
    })
}

const ANY_DATES: [&str; 12] = [
    "%Y/%m/%d",
    "%d/%m/%Y",
    "%d-%m-%Y",
    "%d.%m.%Y",
    "%d %B %Y",
    "%d %b %Y",
    "%B %d, %Y",
    "%b %d, %Y",
    "%Y%m%d",
    "%m/%d/%Y",
    "%d/%m/%y",
    "%Y-%m-%d",
];
const ANY_TIMES: [&str; 6] = ["%H:%M:%S", "%H:%M", "%H.%M.%S", "%H.%M", "%I:%M:%S %p", "%I:%M %p"];

fn first<T>(patterns: &[&str], read: impl Fn(&Strptime) -> Option<T>) -> Option<T> {
    patterns.iter().find_map(|pattern| Strptime::compile(pattern).ok().as_ref().and_then(&read))
}

impl TemporalForm {
    /// The form named by a field's `format`.
    pub(crate) fn named(format: &str) -> Result<Self, String> {
        let format = format.strip_prefix("fmt:").unwrap_or(format);
        Ok(match format {
            "default" => Self::Default,
            "any" => Self::Any,
            pattern => Self::Pattern(Strptime::compile(pattern)?),
        })
    }

    /// Reads a date: days since 1970-01-01.
    #[inline]
    pub(crate) fn date(&self, text: &str) -> Option<i32> {
        match self {
            Self::Default => iso_date(text),
            Self::Pattern(pattern) => pattern.date(text),
            Self::Any => iso_date(text).or_else(|| any_date(text.trim())).or_else(|| loose::read(text.trim())?.date),
        }
    }

    /// Reads a time: microseconds since midnight.
    #[inline]
    pub(crate) fn time(&self, text: &str) -> Option<i64> {
        match self {
            Self::Default => iso_time(text),
            Self::Pattern(pattern) => pattern.time(text),
            Self::Any => {
                let text = text.trim();
                first(&ANY_TIMES, |pattern| pattern.time(text)).or_else(|| loose::read(text)?.clock)
            }
        }
    }

    /// Reads a date with a time.
    #[inline]
    pub(crate) fn datetime(&self, text: &str) -> Option<Stamp> {
        match self {
            Self::Default => iso_datetime(text),
            Self::Pattern(pattern) => pattern.datetime(text),
            Self::Any => {
                iso_datetime(text).or_else(|| any_datetime(text.trim())).or_else(|| loose_datetime(text.trim()))
            }
        }
    }
}

/// Reads a date as people write it, day before month; also used to propose a correction.
pub(crate) fn any_date(text: &str) -> Option<i32> {
    first(&ANY_DATES, |pattern| pattern.date(text))
}

fn loose_datetime(text: &str) -> Option<Stamp> {
    let found = loose::read(text)?;
    let local = i64::from(found.date?) * DAY_MICROS + found.clock.unwrap_or(0);
    Some(Stamp { micros: local - found.zone.unwrap_or(0), zoned: found.zone.is_some() })
}

fn any_datetime(text: &str) -> Option<Stamp> {
    if let Some(days) = any_date(text) {
        return Some(Stamp { micros: i64::from(days) * DAY_MICROS, zoned: false });
    }
    let zoned = text.find(['+', 'Z']).or_else(|| text.rfind('-').filter(|at| *at > 10));
    let (local, offset) = match zoned {
        Some(at) => (text.get(..at)?, Some(zone(text.get(at..)?)?)),
        None => (text, None),
    };
    let split = local.rfind('T').or_else(|| local.find(' ').filter(|_| local.contains(':')))?;
    let days = any_date(local.get(..split)?)?;
    let clock = first(&ANY_TIMES, |pattern| pattern.time(local.get(split + 1..).unwrap_or_default().trim()))?;
    let micros = i64::from(days) * DAY_MICROS + clock - offset.unwrap_or(0);
    Some(Stamp { micros, zoned: offset.is_some() })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn months_are_read_and_written_in_the_language_of_the_field() {
        let own = |pattern: &str| Strptime::compile(pattern).unwrap().in_language(Names::Indonesian);
        let full = own("%d %B %Y %H:%M");
        let stamp = full.datetime("20 Agustus 2021 07:15").unwrap();
        assert_eq!(full.format(stamp.micros), "20 Agustus 2021 07:15");
        for wrong in ["20 August 2021 07:15", "20 Agu 2021 07:15", " 20 agt 2021 07:15 ", "20 AUG 2021 07:15"] {
            assert_eq!(full.datetime(wrong), None, "{wrong}");
        }
        let short = own("%a, %d-%b-%y");
        for text in ["Jum, 20-Agu-21", "jum, 20-agt-21", "Jum'at, 20-Agust-21"] {
            assert_eq!(short.date(text), full.date("20 Agustus 2021 00:00"), "{text}");
        }
        for (month, (name, abbreviations)) in (1..).zip(BULAN) {
            let day = iso_date(&format!("2021-{month:02}-09")).unwrap();
            assert_eq!(own("%d %B %Y").date(&format!("09 {name} 2021")), Some(day));
            assert!(abbreviations.iter().all(|a| own("%d %b %Y").date(&format!("09 {a} 2021")) == Some(day)));
            for pattern in ["%A %d %B %Y", "%a %d %b %Y"] {
                let written = own(pattern).format(i64::from(day) * DAY_MICROS);
                assert_eq!(own(pattern).date(&written), Some(day), "{written}");
            }
        }
        assert_eq!(own("%d %B %Y").date("9 Nopember 2021"), iso_date("2021-11-09"));
        assert_eq!(Strptime::compile("%d %B %Y").unwrap().date("9 Agustus 2021"), None, "strptime is English");
    }

    #[test]
    fn the_default_forms_accept_nothing_else() {
        assert_eq!(iso_date("1970-01-02"), Some(1));
        assert!(iso_date("2024-02-29").is_some());
        for text in
            ["2023-02-29", "2024-13-01", "24-01-05", "05/01/2024", "2024-01-05 ", "20240105", "2024-1-5", "0000-01-01"]
        {
            assert_eq!(iso_date(text), None, "{text}");
        }
        for text in [
            "2024-01-26T15:00",
            "2024-01-26",
            "2024-01-26T25:00:00",
            "2024-01-26 15:00:00",
            "2024-01-26T15:00:00,5",
            "2024-01-26T15:00:00.",
            "2024-01-26T15:00:00+15:00",
        ] {
            assert_eq!(iso_datetime(text), None, "{text}");
        }
        assert_eq!(
            iso_datetime("2024-01-01T07:00:00+08:00").map(|stamp| stamp.micros),
            iso_datetime("2023-12-31T23:00:00Z").map(|stamp| stamp.micros)
        );
        assert_eq!(year("+123"), None);
        assert_eq!(year_month("2024-00"), None);
    }

    #[test]
    fn patterns_read_what_strptime_reads() {
        let date = |pattern: &str, text: &str| Strptime::compile(pattern).unwrap().date(text);
        assert_eq!(date("%d/%m/%Y", "5/1/2024"), iso_date("2024-01-05"));
        assert_eq!(date("%d/%m/%Y", "31/02/2024"), None);
        assert_eq!(date("%d-%m-%y", "05-01-69"), iso_date("1969-01-05"));
        assert_eq!(date("%d-%m-%y", "05-01-2024"), None);
        assert_eq!(date("tgl %Y%m%d", "tgl 20240105"), iso_date("2024-01-05"));
        assert_eq!(date("%d %B %Y", "05 May 2024"), iso_date("2024-05-05"));
        assert_eq!(date("%d %B %Y", "5 Mei 2024"), None);
        assert_eq!(date("%d %B %Y", "5 Jan 2024"), None);
        assert_eq!(date("%d%m%Y", "512024"), iso_date("2024-01-05"));
        assert_eq!(date("%d%m%Y", "5122024"), iso_date("2024-12-05"));
        assert_eq!(date("%G-W%V-%u", "2020-W53-7"), iso_date("2021-01-03"));
        assert_eq!(date("%G-W%V-%u", "2024-W53-1"), None);
        assert!(Strptime::compile("%Q").is_err());
        let zoned = Strptime::compile("%Y-%m-%dT%H:%M:%S%z").unwrap();
        assert_eq!(zoned.datetime("2024-01-05T09:15:00+0800"), zoned.datetime("2024-01-05T01:15:00Z"));
        assert_eq!(zoned.datetime("2024-01-05T09:15:00"), None);
        assert_eq!(Strptime::compile("%H.%M").unwrap().time("24.00"), None);
        assert_eq!(Strptime::compile("%I:%M %p").unwrap().time("12:30 am"), Some(30 * 60_000_000));
    }

    proptest::proptest! {
        #[test]
        fn days_and_dates_are_inverse(days in -700_000_i64..2_900_000) {
            let (year, month, day) = civil_from_days(days);
            proptest::prop_assert_eq!(days_from_civil(year, month, day), days);
        }

        #[test]
        fn what_a_pattern_writes_it_reads(seconds in -2_000_000_000_i64..4_000_000_000) {
            for pattern in ["%d/%m/%Y %H:%M:%S", "%A %d %B %Y %I:%M:%S %p", "%Y-%jT%H%M%S%z", "%c", "%G-W%V-%u %T", "%Y %U %w %T", "%Y %W %a %T"] {
                let pattern = Strptime::compile(pattern).unwrap();
                let text = pattern.format(seconds * 1_000_000);
                proptest::prop_assert_eq!(pattern.datetime(&text).map(|stamp| stamp.micros), Some(seconds * 1_000_000), "{}", text);
            }
        }
    }
}
