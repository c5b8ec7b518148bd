//! From when to when a code is valid, by what it was replaced, and from what it was split off.
//!
//! An edition describes one day: the `tanggal` of its descriptor. A code is valid in the edition if that day lies in its
//! time. Without a day, a code that has an end is over. So an edition says the same for ever, whenever it is asked.

use std::collections::BTreeSet;

use super::CodeList;
use crate::report::{Lang, Text};

/// Steps from code to code that are followed at most: a list may be wrong.
const MAX_STEPS: usize = 64;
/// Levels of areas that are looked at above a code.
const MAX_LEVELS: usize = 8;

/// What an edition says about a code.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Status<'a> {
    /// It is valid.
    Valid,
    /// It was valid and is no more.
    Retired(Retired<'a>),
    /// It will be valid later.
    NotYet {
        /// From when on, as the list writes it.
        from: &'a str,
        /// The valid code that it is split off from.
        whole: Option<Named<'a>>,
    },
    /// The list does not know it.
    Unknown,
}

/// A code that is valid no more.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Retired<'a> {
    /// The last day, as the list writes it.
    pub until: Option<&'a str>,
    /// The first day without it, as the list writes it.
    pub since: Option<&'a str>,
    /// The valid codes that replaced it: several where it was split.
    pub successors: Vec<Named<'a>>,
    /// The splits that moved it, where what was split still exists.
    pub splits: Vec<Split<'a>>,
}

/// A code with its name, which is empty where the list has none.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Named<'a> {
    /// The code.
    pub code: &'a str,
    /// Its name.
    pub name: &'a str,
}

/// A part that became a code of its own, and the rest, which kept its code.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Split<'a> {
    /// The new code.
    pub part: Named<'a>,
    /// What it was split off from.
    pub whole: Named<'a>,
    /// When, as the list writes it.
    pub since: Option<&'a str>,
}

impl CodeList {
    /// What this edition says about `code`.
    #[must_use]
    pub fn status(&self, code: &str) -> Status<'_> {
        if self.contains(code) {
            return Status::Valid;
        }
        let beyond = self.beyond.get(code);
        if let Some(from) = beyond.and_then(|row| self.time(*row).0).filter(|from| self.is_later(from)) {
            let whole = self.origins.get(code).map(|origin| &*origin.whole).filter(|whole| self.contains(whole));
            return Status::NotYet { from, whole: whole.map(|whole| self.named(whole)) };
        }
        let replaced = self.successors.get(code);
        if beyond.is_none() && replaced.is_none() {
            return Status::Unknown;
        }
        let successors = self.resolve(code);
        let splits = self.splits(&successors);
        Status::Retired(Retired {
            until: beyond.and_then(|row| self.time(*row).1),
            since: replaced.and_then(|replaced| replaced.since.as_deref()),
            successors: successors.into_iter().map(|code| self.named(code)).collect(),
            splits,
        })
    }

    /// The valid codes that replaced `code`, at the end of the way from code to code.
    #[must_use]
    pub fn resolve(&self, code: &str) -> Vec<&str> {
        let (mut found, mut seen) = (Vec::new(), BTreeSet::new());
        let mut open: Vec<&str> = self.followers(code);
        while let Some(next) = open.pop() {
            if !seen.insert(next) || seen.len() > MAX_STEPS {
                continue;
            }
            match self.contains(next) {
                true => found.push(next),
                false => open.extend(self.followers(next)),
            }
        }
        found.sort_unstable();
        found
    }

    fn followers(&self, code: &str) -> Vec<&str> {
        self.successors.get(code).map(|replaced| replaced.by.iter().map(AsRef::as_ref).collect()).unwrap_or_default()
    }

    /// The splits of the successors and of the areas that they lie in.
    fn splits<'a>(&'a self, successors: &[&'a str]) -> Vec<Split<'a>> {
        let mut found: Vec<Split<'a>> = Vec::new();
        for successor in successors {
            let mut area = Some(*successor);
            for _ in 0..MAX_LEVELS {
                let Some(code) = area else { break };
                if let Some((part, origin)) = self.origins.get_key_value(code)
                    && self.contains(&origin.whole)
                    && found.iter().all(|split| split.part.code != &**part)
                {
                    let (part, whole) = (self.named(part), self.named(&origin.whole));
                    found.push(Split { part, whole, since: origin.since.as_deref() });
                }
                area = self.parent(code);
            }
        }
        found
    }

    fn named<'a>(&'a self, code: &'a str) -> Named<'a> {
        Named { code, name: self.name(code).unwrap_or_default() }
    }
}

/// Whether `text` is a year, a month or a day of the form 2022, 2022-02, 2022-02-14.
pub(super) fn is_date(text: &str) -> bool {
    let parts: Vec<&str> = text.split('-').collect();
    let digits = |part: &str, length| part.len() == length && part.bytes().all(|byte| byte.is_ascii_digit());
    let within = |part: &str, most: u32| digits(part, 2) && part.parse().is_ok_and(|n: u32| (1..=most).contains(&n));
    match parts.as_slice() {
        [year] => digits(year, 4),
        [year, month] => digits(year, 4) && within(month, 12),
        [year, month, day] => digits(year, 4) && within(month, 12) && within(day, 31),
        _ => false,
    }
}

/// The first day of a year, month or day, to be compared as text.
pub(super) fn first_day(date: &str) -> String {
    let rest = "0000-01-01".get(date.len()..).unwrap_or_default();
    format!("{date}{rest}")
}

/// The last day of a year, month or day, to be compared as text: no month has more than 31 days.
pub(super) fn last_day(date: &str) -> String {
    let rest = "0000-12-31".get(date.len()..).unwrap_or_default();
    format!("{date}{rest}")
}

/// A date as a person reads it.
#[must_use]
pub fn spoken(date: &str, lang: Lang) -> String {
    match (lang, date.split('-').collect::<Vec<_>>().as_slice()) {
        (Lang::Id, [year, month]) => format!("{month}/{year}"),
        (Lang::Id, [year, month, day]) => format!("{day}/{month}/{year}"),
        _ => date.to_owned(),
    }
}

/// A date in both languages.
pub(crate) fn said(date: &str) -> Text {
    Text::new(spoken(date, Lang::Id), spoken(date, Lang::En))
}
