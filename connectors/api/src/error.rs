//! The errors of every connector, by name.

use std::fmt;

/// The longest message an error carries, in characters. What is longer is cut.
pub const MAX_MESSAGE_CHARS: usize = 500;

/// Why a connector could not do what it was asked.
///
/// The message is for the operator: it names the thing to mend, and holds no secret and no cell of the data.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ConnectorError {
    /// The source does not answer.
    #[error("unreachable: {0}")]
    Unreachable(Message),
    /// The source answers and says no: credentials, permissions.
    #[error("denied: {0}")]
    Denied(Message),
    /// The configuration does not fit the source, or contradicts itself.
    #[error("misconfigured: {0}")]
    Misconfigured(Message),
    /// The source holds something that cannot be brought as rows.
    #[error("source data: {0}")]
    SourceData(Message),
    /// A limit on size, rows or time was passed.
    #[error("limit: {0}")]
    Limit(Message),
    /// It began well and was cut; the same pull may be tried again.
    #[error("interrupted: {0}")]
    Interrupted(Message),
}

impl ConnectorError {
    /// [`ConnectorError::Unreachable`] with this message.
    pub fn unreachable(message: impl Into<Message>) -> Self {
        Self::Unreachable(message.into())
    }
    /// [`ConnectorError::Denied`] with this message.
    pub fn denied(message: impl Into<Message>) -> Self {
        Self::Denied(message.into())
    }
    /// [`ConnectorError::Misconfigured`] with this message.
    pub fn misconfigured(message: impl Into<Message>) -> Self {
        Self::Misconfigured(message.into())
    }
    /// [`ConnectorError::SourceData`] with this message.
    pub fn source_data(message: impl Into<Message>) -> Self {
        Self::SourceData(message.into())
    }
    /// [`ConnectorError::Limit`] with this message.
    pub fn limit(message: impl Into<Message>) -> Self {
        Self::Limit(message.into())
    }
    /// [`ConnectorError::Interrupted`] with this message.
    pub fn interrupted(message: impl Into<Message>) -> Self {
        Self::Interrupted(message.into())
    }

    /// The stable name for logs, metrics and the state of a connector.
    pub fn name(&self) -> &'static str {
        match self {
            Self::Unreachable(_) => "unreachable",
            Self::Denied(_) => "denied",
            Self::Misconfigured(_) => "misconfigured",
            Self::SourceData(_) => "source_data",
            Self::Limit(_) => "limit",
            Self::Interrupted(_) => "interrupted",
        }
    }

    /// What to tell the operator.
    pub fn message(&self) -> &str {
        match self {
            Self::Unreachable(m)
            | Self::Denied(m)
            | Self::Misconfigured(m)
            | Self::SourceData(m)
            | Self::Limit(m)
            | Self::Interrupted(m) => &m.0,
        }
    }

    /// Whether trying again soon can help without anyone changing anything. The others wait for the next schedule.
    pub fn retryable(&self) -> bool {
        matches!(self, Self::Unreachable(_) | Self::Interrupted(_))
    }
}

/// One line of text of at most [`MAX_MESSAGE_CHARS`] characters, with control characters turned into spaces, so that
/// nothing a source system says can forge a line of the log.
#[derive(Clone, PartialEq, Eq)]
pub struct Message(String);

impl Message {
    /// The text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl<T: AsRef<str>> From<T> for Message {
    fn from(text: T) -> Self {
        let clean = |c: char| if c.is_control() || c == '\u{2028}' || c == '\u{2029}' { ' ' } else { c };
        Message(text.as_ref().chars().take(MAX_MESSAGE_CHARS).map(clean).collect())
    }
}

impl fmt::Display for Message {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Debug for Message {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&self.0, f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_message_is_one_bounded_line() {
        let error = ConnectorError::source_data(format!("a\nb\u{1b}[31m{}", "é".repeat(2000)));
        assert!(error.message().starts_with("a b [31mé"));
        assert_eq!(error.message().chars().count(), MAX_MESSAGE_CHARS);
        assert!(!error.to_string().contains('\n'));
    }

    #[test]
    fn only_what_may_pass_by_itself_is_retryable() {
        let all = [
            (ConnectorError::unreachable("x"), true),
            (ConnectorError::interrupted("x"), true),
            (ConnectorError::denied("x"), false),
            (ConnectorError::misconfigured("x"), false),
            (ConnectorError::source_data("x"), false),
            (ConnectorError::limit("x"), false),
        ];
        for (error, retryable) in all {
            assert_eq!(error.retryable(), retryable, "{error}");
            assert_eq!(error.message(), "x");
            assert_eq!(error.to_string().split(':').next().map(|s| s.replace(' ', "_")), Some(error.name().into()));
        }
    }
}
