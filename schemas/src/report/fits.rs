//! Whether a suggested value would pass: nobody should be told to write what is refused the next time.

use super::Text;
use super::corrections;
use super::words::Words;
use crate::contract::{Contract, Target};
use crate::field::{Field, Rule};
use crate::form::Form;
use crate::messages;
use crate::reader::rows::Tag;

/// What is asked of the values of one field.
#[derive(Clone, Copy)]
pub(crate) struct Asked<'a> {
    pub(crate) contract: &'a Contract,
    pub(crate) field: &'a Field,
}

impl Asked<'_> {
    /// The first rule that a text breaks as a cell of the field: its type, its constraints, and the lists that it alone
    /// points to. What only the whole file can answer is left out.
    pub(crate) fn broken(self, text: &str) -> Option<Rule> {
        let field = self.field;
        if field.missing.contains(text) {
            return field.required.then_some(Rule::Required);
        }
        let Some(value) = field.form.read(text, Tag::Text) else { return Some(Rule::Type) };
        let mut first = None;
        field.constraints.broken(&value, |rule| first = first.or(Some(rule)));
        first.or_else(|| self.unlisted(text))
    }

    /// Whether the text could stand in the field.
    pub(crate) fn accepts(self, text: &str) -> bool {
        self.broken(text).is_none()
    }

    fn unlisted(self, text: &str) -> Option<Rule> {
        if !matches!(self.field.form, Form::Text(_)) {
            return None;
        }
        let own = |column: &usize| self.contract.fields.get(*column).is_some_and(|field| field.name == self.field.name);
        let mut keys = (0_u16..).zip(&self.contract.foreign_keys);
        let missed = keys.find(|(_, key)| match (&key.target, key.columns.as_slice()) {
            (Target::List { keys, .. }, [column]) => own(column) && !keys.contains(text.as_bytes()),
            _ => false,
        });
        missed.map(|(number, _)| Rule::ForeignKey(number))
    }

    /// Keeps a suggestion that would pass. In the place of one that would not, the reason why it would not.
    pub(crate) fn sound(self, words: Words) -> Words {
        // A value that was cut for the report cannot be judged.
        let Some(fixed) = words.fixed.clone().filter(|fixed| !fixed.ends_with('…')) else { return words };
        let Some(rule) = self.broken(&fixed) else { return words };
        let words = Words { fixed: None, guess: false, ..words };
        let why = match rule {
            Rule::Type | Rule::Required => None,
            Rule::ForeignKey(number) => Some(messages::unlisted(self.contract, number)),
            rule => Some(corrections::constraint_words(rule, self, &fixed).message),
        };
        match why.filter(|_| !fixed.contains(['{', '}'])) {
            Some(Text { id, en }) => words.telling(
                format!("Ditulis {fixed} pun belum benar: {} Periksa pada sumbernya.", id.replace("{value}", &fixed)),
                format!(
                    "Even written as {fixed} it is not right: {} Check it at its source.",
                    en.replace("{value}", &fixed)
                ),
            ),
            None => words.hint("Periksa nilainya pada sumbernya.", "Check the value at its source."),
        }
    }
}
