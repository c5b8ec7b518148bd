//! Row filters: `column=op.value`, in the query string of a reader and in an agreement.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

/// How a column is compared.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Op {
    /// Equal.
    Eq,
    /// Not equal; a missing value is not equal to anything and not unequal either.
    Neq,
    /// Less than.
    Lt,
    /// Less than or equal.
    Lte,
    /// Greater than.
    Gt,
    /// Greater than or equal.
    Gte,
    /// One of a list: `in.(a,b,c)`.
    In,
    /// Text that matches a pattern in which `*` stands for any characters.
    Like,
    /// `is.null`, `is.notnull`.
    Is,
}

impl Op {
    const ALL: [(&'static str, Self); 9] = [
        ("eq", Self::Eq),
        ("neq", Self::Neq),
        ("lt", Self::Lt),
        ("lte", Self::Lte),
        ("gt", Self::Gt),
        ("gte", Self::Gte),
        ("in", Self::In),
        ("like", Self::Like),
        ("is", Self::Is),
    ];

    /// The operator as it is written.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        Self::ALL.iter().find(|(_, op)| *op == self).map_or("", |(name, _)| name)
    }
}

/// One condition on one column. Several conditions hold together (AND).
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Filter {
    /// The column, as the contract names it.
    pub column: String,
    /// The comparison.
    pub op: Op,
    /// The values compared with: exactly one, except for [`Op::In`].
    pub values: Vec<String>,
}

/// Why a filter cannot be read.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum FilterError {
    /// The text after `=` does not begin with an operator and a dot.
    #[error("a filter is written column=op.value with op one of eq, neq, lt, lte, gt, gte, in, like, is")]
    Operator,
    /// `is` takes `null` or `notnull`.
    #[error("`is` takes null or notnull")]
    Is,
    /// `in` takes a list in parentheses, with at most [`MAX_VALUES`] values.
    #[error("`in` takes a list such as in.(64.01,64.02), of at most 1000 values")]
    List,
    /// A column name or a value is longer than [`MAX_TEXT`].
    #[error("a column name or a value in a filter is too long")]
    TooLong,
}

/// The most values that one `in` list may hold: enough for the villages of a kabupaten.
pub const MAX_VALUES: usize = 1000;
/// The longest column name or value, in bytes.
pub const MAX_TEXT: usize = 4096;

impl Filter {
    /// Reads `op.value` for `column`.
    ///
    /// # Errors
    /// [`FilterError`] tells what is wrong with the text after the equals sign.
    pub fn parse(column: &str, condition: &str) -> Result<Self, FilterError> {
        let (op, value) = condition.split_once('.').ok_or(FilterError::Operator)?;
        let op = Op::ALL.iter().find(|(name, _)| *name == op).map(|(_, op)| *op).ok_or(FilterError::Operator)?;
        let values = match op {
            Op::In => split_list(value)?,
            Op::Is if value != "null" && value != "notnull" => return Err(FilterError::Is),
            _ => vec![value.to_owned()],
        };
        if column.len() > MAX_TEXT || values.iter().any(|v| v.len() > MAX_TEXT) {
            return Err(FilterError::TooLong);
        }
        Ok(Self { column: column.to_owned(), op, values })
    }
}

/// Splits `(a,"b,c",d)`; a quote inside a quoted value is doubled.
fn split_list(text: &str) -> Result<Vec<String>, FilterError> {
    let inner = text.strip_prefix('(').and_then(|t| t.strip_suffix(')')).ok_or(FilterError::List)?;
    let mut values = vec![String::new()];
    let (mut quoted, mut chars) = (false, inner.chars().peekable());
    while let Some(c) = chars.next() {
        let Some(current) = values.last_mut() else { return Err(FilterError::List) };
        match c {
            '"' if quoted && chars.peek() == Some(&'"') => {
                chars.next();
                current.push('"');
            }
            '"' => quoted = !quoted,
            ',' if !quoted => values.push(String::new()),
            _ => current.push(c),
        }
        if values.len() > MAX_VALUES {
            return Err(FilterError::List);
        }
    }
    if quoted { Err(FilterError::List) } else { Ok(values) }
}

impl fmt::Display for Filter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}={}.", self.column, self.op.as_str())?;
        if self.op != Op::In {
            return f.write_str(self.values.first().map_or("", String::as_str));
        }
        let quoted: Vec<String> = self.values.iter().map(|v| format!("\"{}\"", v.replace('"', "\"\""))).collect();
        write!(f, "({})", quoted.join(","))
    }
}

impl FromStr for Filter {
    type Err = FilterError;
    fn from_str(text: &str) -> Result<Self, FilterError> {
        let (column, condition) = text.split_once('=').ok_or(FilterError::Operator)?;
        Self::parse(column, condition)
    }
}

impl TryFrom<String> for Filter {
    type Error = FilterError;
    fn try_from(text: String) -> Result<Self, FilterError> {
        text.parse()
    }
}

impl From<Filter> for String {
    fn from(filter: Filter) -> Self {
        filter.to_string()
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_list_may_hold_commas_and_quotes() {
        let filter = Filter::parse("nama", r#"in.("Kota, Baru",Depok,"a""b")"#).unwrap();
        assert_eq!(filter.values, ["Kota, Baru", "Depok", "a\"b"]);
    }

    #[test]
    fn what_is_not_a_filter_is_refused() {
        for text in ["5", "between.1", "is.maybe", "in.a,b", "in.(\"a)"] {
            assert!(Filter::parse("x", text).is_err(), "{text}");
        }
    }

    proptest! {
        #[test]
        fn a_filter_reads_back(column in "[a-z_]{1,8}", values in prop::collection::vec(".{0,12}", 1..5)) {
            let filter = Filter { column, op: Op::In, values };
            prop_assert_eq!(filter.to_string().parse::<Filter>().unwrap(), filter);
        }

        #[test]
        fn no_text_makes_the_reader_panic(text in ".{0,64}") {
            let _ = Filter::parse("x", &text);
        }
    }
}
