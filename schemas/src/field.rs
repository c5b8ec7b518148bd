//! One field of a contract, compiled: its type, its missing values, its constraints.

use hashbrown::HashSet;

use crate::form::{Form, Logical};
use crate::lexical::identity::Doubt;
use crate::lexical::pattern::Pattern;
use crate::report::Severity;

/// A rule that a cell or row can break.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) enum Rule {
    BlankLabel,
    DuplicateLabel,
    IncorrectLabel,
    MissingLabel,
    ExtraLabel,
    UnmatchedHeader,
    BlankRow,
    ExtraCell,
    MissingCell,
    BadObject,
    DuplicateKey,
    UnknownKey,
    Type,
    Required,
    MinLength,
    MaxLength,
    Minimum,
    Maximum,
    ExclusiveMinimum,
    ExclusiveMaximum,
    Pattern,
    Enum,
    Categories,
    JsonSchema,
    Unique,
    PrimaryKeyNull,
    PrimaryKey,
    UniqueKey(u16),
    ForeignKey(u16),
    /// A rule of the contract across the columns of a row (`satudata.aturan`).
    Across(u16),
    /// The same where the rule only warns.
    AcrossWarning(u16),
    /// An identifier that has its form and still may be wrong. Always a warning.
    Doubt(Doubt),
}

impl Rule {
    /// How much breaking it weighs. What is no error but a warning refuses no row and is listed apart.
    pub(crate) const fn severity(self) -> Severity {
        match self {
            Self::AcrossWarning(_) | Self::Doubt(_) => Severity::Warning,
            _ => Severity::Error,
        }
    }

    /// The kind of error and the constraint, in the words of Table Schema tools.
    pub(crate) const fn words(self) -> (&'static str, Option<&'static str>) {
        match self {
            Self::BlankLabel => ("blank-label", None),
            Self::DuplicateLabel => ("duplicate-label", None),
            Self::IncorrectLabel => ("incorrect-label", None),
            Self::MissingLabel => ("missing-label", None),
            Self::ExtraLabel => ("extra-label", None),
            Self::UnmatchedHeader => ("unmatched-header", None),
            Self::BlankRow => ("blank-row", None),
            Self::ExtraCell | Self::UnknownKey => ("extra-cell", None),
            Self::MissingCell => ("missing-cell", None),
            Self::BadObject => ("source-error", Some("json")),
            Self::DuplicateKey => ("duplicate-label", None),
            Self::Type => ("type-error", None),
            Self::Required => ("constraint-error", Some("required")),
            Self::MinLength => ("constraint-error", Some("minLength")),
            Self::MaxLength => ("constraint-error", Some("maxLength")),
            Self::Minimum => ("constraint-error", Some("minimum")),
            Self::Maximum => ("constraint-error", Some("maximum")),
            Self::ExclusiveMinimum => ("constraint-error", Some("exclusiveMinimum")),
            Self::ExclusiveMaximum => ("constraint-error", Some("exclusiveMaximum")),
            Self::Pattern => ("constraint-error", Some("pattern")),
            Self::Enum => ("constraint-error", Some("enum")),
            Self::Categories => ("constraint-error", Some("categories")),
            Self::JsonSchema => ("constraint-error", Some("jsonSchema")),
            Self::Unique => ("unique-error", None),
            Self::PrimaryKeyNull | Self::PrimaryKey => ("primary-key", None),
            Self::UniqueKey(_) => ("unique-key", None),
            Self::ForeignKey(_) => ("foreign-key", None),
            Self::Across(_) | Self::AcrossWarning(_) => ("row-constraint", None),
            Self::Doubt(Doubt::Area) => ("format-warning", Some("area")),
            Self::Doubt(Doubt::Date) => ("format-warning", Some("date")),
            Self::Doubt(Doubt::Serial) => ("format-warning", Some("serial")),
            Self::Doubt(Doubt::Prefix) => ("format-warning", Some("prefix")),
            Self::Doubt(Doubt::Letter) => ("format-warning", Some("letter")),
        }
    }
}

/// Which texts mean that there is no value.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Missing {
    /// None.
    Never,
    /// The empty cell: the default.
    Empty,
    /// These; bit n of the mask is set when one of them has n bytes (63: that many or more).
    Words { words: Vec<Box<str>>, lengths: u64 },
}

