//! A sentence, advice, and the corrected value where one can be known.

use super::{Text, near, shown};
use crate::field::{Field, Missing};

/// What is said about one error.
#[derive(Clone, Debug, Default)]
pub(crate) struct Words {
    /// What is wrong; `{value}` is open.
    pub(crate) message: Text,
    /// What to do; `{fixed}` is open.
    pub(crate) hint: Option<Text>,
    /// The corrected value.
    pub(crate) fixed: Option<String>,
    /// The corrected value is likely, and a person should say yes to it.
    pub(crate) guess: bool,
    /// The advice tells about the value, so that it cannot be kept where the value is personal. That a hint with
    /// `{fixed}` does, goes without saying.
    pub(crate) tells: bool,
}

impl Words {
    pub(crate) fn new(id: impl Into<String>, en: impl Into<String>) -> Self {
        Self { message: Text::new(id, en), ..Self::default() }
    }

    /// Advice that holds for every value.
    pub(crate) fn hint(mut self, id: impl Into<String>, en: impl Into<String>) -> Self {
        self.hint = Some(Text::new(id, en));
        self
    }

    /// Advice that was made from the value.
    pub(crate) fn telling(mut self, id: impl Into<String>, en: impl Into<String>) -> Self {
        self.tells = true;
        self.hint(id, en)
    }

    /// A question with what was probably meant.
    pub(crate) fn guess(mut self, id: impl Into<String>, en: impl Into<String>) -> Self {
        self.guess = true;
        self.hint(id, en)
    }

    pub(crate) fn fix(mut self, fixed: impl AsRef<str>) -> Self {
        self.fixed = Some(shown(fixed.as_ref()));
        self
    }

    /// Keeps the corrected value, and the advice with it, only if it holds.
    pub(crate) fn only_if(mut self, holds: impl FnOnce(&str) -> bool) -> Self {
        if !self.fixed.as_deref().is_some_and(holds) {
            (self.fixed, self.hint, self.guess) = (None, None, false);
        }
        self
    }
}

impl Words {
    /// Names what a person cannot see in a value and may be all that is wrong with it.
    pub(crate) fn unseen(mut self, value: &str) -> Self {
        let seen = value.trim();
        if seen.is_empty() {
            return self;
        }
        let no_break = |c| matches!(c, '\u{a0}' | '\u{2007}' | '\u{202f}');
        let found = [
            (value.starts_with(char::is_whitespace), "spasi di depan", "a space in front"),
            (value.ends_with(char::is_whitespace), "spasi di belakang", "a space behind"),
            (value.contains(no_break), "spasi tak terputus", "a no-break space"),
            (seen.contains('\t'), "tab", "a tab"),
            (seen.contains(['\n', '\r']), "ganti baris", "a line break"),
            (value.contains(near::is_invisible), "karakter tak terlihat", "an invisible character"),
        ];
        let found: Vec<_> = found.into_iter().filter(|(is, ..)| *is).collect();
        if found.is_empty() {
            return self;
        }
        let id = found.iter().map(|(_, id, _)| *id).collect::<Vec<_>>().join(", ");
        let en = found.iter().map(|(.., en)| *en).collect::<Vec<_>>().join(", ");
        let with = |text: &str, what: String| match text.trim_end_matches('.') {
            said if said.ends_with(')') => format!("{}; {what}).", said.trim_end_matches(')')),
            said => format!("{said} ({what})."),
        };
        self.message =
            Text::new(with(&self.message.id, format!("ada {id}")), with(&self.message.en, format!("it has {en}")));
        self
    }
}

/// What a field says for "there is no value".
pub(super) fn word_for_nothing(field: &Field) -> Option<&str> {
    match &field.missing {
        Missing::Never => None,
        Missing::Empty => Some(""),
        Missing::Words { words, .. } => {
            words.iter().find(|word| word.is_empty()).or_else(|| words.first()).map(AsRef::as_ref)
        }
    }
}

/// What a person calls a field.
pub(crate) fn title(field: &Field) -> String {
    shown(field.title.as_deref().unwrap_or(&field.name))
}
