//! The query string of a request, in its order.

use http::Uri;

use crate::refusal::{Kind, Refusal};

/// The most parameters that are read.
const MAX: usize = 200;

/// Decoded parameters, in the order in which they were written.
pub struct QueryString(Vec<(String, String)>);

impl QueryString {
    /// Decodes the query of `uri`.
    ///
    /// # Errors
    /// 400 when it is not form-encoded UTF-8 or has more than 200 parameters.
    pub fn of(uri: &Uri) -> Result<Self, Refusal> {
        let malformed = || Refusal::new(Kind::Malformed, "the query string");
        let text = uri.query().unwrap_or_default();
        let pairs: Vec<(String, String)> = serde_urlencoded::from_str(text).map_err(|_| malformed())?;
        // What is not UTF-8 was replaced by this character, which no name and no value has a use for.
        let replaced = pairs.iter().any(|(key, value)| key.contains('\u{fffd}') || value.contains('\u{fffd}'));
        if replaced || pairs.len() > MAX { Err(malformed()) } else { Ok(Self(pairs)) }
    }

    /// The first value of `name`.
    pub fn get(&self, name: &str) -> Option<&str> {
        self.0.iter().find(|(key, _)| key == name).map(|(_, value)| value.as_str())
    }

    /// Every parameter whose name is not in `reserved`.
    pub fn others<'a>(&'a self, reserved: &'a [&str]) -> impl Iterator<Item = (&'a str, &'a str)> {
        self.0
            .iter()
            .filter(|(key, _)| !reserved.contains(&key.as_str()))
            .map(|(key, value)| (key.as_str(), value.as_str()))
    }
}
