//! A verdict in words: for the terminal, and for the answer that refuses a version.

use serde::Serialize;
use serde_json::{Value, json};

use super::{Change, Compatibility, Effect, Level};
use crate::report::{Lang, shown};

/// Whom a change breaks.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Side {
    /// Stored rows cannot be read under the new version.
    History,
    /// Who reads under the old version cannot read new rows.
    Readers,
    /// Files that were accepted are refused.
    Producers,
}

impl Side {
    const fn words(self, lang: Lang) -> &'static str {
        match (self, lang) {
            (Self::History, Lang::Id) => "data lama",
            (Self::History, Lang::En) => "older data",
            (Self::Readers, Lang::Id) => "pembaca versi lama",
            (Self::Readers, Lang::En) => "readers of the old version",
            (Self::Producers, Lang::Id) => "berkas produsen",
            (Self::Producers, Lang::En) => "producers' files",
        }
    }
}

impl Change {
    /// Whom it breaks.
    #[must_use]
    pub fn breaks(&self) -> Vec<Side> {
        let sides = [(self.backward, Side::History), (self.forward, Side::Readers), (self.producer, Side::Producers)];
        sides.into_iter().filter(|(effect, _)| *effect == Effect::Break).map(|(_, side)| side).collect()
    }

    /// The change as JSON, its message in one language.
    #[must_use]
    pub fn to_json(&self, lang: Lang) -> Value {
        let mut json = json!(self);
        if let Some(object) = json.as_object_mut() {
            object.insert("message".to_owned(), self.words(lang).into());
            object.insert("breaks".to_owned(), json!(self.breaks()));
        }
        json
    }

    fn words(&self, lang: Lang) -> &str {
        match lang {
            Lang::Id => &self.message.id,
            Lang::En => &self.message.en,
        }
    }

    /// Two lines at most: what changed, and whom it breaks.
    fn write(&self, lang: Lang, out: &mut String) {
        out.push_str(&format!("- {} [{}]\n", self.words(lang), self.rule.name()));
        let mut parts = Vec::new();
        let sides: Vec<&str> = self.breaks().into_iter().map(|side| side.words(lang)).collect();
        if !sides.is_empty() {
            parts.push(format!("{}: {}", pick(lang, "memutus", "breaks"), sides.join(", ")));
        }
        if let Some(witness) = &self.witness {
            let value = match witness {
                Value::String(text) if text.is_empty() => pick(lang, "(kosong)", "(empty)").to_owned(),
                Value::String(text) => format!("«{}»", shown(text)),
                other => other.to_string(),
            };
            parts.push(format!("{}: {value}", pick(lang, "dahulu sah, kini tidak", "was valid, no longer is")));
        }
        if let Some(against) = &self.against {
            parts.push(format!("{} {against}", pick(lang, "terhadap versi", "against version")));
        }
        if !parts.is_empty() {
            out.push_str(&format!("  {}\n", parts.join("; ")));
        }
    }
}

const fn pick(lang: Lang, id: &'static str, en: &'static str) -> &'static str {
    match lang {
        Lang::Id => id,
        Lang::En => en,
    }
}

impl Compatibility {
    /// The changes that the mode does not allow: why the version is refused.
    pub fn offending(&self) -> impl Iterator<Item = &Change> {
        let fine =
            |change: &&Change| !self.mode.allows(change.backward < Effect::Break, change.forward < Effect::Break);
        self.changes.iter().filter(fine)
    }

    /// The verdict as JSON, its messages in one language: `mode`, `compatible`, `suggestedVersion`, `changes` and more.
    #[must_use]
    pub fn to_json(&self, lang: Lang) -> Value {
        let mut json = json!(self);
        json["changes"] = self.changes.iter().map(|change| change.to_json(lang)).collect();
        json
    }

    /// One sentence: whom the version breaks, by which rule first, and which number it would need. Empty where it breaks
    /// nobody whom the mode protects.
    #[must_use]
    pub fn reason(&self, lang: Lang) -> String {
        let offending: Vec<&Change> = self.offending().collect();
        let Some(first) = offending.first() else { return String::new() };
        let sides: Vec<&str> = first.breaks().into_iter().map(|side| side.words(lang)).collect();
        let more = match (offending.len() - 1, lang) {
            (0, _) => String::new(),
            (more, Lang::Id) => format!(" Masih ada {more} perubahan lain yang memutus."),
            (more, Lang::En) => format!(" {more} more changes break something."),
        };
        let number = self.needed(lang);
        let (rule, sides, words) = (first.rule.name(), sides.join(", "), first.words(lang));
        match lang {
            Lang::Id => format!("{words} [{rule}] Yang terputus: {sides}.{more} {number}"),
            Lang::En => format!("{words} [{rule}] What breaks: {sides}.{more} {number}"),
        }
    }

    /// The number that the version would need.
    fn needed(&self, lang: Lang) -> String {
        let level = match self.level {
            Level::Major => "MAJOR",
            Level::Minor => "MINOR",
            Level::Patch => "PATCH",
        };
        match (&self.suggested_version, lang) {
            (Some(version), Lang::Id) => format!("Nomor versi yang diperlukan: {version} ({level})."),
            (Some(version), Lang::En) => format!("Version number needed: {version} ({level})."),
            (None, Lang::Id) => format!("Nomor versi perlu naik: {level}."),
            (None, Lang::En) => format!("The version number has to grow: {level}."),
        }
    }

    /// The verdict as plain text, a change a paragraph.
    #[must_use]
    pub fn to_text(&self, lang: Lang) -> String {
        let mode = json!(self.mode);
        let mode = mode.as_str().unwrap_or_default();
        let mut out = match (self.compatible, lang) {
            (true, Lang::Id) => format!("KOMPATIBEL ({mode})\n"),
            (false, Lang::Id) => format!("TIDAK KOMPATIBEL ({mode})\n"),
            (true, Lang::En) => format!("COMPATIBLE ({mode})\n"),
            (false, Lang::En) => format!("NOT COMPATIBLE ({mode})\n"),
        };
        if self.changes.is_empty() {
            out.push_str(pick(lang, "Tidak ada perbedaan.\n", "There is no difference.\n"));
        }
        for change in &self.changes {
            change.write(lang, &mut out);
        }
        let yes = |holds: bool| match (holds, lang) {
            (true, Lang::Id) => "ya",
            (false, Lang::Id) => "tidak",
            (true, Lang::En) => "yes",
            (false, Lang::En) => "no",
        };
        let lines = [
            (pick(lang, "Data lama tetap terbaca", "Older data stay readable"), self.backward),
            (
                pick(lang, "Pembaca versi lama tetap dapat membaca", "Readers of the old version can go on"),
                self.forward,
            ),
            (pick(lang, "Berkas Anda perlu diubah", "Your files have to change"), !self.producer),
        ];
        for (line, holds) in lines {
            out.push_str(&format!("{line}: {}\n", yes(holds)));
        }
        out.push_str(&self.needed(lang));
        out.push('\n');
        out
    }
}