impl Missing {
    pub(crate) fn new(words: Vec<Box<str>>) -> Self {
        match words.as_slice() {
            [] => Self::Never,
            [word] if word.is_empty() => Self::Empty,
            _ => {
                let lengths = words.iter().fold(0, |mask, word| mask | 1_u64 << word.len().min(63));
                Self::Words { words, lengths }
            }
        }
    }

    #[inline]
    pub(crate) fn contains(&self, text: &str) -> bool {
        match self {
            Self::Never => false,
            Self::Empty => text.is_empty(),
            Self::Words { words, lengths } => {
                lengths >> text.len().min(63) & 1 == 1
                    && words.iter().any(|word| same(word.as_bytes(), text.as_bytes()))
            }
        }
    }
}

/// Whether two texts are the same. Cells are short: up to sixteen bytes are compared in place, without a call.
#[inline]
pub(crate) fn same(a: &[u8], b: &[u8]) -> bool {
    if a.len() != b.len() {
        return false;
    }
    match a.len() {
        0 => true,
        // The two halves overlap when they are longer than half.
        1..4 => a.first() == b.first() && a.last() == b.last() && a.get(1) == b.get(1),
        4..8 => a.first_chunk::<4>() == b.first_chunk() && a.last_chunk::<4>() == b.last_chunk(),
        8..=16 => a.first_chunk::<8>() == b.first_chunk() && a.last_chunk::<8>() == b.last_chunk(),
        _ => a == b,
    }
}

/// The most texts that are faster compared one by one than looked up.
const FEW: usize = 8;

/// A closed set of values.
#[derive(Clone, Debug)]
pub(crate) enum Allowed {
    /// At most [`FEW`].
    Few(Vec<Box<str>>),
    Texts(HashSet<Box<str>>),
    Codes(HashSet<i128>),
}

impl Allowed {
    pub(crate) fn new(values: &[Logical]) -> Self {
        if values.iter().any(|value| value.text().is_some()) {
            let texts: HashSet<Box<str>> = values.iter().filter_map(Logical::text).map(Into::into).collect();
            return if texts.len() <= FEW { Self::Few(texts.into_iter().collect()) } else { Self::Texts(texts) };
        }
        Self::Codes(values.iter().filter_map(Logical::code).collect())
    }

    #[inline]
    pub(crate) fn has_text(&self, text: &str) -> bool {
        match self {
            Self::Few(texts) => texts.iter().any(|known| same(known.as_bytes(), text.as_bytes())),
            Self::Texts(set) => set.contains(text),
            Self::Codes(_) => false,
        }
    }

    #[inline]
    pub(crate) fn has_code(&self, code: i128) -> bool {
        matches!(self, Self::Codes(set) if set.contains(&code))
    }

    pub(crate) fn has(&self, value: &Logical) -> bool {
        match value.text() {
            Some(text) => self.has_text(text),
            None => value.code().is_some_and(|code| self.has_code(code)),
        }
    }
}

/// The constraints on single values.
#[derive(Clone, Debug, Default)]
pub(crate) struct Constraints {
    pub(crate) min_length: Option<u64>,
    pub(crate) max_length: Option<u64>,
    pub(crate) bounds: Vec<(Rule, Logical)>,
    pub(crate) pattern: Option<Pattern>,
    /// The set, and whether `enum` or `categories` gave it.
    pub(crate) allowed: Option<(Rule, Allowed)>,
    pub(crate) json_schema: Option<std::sync::Arc<jsonschema::Validator>>,
}

impl Constraints {
    pub(crate) const fn is_free(&self) -> bool {
        self.min_length.is_none()
            && self.max_length.is_none()
            && self.bounds.is_empty()
            && self.pattern.is_none()
            && self.allowed.is_none()
            && self.json_schema.is_none()
    }

