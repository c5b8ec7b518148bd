//! Formats of the string type: email, uri, uuid, binary.

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;

use super::identity::Identity;

/// What a string has to look like.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum TextFormat {
    Any,
    Email,
    Uri,
    Uuid,
    Binary,
    /// An identifier of the `satudata` extension.
    Identity(Identity),
}

impl TextFormat {
    /// The format of that name in Table Schema.
    pub(crate) fn named(name: &str) -> Option<Self> {
        Some(match name {
            "default" => Self::Any,
            "email" => Self::Email,
            "uri" => Self::Uri,
            "uuid" => Self::Uuid,
            "binary" => Self::Binary,
            _ => return None,
        })
    }

    /// Whether the text has the form.
    pub(crate) fn accepts(self, text: &str) -> bool {
        match self {
            Self::Any => true,
            Self::Email => email(text),
            Self::Uri => uri(text),
            Self::Uuid => uuid(text),
            Self::Binary => BASE64_STANDARD.decode(text).is_ok(),
            Self::Identity(identity) => identity.accepts(text),
        }
    }
}

/// `local@domain` with a dotted domain, as mail systems accept it.
fn email(text: &str) -> bool {
    let Some((local, domain)) = text.rsplit_once('@') else { return false };
    let atom = |c: char| c.is_alphanumeric() || "!#$%&'*+-/=?^_`{|}~.".contains(c);
    let local_ok = !local.is_empty()
        && local.len() <= 64
        && local.chars().all(atom)
        && !local.starts_with('.')
        && !local.ends_with('.')
        && !local.contains("..");
    let label = |label: &str| {
        !label.is_empty()
            && label.len() <= 63
            && !label.starts_with('-')
            && !label.ends_with('-')
            && label.chars().all(|c| c.is_alphanumeric() || c == '-')
    };
    local_ok && domain.len() <= 253 && domain.contains('.') && domain.split('.').all(label)
}

/// A URI of RFC 3986: a scheme, then only characters that a URI may hold.
pub(crate) fn uri(text: &str) -> bool {
    let Some((scheme, rest)) = text.split_once(':') else { return false };
    let scheme_ok = scheme.starts_with(|c: char| c.is_ascii_alphabetic())
        && scheme.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"+-.".contains(&byte));
    if !scheme_ok || rest.matches('#').count() > 1 {
        return false;
    }
    let mut bytes = rest.bytes();
    while let Some(byte) = bytes.next() {
        let ok = match byte {
            b'%' => (0..2).all(|_| bytes.next().is_some_and(|digit| digit.is_ascii_hexdigit())),
            b'[' | b']' => rest.starts_with("//"),
            _ => byte.is_ascii_alphanumeric() || b"-._~:/?#@!$&'()*+,;=".contains(&byte),
        };
        if !ok {
            return false;
        }
    }
    true
}

fn uuid(text: &str) -> bool {
    text.len() == 36
        && text.bytes().enumerate().all(|(index, byte)| match index {
            8 | 13 | 18 | 23 => byte == b'-',
            _ => byte.is_ascii_hexdigit(),
        })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_format_refuses_its_neighbours() {
        for (format, good, bad) in [
            (
                TextFormat::Email,
                &["a@b.co", "a.b+c@sub.go.id"][..],
                &["a", "a@", "@b.co", "a b@c.id", "a@b", "a..b@c.id"][..],
            ),
            (
                TextFormat::Uri,
                &["http://a.b/c", "urn:uuid:x", "https://[::1]/a%20b", "http:"],
                &["a/b", "http://a b", "1x:y", "http:%zz", ":"],
            ),
            (
                TextFormat::Uuid,
                &["123E4567-e89b-12d3-a456-426614174000"],
                &["123e4567-e89b-12d3-a456", "123e4567ae89b-12d3-a456-426614174000"],
            ),
            (TextFormat::Binary, &["YWJj", "YQ==", ""], &["YWJ", "!!!!", "YQ=", "Y Q="]),
        ] {
            assert!(good.iter().all(|text| format.accepts(text)), "{format:?}");
            assert!(!bad.iter().any(|text| format.accepts(text)), "{format:?}");
        }
    }
}
