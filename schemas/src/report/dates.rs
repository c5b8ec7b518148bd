//! The words for dates and times that are none, read with another pattern where that is possible.

use super::Text;
use super::words::Words;
use crate::lexical::temporal::{
    DAY_MICROS, TemporalForm, any_date, civil_from_days, write_date, write_datetime, write_time,
};

/// The months as people write them, the first three letters of each in both languages and the full names.
const MONTHS: [&[&str]; 12] = [
    &["jan", "januari", "january"],
    &["feb", "peb", "februari", "pebruari", "february"],
    &["mar", "maret", "march"],
    &["apr", "april"],
    &["mei", "may"],
    &["jun", "juni", "june"],
    &["jul", "juli", "july"],
    &["agu", "agt", "ags", "aug", "agustus", "august"],
    &["sep", "sept", "september"],
    &["okt", "oct", "oktober", "october"],
    &["nov", "nop", "november", "nopember"],
    &["des", "dec", "desember", "december"],
];
/// Days that a spreadsheet counts for dates of 1980 to 2099.
const SERIALS: std::ops::Range<i32> = 29_221..73_051;
/// 1970-01-01 as a spreadsheet counts.
const EPOCH_SERIAL: i32 = 25_569;

/// A pattern as people write dates: `dd/mm/yyyy`.
fn shape(form: &TemporalForm, default: &str) -> Text {
    let TemporalForm::Pattern(pattern) = form else { return Text::new(default, default) };
    let common: [(&str, &str); 13] = [
        ("%d", "dd"),
        ("%m", "mm"),
        ("%Y", "yyyy"),
        ("%y", "yy"),
        ("%H", "hh"),
        ("%M", "mm"),
        ("%S", "ss"),
        ("%p", "AM/PM"),
        ("%I", "hh"),
        ("%e", "dd"),
        ("%T", "hh:mm:ss"),
        ("%R", "hh:mm"),
        ("%F", "yyyy-mm-dd"),
    ];
    let plain =
        common.iter().fold(pattern.source().to_owned(), |text, (directive, word)| text.replace(directive, word));
    let named = |month: &str, day: &str, zone: &str| {
        let text = plain.replace("%B", month).replace("%b", month);
        let text = text.replace("%A", day).replace("%a", day);
        // A zone that follows its time at once is told apart from it all the same.
        text.replace(" %z", "%z").replace("%z", &format!(" {zone}")).replace("%Z", zone)
    };
    Text::new(named("bulan", "hari", "zona"), named("month", "day", "zone"))
}

/// A date as the field writes it.
fn written(form: &TemporalForm, days: i32) -> String {
    match form {
        TemporalForm::Pattern(pattern) => pattern.format(i64::from(days) * DAY_MICROS),
        _ => {
            let mut out = String::new();
            write_date(days.into(), &mut out);
            out
        }
    }
}

/// The words for a cell of a date field.
pub(super) fn date_words(form: &TemporalForm, value: &str) -> Words {
    let shape = shape(form, "yyyy-mm-dd");
    let words = Words::new(
        format!("«{{value}}» bukan tanggal {}.", shape.id),
        format!("“{{value}}” is not a date {}.", shape.en),
    );
    let serial = value.trim().parse().ok().filter(|serial| SERIALS.contains(serial));
    if let Some(serial) = serial {
        return words
            .guess(
                "Excel menyimpan tanggal ini sebagai bilangan. Maksud Anda {fixed}? Beri kolomnya format Tanggal.",
                "Excel has stored this date as a number. Did you mean {fixed}? Format the column as Date.",
            )
            .fix(written(form, serial - EPOCH_SERIAL));
    }
    if let Some(days) = read(value) {
        let words = words.guess("Maksud Anda {fixed}?", "Did you mean {fixed}?").fix(written(form, days));
        return words.only_if(|fixed| form.date(fixed).is_some());
    }
    if let Some(text) = no_such_day(value) {
        return words.telling(text.id, text.en);
    }
    let example = written(form, 20_088);
    words.hint(format!("Tulis seperti {example}."), format!("Write it like {example}."))
}

/// Reads a date as people write it: any order and marks, month names of both languages, a time behind it.
fn read(value: &str) -> Option<i32> {
    let text = value.trim();
    if let Some(days) = any_date(text) {
        return Some(days);
    }
    if let Some((date, time)) = text.split_once(['T', ' '])
        && time.contains(':')
        && let Some(days) = any_date(date)
    {
        return Some(days);
    }
    let parts = parts(text);
    let [day, month, year] = parts.as_slice() else { return None };
    let month = month_of(month)?;
    let year = match year.len() {
        4 => (*year).to_owned(),
        2 => format!("20{year}"),
        _ => return None,
    };
    any_date(&format!("{day}/{month}/{year}"))
}