    /// The rules that a value breaks, in any type. Columns have faster ways for the common types.
    pub(crate) fn broken(&self, value: &Logical, mut fault: impl FnMut(Rule)) {
        if let Some(length) = value.length() {
            self.broken_length(length, &mut fault);
        }
        for (rule, bound) in &self.bounds {
            if breaks(*rule, value.order(bound)) {
                fault(*rule);
            }
        }
        if let (Some(pattern), Some(text)) = (&self.pattern, value.text())
            && !pattern.accepts(text)
        {
            fault(Rule::Pattern);
        }
        if let Some((rule, allowed)) = &self.allowed
            && !allowed.has(value)
        {
            fault(*rule);
        }
        if let (Some(schema), Logical::Json { text, .. }) = (&self.json_schema, value)
            && !crate::canonical::parse(text).is_some_and(|value| schema.is_valid(&value))
        {
            fault(Rule::JsonSchema);
        }
    }

    /// Whether a text of so many bytes, between one and four of which are a character, keeps the bounds of length anyway.
    #[inline]
    pub(crate) fn length_is_good(&self, bytes: usize) -> bool {
        let bytes = bytes as u64;
        self.min_length.is_none_or(|bound| bytes.div_ceil(4) >= bound)
            && self.max_length.is_none_or(|bound| bytes <= bound)
    }

    #[inline]
    pub(crate) fn broken_length(&self, length: u64, fault: &mut impl FnMut(Rule)) {
        if self.min_length.is_some_and(|bound| length < bound) {
            fault(Rule::MinLength);
        }
        if self.max_length.is_some_and(|bound| length > bound) {
            fault(Rule::MaxLength);
        }
    }
}

/// Whether a value that stands so to its bound breaks the rule; an incomparable one does.
#[inline]
pub(crate) fn breaks(rule: Rule, order: Option<std::cmp::Ordering>) -> bool {
    let Some(order) = order else { return true };
    match rule {
        Rule::Minimum => order.is_lt(),
        Rule::Maximum => order.is_gt(),
        Rule::ExclusiveMinimum => order.is_le(),
        Rule::ExclusiveMaximum => order.is_ge(),
        _ => false,
    }
}

/// One field of a contract.
#[derive(Debug)]
pub struct Field {
    pub(crate) name: String,
    pub(crate) title: Option<String>,
    pub(crate) form: Form,
    pub(crate) missing: Missing,
    pub(crate) required: bool,
    pub(crate) unique: bool,
    pub(crate) personal: bool,
    pub(crate) constraints: Constraints,
    /// The field as the descriptor has it, for messages.
    pub(crate) source: serde_json::Value,
}

impl Field {
    /// Its name, unique in the contract.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// What people call it, if the contract says.
    #[must_use]
    pub fn title(&self) -> Option<&str> {
        self.title.as_deref()
    }

    /// Its type, in the words of Table Schema.
    #[must_use]
    pub const fn type_name(&self) -> &'static str {
        self.form.name()
    }

    /// Whether it must have a value in every row.
    #[must_use]
    pub const fn required(&self) -> bool {
        self.required
    }

    /// Whether it holds personal data: `satudata.dataPribadi` says so, or it is a NIK or NKK.
    #[must_use]
    pub const fn personal(&self) -> bool {
        self.personal
    }

    /// The type in which accepted values are stored.
    #[must_use]
    pub fn data_type(&self) -> arrow_schema::DataType {
        self.form.data_type()
    }

    /// A property of the field's `satudata` object.
    #[must_use]
    pub fn satudata(&self, property: &str) -> Option<&serde_json::Value> {
        self.source.get("satudata")?.get(property)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    proptest::proptest! {
        #[test]
        fn what_is_the_same_is_equal(a in proptest::collection::vec(0_u8..2, 0..20), b in proptest::collection::vec(0_u8..2, 0..20)) {
            proptest::prop_assert_eq!(same(&a, &b), a == b);
            proptest::prop_assert!(same(&a, &a.clone()));
            for at in 0..a.len() {
                let mut other = a.clone();
                other[at] ^= 1;
                proptest::prop_assert!(!same(&a, &other));
            }
        }

        #[test]
        fn a_length_taken_without_counting_is_within_the_bounds(text in "[aé日👩]{0,12}", low in 0_u64..12, high in 0_u64..12) {
            let bounds = Constraints { min_length: Some(low), max_length: Some(high), ..Constraints::default() };
            let count = text.chars().count() as u64;
            proptest::prop_assert!(!bounds.length_is_good(text.len()) || (low..=high).contains(&count));
        }
    }
}
