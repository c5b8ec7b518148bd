//! What a person may have meant: the nearest word of a list, the nearest code with its name.

use hashbrown::HashMap;

use super::shown;
use crate::reference::ReferenceTable;

/// Codes compared, over the whole file, in the search for what a person may have meant: about a second of work.
const BUDGET: usize = 4_000_000;
/// The most edits between a code and what was meant.
pub(crate) const EDITS: usize = 2;
/// Codes that a sentence offers when several are equally near.
const OFFERED: usize = 3;
/// Different wrong codes whose answer is remembered.
const REMEMBERED: usize = 1000;
/// The longest text that is compared, in characters.
const LONGEST: usize = 64;

/// A code of a list with its name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Code {
    pub(crate) code: String,
    pub(crate) name: Option<String>,
}

/// The search over one file.
#[derive(Debug)]
pub(crate) struct Search {
    left: usize,
    known: HashMap<(u16, Box<str>), Vec<Code>>,
}

impl Default for Search {
    fn default() -> Self {
        Self { left: BUDGET, known: HashMap::new() }
    }
}

impl Search {
    /// The codes of the column `field` of `table` that `value` may stand for, at most three equally good ones: the same
    /// letters and digits without the marks between them, the code whose name was written instead, or the fewest edits,
    /// codes under the same parent first. Codes that the column
    /// would refuse for another reason are not offered.
    pub(crate) fn codes(
        &mut self,
        key: u16,
        table: &ReferenceTable,
        field: &str,
        value: &str,
        accepts: &dyn Fn(&str) -> bool,
    ) -> Vec<Code> {
        if let Some(known) = self.known.get(&(key, value.into())) {
            return known.clone();
        }
        let found = self.search(table, field, value.trim(), accepts);
        if self.known.len() < REMEMBERED {
            self.known.insert((key, value.into()), found.clone());
        }
        found
    }

    fn search(
        &mut self,
        table: &ReferenceTable,
        field: &str,
        value: &str,
        accepts: &dyn Fn(&str) -> bool,
    ) -> Vec<Code> {
        let Some(codes) = table.column(field) else { return Vec::new() };
        let Some(left) = self.left.checked_sub(codes.len()) else { return Vec::new() };
        self.left = left;
        let value: String = value.chars().take(LONGEST + 1).collect();
        let may = |row: usize| codes.get(row).and_then(Option::as_deref).is_some_and(accepts);
        let mut best = Best { rank: (usize::MAX, 0), rows: Vec::new() };
        let (plain, wanted, parent) = (digits_only(&value), folded(&value), parent(&value));
        // In a short code two edits make another one.
        let limit = EDITS.min(value.chars().count() / 3);
        // An area that the list knows is hardly a slip for another one.
        let top = value.split_inclusive(['.', '-', '/']).next().filter(|top| top.len() < value.len());
        let top = top.filter(|top| codes.iter().flatten().any(|code| code.starts_with(top)));
        for (row, code) in codes.iter().enumerate() {
            let Some(code) = code.as_deref() else { continue };
            // A code whose length is too different cannot be near.
            let near = code.len().abs_diff(value.len()) <= limit && top.is_none_or(|top| code.starts_with(top));
            if near && let Some(edits) = distance(&value, code, limit) {
                let stranger = usize::from(parent.is_none_or(|parent| !code.starts_with(parent)));
                best.offer((1 + stranger, edits), row, &may);
            }
            if plain.is_some() && code.len() >= value.len() && digits_only(code) == plain {
                best.offer((0, 0), row, &may);
            }
        }
        if best.rank.0 > 0 && wanted.chars().any(char::is_alphabetic) {
            let names = table.labels().unwrap_or_default().iter().enumerate();
            for (row, _) in names.filter(|(_, name)| name.as_deref().is_some_and(|name| folded(name) == wanted)) {
                best.offer((0, 1), row, &may);
            }
        }
        best.rows.iter().filter_map(|row| named(table, codes, *row)).collect()
    }
}

/// The best rows so far; a lower rank is better.
struct Best {
    rank: (usize, usize),
    rows: Vec<usize>,
}

