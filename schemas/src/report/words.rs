//! A sentence, advice, and the corrected value where one can be known.

use super::{Text, shown};
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
