//! From a rule that a cell breaks to its words.

use super::fits::Asked;
use super::words::{Words, title, word_for_nothing};
use super::{choices, dates, numbers};
use crate::field::{Field, Rule};
use crate::form::Form;

/// The words for a cell that is not of its type.
pub(crate) fn type_words(field: &Field, value: &str) -> Words {
    if value.trim().is_empty() {
        return blank(field, value);
    }
    if let Some(words) = choices::label_words(field, value) {
        return words;
    }
    match &field.form {
        Form::Integer(form) => numbers::integer_words(field, form, value),
        Form::Number(form) => numbers::number_words(field, form, value),
        form => match numbers::spoilt_by_excel(value) {
            Some((id, en)) => {
                Words::new("«{value}» bukan isi yang diminta.", "“{value}” is not what is asked for.").hint(id, en)
            }
            None if numbers::is_nothing(value) && !field.required => nothing(field, other_type(form, value)),
            None => other_type(form, value),
        },
    }
}

/// A word for nothing that the contract does not know.
fn nothing(field: &Field, words: Words) -> Words {
    match word_for_nothing(field) {
        Some("") => words
            .hint("Kosongkan sel ini bila nilainya memang tidak ada.", "Leave the cell empty if there is no value."),
        Some(word) => words.hint(
            format!("Tulis «{word}» bila nilainya memang tidak ada."),
            format!("Write “{word}” if there is no value."),
        ),
        None => words,
    }
}

fn other_type(form: &Form, value: &str) -> Words {
    match form {
        Form::Date(form) => dates::date_words(form, value),
        Form::DateTime { form, .. } => dates::datetime_words(form, value),
        Form::Time(form) => dates::time_words(form, value),
        Form::Year => numbers::year_words(value),
        Form::YearMonth => dates::month_words(value),
        Form::Boolean { yes, no } => choices::boolean_words(yes, no, value),
        form => choices::other_words(form, value),
    }
}

/// A cell without anything to see, where the contract wants something else for "nothing".
fn blank(field: &Field, value: &str) -> Words {
    let name = title(field);
    let words = if value.is_empty() {
        Words::new(format!("{name} kosong."), format!("{name} is empty."))
    } else {
        Words::new(format!("{name} hanya berisi spasi."), format!("{name} holds nothing but spaces."))
    };
    match word_for_nothing(field) {
        _ if field.required => words.hint("Isi nilainya.", "Fill in the value."),
        Some("") => words.hint("Isi nilainya, atau hapus spasinya.", "Fill in the value, or delete the spaces."),
        Some(word) => words.hint(
            format!("Isi nilainya, atau tulis «{word}» bila memang tidak ada."),
            format!("Fill in the value, or write “{word}” if there is none."),
        ),
        None => words.hint("Isi nilainya.", "Fill in the value."),
    }
}

/// The words for a value that breaks a constraint.
pub(crate) fn constraint_words(rule: Rule, asked: Asked<'_>, value: &str) -> Words {
    let field = asked.field;
    match rule {
        Rule::MinLength | Rule::MaxLength => choices::length_words(rule, field, value),
        Rule::Minimum | Rule::Maximum | Rule::ExclusiveMinimum | Rule::ExclusiveMaximum => {
            choices::bound_words(rule, field)
        }
        Rule::Pattern => choices::pattern_words(asked, value),
        Rule::Enum | Rule::Categories => choices::choice_words(field, value),
        Rule::JsonSchema => choices::structure_words(field, value),
        _ => Words::default(),
    }
}