impl Best {
    fn offer(&mut self, rank: (usize, usize), row: usize, may: &dyn Fn(usize) -> bool) {
        if rank > self.rank || !may(row) {
            return;
        }
        if rank < self.rank {
            self.rank = rank;
            self.rows.clear();
        }
        if rank == self.rank && self.rows.len() < OFFERED {
            self.rows.push(row);
        }
    }
}

fn named(table: &ReferenceTable, codes: &[Option<Box<str>>], row: usize) -> Option<Code> {
    let code = codes.get(row)?.as_deref()?.to_owned();
    let name = table.labels().and_then(|labels| labels.get(row)).and_then(Option::as_deref);
    // Where the names are the key, one of them says it.
    let name = name.filter(|name| folded(name) != folded(&code)).map(shown);
    Some(Code { code, name })
}

/// The part of a code before its last mark: the area above.
fn parent(code: &str) -> Option<&str> {
    let at = code.rfind(['.', '-', '/'])?;
    code.get(..=at).filter(|_| at > 0)
}

/// The digits of a code that has nothing but digits and marks, and at least four of them: shorter ones say too little.
fn digits_only(text: &str) -> Option<String> {
    let plain: String = text.chars().filter(|c| !matches!(c, '.' | '-' | '/' | ' ')).collect();
    (plain.len() >= 4 && plain.bytes().all(|byte| byte.is_ascii_digit())).then_some(plain)
}

/// A text without what people get wrong without noticing: case, marks, spaces.
pub(crate) fn folded(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars().filter(|c| !is_invisible(*c)) {
        if c.is_alphanumeric() {
            out.extend(c.to_lowercase());
        } else if !out.ends_with(' ') && !out.is_empty() {
            out.push(' ');
        }
    }
    out.truncate(out.trim_end().len());
    out
}

/// Characters that a spreadsheet does not show.
pub(crate) const fn is_invisible(c: char) -> bool {
    matches!(c, '\u{200b}'..='\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2060}'..='\u{2069}' | '\u{feff}' | '\u{61c}' | '\u{ad}')
}

/// The word of a list that is meant: the same letters, else the only one within two edits and a third of its length.
/// The second says whether it is the same but for case, marks and spaces.
pub(crate) fn word<'a>(words: impl Iterator<Item = &'a str> + Clone, value: &str) -> Option<(&'a str, bool)> {
    let wanted = folded(value);
    if wanted.is_empty() {
        return None;
    }
    if let Some(same) = words.clone().find(|word| folded(word) == wanted) {
        return Some((same, true));
    }
    let joined = |text: &str| text.chars().filter(|c| c.is_alphanumeric()).collect::<String>();
    let tight = joined(&wanted);
    let mut same = words.clone().filter(|word| joined(&folded(word)) == tight);
    if let (Some(only), None) = (same.next(), same.next()) {
        return Some((only, true));
    }
    let limit = EDITS.min(wanted.chars().count() / 3);
    let near = words.filter_map(|word| distance(&wanted, &folded(word), limit).map(|edits| (edits, word)));
    let mut near: Vec<(usize, &str)> = near.collect();
    near.sort_by_key(|(edits, _)| *edits);
    match near.as_slice() {
        [(_, only)] => Some((only, false)),
        [(best, word), (second, _), ..] if best < second => Some((word, false)),
        _ => None,
    }
}

/// The edit distance, if it is at most `limit`; two neighbours in the wrong order are one edit. For short texts only.
pub(crate) fn distance(a: &str, b: &str, limit: usize) -> Option<usize> {
    let mut left = ['\0'; LONGEST];
    let mut right = ['\0'; LONGEST];
    let (a, b) = (fill(&mut left, a)?, fill(&mut right, b)?);
    if a.len().abs_diff(b.len()) > limit {
        return None;
    }
    // Three rows of the table: the one before the last, the last, and the one being filled.
    let mut older = [0_usize; LONGEST + 1];
    let mut old: [usize; LONGEST + 1] = std::array::from_fn(|index| index);
    let mut row = [0_usize; LONGEST + 1];
    let at = |row: &[usize], index: usize| row.get(index).copied().unwrap_or(usize::MAX / 2);
    for (i, x) in a.iter().enumerate() {
        let mut best = i + 1;
        let mut before = i + 1;
        row[0] = before;
        for (j, y) in b.iter().enumerate() {
            let mut value = (at(&old, j) + usize::from(x != y)).min(at(&old, j + 1) + 1).min(before + 1);
            if i > 0 && j > 0 && a.get(i - 1) == Some(y) && b.get(j - 1) == Some(x) {
                value = value.min(at(&older, j - 1) + 1);
            }
            if let Some(cell) = row.get_mut(j + 1) {
                *cell = value;
            }
            before = value;
            best = best.min(value);
        }
        if best > limit + 1 {
            return None;
        }
        (older, old, row) = (old, row, older);
    }
    Some(at(&old, b.len())).filter(|distance| *distance <= limit)
}