/// The parts of a date, without the name of its day.
fn parts(text: &str) -> Vec<&str> {
    const DAYS: [&str; 8] = ["senin", "selasa", "rabu", "kamis", "jumat", "jum'at", "sabtu", "minggu"];
    text.split(|c: char| c.is_whitespace() || matches!(c, '/' | '-' | '.' | ','))
        .filter(|part| !part.is_empty() && !DAYS.contains(&part.to_lowercase().as_str()))
        .take(5)
        .collect()
}

fn month_of(name: &str) -> Option<usize> {
    let name = name.to_lowercase();
    MONTHS.iter().position(|names| names.contains(&name.as_str())).map(|index| index + 1)
}

/// Says that a month has fewer days, for a date whose parts are clear.
fn no_such_day(value: &str) -> Option<Text> {
    const ID: [&str; 12] = [
        "Januari",
        "Februari",
        "Maret",
        "April",
        "Mei",
        "Juni",
        "Juli",
        "Agustus",
        "September",
        "Oktober",
        "November",
        "Desember",
    ];
    const EN: [&str; 12] = [
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
    let parts = parts(value.trim());
    let [first, month, last] = parts.as_slice() else { return None };
    let month: usize = month.parse().ok().or_else(|| month_of(month))?;
    let (day, year) = if first.len() == 4 { (*last, *first) } else { (*first, *last) };
    let (day, year): (u32, i64) = (day.parse().ok()?, year.parse().ok()?);
    let (id, en) = (ID.get(month.checked_sub(1)?)?, EN.get(month - 1)?);
    if !(1000..10_000).contains(&year) || !(1..=99).contains(&day) {
        return None;
    }
    let next = if month == 12 { (year + 1, 1) } else { (year, month as u32 + 1) };
    let days = crate::lexical::temporal::days_from_civil(next.0, next.1, 1) - 1;
    let (_, _, length) = civil_from_days(days);
    (day > length).then(|| {
        Text::new(
            format!("Tanggal itu tidak ada: {id} {year} hanya sampai tanggal {length}."),
            format!("There is no such day: {en} {year} ends on the {length}th.").replace("31th", "31st"),
        )
    })
}

/// The words for a date with a time, or a time of day.
pub(super) fn datetime_words(form: &TemporalForm, value: &str) -> Words {
    let shape = shape(form, "yyyy-mm-ddThh:mm:ss");
    let words = Words::new(
        format!("«{{value}}» bukan tanggal dengan jam {}.", shape.id),
        format!("“{{value}}” is not a date with a time {}.", shape.en),
    );
    let written = |micros: i64| match form {
        TemporalForm::Pattern(pattern) => pattern.format(micros),
        _ => {
            let mut out = String::new();
            write_datetime(micros, &mut out);
            out
        }
    };
    if let TemporalForm::Pattern(pattern) = form
        && pattern.source().contains("%z")
    {
        return zone_words(words, form, value);
    }
    let months = months_as_numbers(value);
    let found = TemporalForm::Any.datetime(value).or_else(|| TemporalForm::Any.datetime(&months));
    if let Some(stamp) = found.filter(|stamp| !stamp.zoned) {
        let words = words.guess("Maksud Anda {fixed}?", "Did you mean {fixed}?").fix(written(stamp.micros));
        return words.only_if(|fixed| form.datetime(fixed).is_some());
    }
    if let Some(text) = no_such_day(value.trim().split([' ', 'T']).next().unwrap_or_default()) {
        return words.telling(text.id, text.en);
    }
    let example = written(20_088 * DAY_MICROS + 54_000_000_000);
    words.hint(format!("Tulis seperti {example}."), format!("Write it like {example}."))
}

/// A time whose column asks for the zone, which nobody but its writer knows.
fn zone_words(words: Words, form: &TemporalForm, value: &str) -> Words {
    const ZONES: [(&str, &str); 3] = [("WITA", "+0800"), ("WIB", "+0700"), ("WIT", "+0900")];
    let text = value.trim();
    let with = |text: &str, offset: &str| {
        ["", " "]
            .map(|space| format!("{}{space}{offset}", text.trim_end()))
            .into_iter()
            .find(|text| form.datetime(text).is_some())
    };
    let named = ZONES.iter().find_map(|(zone, offset)| with(text.strip_suffix(zone)?, offset));
    if let Some(fixed) = named {
        return words.hint("Tulis {fixed}.", "Write {fixed}.").fix(fixed);
    }
    match with(text, "+0700") {
        Some(wib) => words.telling(
            format!("Tulis juga zona waktunya: {wib} bila WIB, +0800 bila WITA, +0900 bila WIT."),
            format!("Write the time zone too: {wib} for WIB, +0800 for WITA, +0900 for WIT."),
        ),
        None => {
            let example = match form {
                TemporalForm::Pattern(pattern) => pattern.format(20_088 * DAY_MICROS + 54_000_000_000),
                _ => String::new(),
            };
            let example = example.replace("+0000", "+0700");
            words.hint(
                format!("Tulis seperti {example}, dengan zona waktu di belakangnya: WIB +0700, WITA +0800, WIT +0900."),
                format!("Write it like {example}, with the time zone behind it: WIB +0700, WITA +0800, WIT +0900."),
            )
        }
    }
}

/// `20 Agustus 2021 07:15` with the month as a number.
fn months_as_numbers(value: &str) -> String {
    let mut words = value.split_whitespace();
    match (words.next(), words.next().and_then(month_of), words.next(), words.next(), words.next()) {
        (Some(day), Some(month), Some(year), Some(time), None) => format!("{day}/{month}/{year} {time}"),
        _ => String::new(),
    }
}

/// The words for a time of day.
pub(super) fn time_words(form: &TemporalForm, value: &str) -> Words {
    let shape = shape(form, "hh:mm:ss");
    let words =
        Words::new(format!("«{{value}}» bukan jam {}.", shape.id), format!("“{{value}}” is not a time {}.", shape.en));
    let written = |micros: i64| match form {
        TemporalForm::Pattern(pattern) => pattern.format(micros),
        _ => {
            let mut out = String::new();
            write_time(micros, &mut out);
            out
        }
    };
    let bare = value.trim();
    let bare = ["WIB", "WITA", "WIT"].iter().fold(bare, |text, zone| text.trim_end_matches(zone)).trim_end();
    if let Some(micros) = TemporalForm::Any.time(bare) {
        let words = words.guess("Maksud Anda {fixed}?", "Did you mean {fixed}?").fix(written(micros));
        return words.only_if(|fixed| form.time(fixed).is_some());
    }
    let example = written(54_000_000_000);
    words.hint(format!("Tulis seperti {example}."), format!("Write it like {example}."))
}

/// The words for a month.
pub(super) fn month_words(value: &str) -> Words {
    let words = Words::new("«{value}» bukan bulan.", "“{value}” is not a month.");
    let parts = parts(value.trim());
    let number = |text: &str| text.parse().ok().or_else(|| month_of(text)).filter(|month| (1..=12).contains(month));
    let found = match parts.as_slice() {
        [year, month, ..] if year.len() == 4 && year.parse::<u16>().is_ok() => {
            number(month).map(|month| (*year, month))
        }
        [month, year] if year.len() == 4 && year.parse::<u16>().is_ok() => number(month).map(|month| (*year, month)),
        _ => None,
    };
    match found {
        Some((year, month)) => {
            words.guess("Maksud Anda {fixed}?", "Did you mean {fixed}?").fix(format!("{year}-{month:02}"))
        }
        None => words.hint("Tulis tahun-bulan, misalnya 2024-01.", "Write year-month, such as 2024-01."),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dates_are_read_as_people_write_them() {
        let iso = |text: &str| {
            let mut out = String::new();
            write_date(read(text)?.into(), &mut out);
            Some(out)
        };
        for text in ["5/1/2024", "5 Januari 2024", "05-Jan-24", "Jumat, 5 Jan 2024", "2024-01-05 00:00:00", "5.1.2024"]
        {
            assert_eq!(iso(text).as_deref(), Some("2024-01-05"), "{text}");
        }
        assert_eq!(iso("17 Agustus 1945").as_deref(), Some("1945-08-17"));
        assert_eq!(iso("31/02/2024"), None);
    }

    #[test]
    fn a_day_that_is_not_there_is_explained() {
        let text = no_such_day("31/02/2023").unwrap();
        assert_eq!(text.id, "Tanggal itu tidak ada: Februari 2023 hanya sampai tanggal 28.");
        assert_eq!(
            no_such_day("31 September 2024").unwrap().en,
            "There is no such day: September 2024 ends on the 30th."
        );
        assert_eq!(no_such_day("2024-12-32").unwrap().en, "There is no such day: December 2024 ends on the 31st.");
        assert_eq!(no_such_day("30/01/2024"), None);
    }

    proptest::proptest! {
        #[test]
        fn no_cell_stops_the_search(text in "\\PC{0,14}|[0-9/. :T-]{0,20}") {
            let _ = (read(&text), no_such_day(&text), months_as_numbers(&text), month_words(&text));
            let _ = (date_words(&TemporalForm::Default, &text), datetime_words(&TemporalForm::Default, &text), time_words(&TemporalForm::Default, &text));
        }
    }
}