fn fill<'a>(out: &'a mut [char; LONGEST], text: &str) -> Option<&'a [char]> {
    let mut length = 0;
    for c in text.chars() {
        *out.get_mut(length)? = c;
        length += 1;
    }
    out.get(..length)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn list(rows: &[(&str, &str)]) -> ReferenceTable {
        let mut table = ReferenceTable::new(&["kode", "nama"]);
        for (code, name) in rows {
            table.push(&[Some(code), Some(name)]);
        }
        table
    }

    fn codes(table: &ReferenceTable, value: &str) -> Vec<String> {
        Search::default().codes(0, table, "kode", value, &|_| true).into_iter().map(|code| code.code).collect()
    }

    #[test]
    fn edit_distance_stops_at_its_limit() {
        assert_eq!(distance("64.01", "64.1", 2), Some(1));
        assert_eq!(distance("64.01", "64.01", 2), Some(0));
        assert_eq!(distance("64.01", "65.12", 2), None);
        assert_eq!(distance("a", "abcd", 2), None);
        assert_eq!(distance("", "ab", 2), Some(2));
        assert_eq!(distance("thaun", "tahun", 2), Some(1));
        assert_eq!(distance("kitten", "sitting", 3), Some(3));
        assert_eq!(distance(&"a".repeat(65), &"a".repeat(65), 2), None);
    }

    #[test]
    fn the_same_parent_counts_more_than_an_edit() {
        let table = list(&[("64.15.05", "Jauh"), ("64.02.17", "Dekat"), ("64.02", "Induk")]);
        assert_eq!(codes(&table, "64.02.99"), ["64.02.17"]);
        let table = list(&[("64.02.05.2001", "Saliki"), ("64.02.05.2011", "Batu-Batu"), ("64.02.06.2091", "Lain")]);
        assert_eq!(codes(&table, "64.02.05.2091"), ["64.02.05.2001", "64.02.05.2011"]);
    }

    #[test]
    fn codes_without_their_dots_and_names_in_their_place_are_found() {
        let table = list(&[("64.02.05.2001", "Saliki"), ("64.02.05.2002", "Salok Palai")]);
        assert_eq!(codes(&table, "6402052002"), ["64.02.05.2002"]);
        assert_eq!(codes(&table, "SALOK  PALAI"), ["64.02.05.2002"]);
        assert!(codes(&table, "x").is_empty());
        assert!(codes(&table, "64.03.05.2001") == ["64.02.05.2001"]);
        let table = list(&[("32", "Jawa Barat"), ("32.01", "Bogor"), ("61.01.02.2001", "Jauh"), ("11", "Aceh")]);
        assert!(codes(&table, "32.01.02.2001").is_empty());
        assert!(codes(&table, "0").is_empty());
    }

    #[test]
    fn words_are_found_by_their_letters() {
        let words = ["Laki-laki", "Perempuan", "Lainnya"];
        let find = |value| word(words.iter().copied(), value);
        assert_eq!(find("LAKI LAKI"), Some(("Laki-laki", true)));
        assert_eq!(find("lakilaki\u{200b}"), Some(("Laki-laki", true)));
        assert_eq!(find("Perempuam"), Some(("Perempuan", false)));
        assert_eq!(find("Wanita"), None);
        assert_eq!(find(" "), None);
        assert_eq!(word(["Ada", "Apa"].into_iter(), "Aba"), None);
    }
}
