//! XML Schema regular expressions, translated to the syntax of the `regex` crate.
//!
//! What differs: the whole value has to match; classes may be subtracted from each other; `\i`,
//! `\c`, `\w` and block names mean what XML says; `^` and `$` at the ends, which authors write by
//! habit, are anchors.

use regex::Regex;

/// Memory that one compiled pattern may take, in bytes.
const SIZE_LIMIT: usize = 1 << 20;
/// How deep groups and classes may nest.
const NEST_LIMIT: u32 = 50;

/// A compiled pattern.
#[derive(Clone, Debug)]
pub(crate) struct Pattern {
    regex: Regex,
    /// What the bytes of a value may be, one by one, when the pattern is no more than that: most identifiers' is.
    fixed: Option<Vec<Range>>,
    source: String,
}

/// The bytes from `low` to `low + span`.
#[derive(Clone, Copy, Debug)]
struct Range {
    low: u8,
    span: u8,
}

/// The longest value of a pattern that is a sequence of ranges.
const FIXED_LIMIT: usize = 64;

impl Pattern {
    /// Compiles; the error says what is wrong, in English.
    pub(crate) fn compile(source: &str) -> Result<Self, String> {
        let translated = Translator { chars: source.chars().collect(), at: 0 }.run()?;
        let regex = regex::RegexBuilder::new(&translated)
            .size_limit(SIZE_LIMIT)
            .nest_limit(NEST_LIMIT)
            .build()
            .map_err(|fault| fault.to_string().lines().last().unwrap_or("not a regular expression").to_owned())?;
        Ok(Self { regex, fixed: fixed(source), source: source.to_owned() })
    }

    /// Whether the whole value matches.
    #[inline]
    pub(crate) fn accepts(&self, text: &str) -> bool {
        self.fixed.as_ref().is_some_and(|ranges| fits(ranges, text.as_bytes())) || self.regex.is_match(text)
    }

    /// The pattern as the contract has it.
    pub(crate) fn source(&self) -> &str {
        &self.source
    }
}

#[inline]
fn fits(ranges: &[Range], bytes: &[u8]) -> bool {
    let fits = |(byte, range): (&u8, &Range)| byte.wrapping_sub(range.low) <= range.span;
    // Every byte is looked at: that takes fewer steps than to stop at the first that does not fit.
    ranges.len() == bytes.len() && bytes.iter().zip(ranges).fold(true, |good, pair| good & fits(pair))
}

/// The ranges of a pattern that is a sequence of characters, `[a-z]` and `\d`, each once or `{n}` times. The digits of other
/// scripts, which `\d` also means, are left to the regular expression.
fn fixed(source: &str) -> Option<Vec<Range>> {
    let mut rest = source.as_bytes();
    let mut ranges = Vec::new();
    while !rest.is_empty() {
        let (range, mut tail) = match rest {
            [b'\\', b'd', tail @ ..] => (Range { low: b'0', span: 9 }, tail),
            [b'\\', byte, tail @ ..] if byte.is_ascii_punctuation() => (Range { low: *byte, span: 0 }, tail),
            [b'[', low, b'-', high, b']', tail @ ..]
                if low <= high && low.is_ascii_alphanumeric() && high.is_ascii_alphanumeric() =>
            {
                (Range { low: *low, span: high - low }, tail)
            }
            [byte, tail @ ..] if byte.is_ascii_alphanumeric() || b" -/_,:".contains(byte) => {
                (Range { low: *byte, span: 0 }, tail)
            }
            _ => return None,
        };
        let mut times = 1;
        if let [b'{', more @ ..] = tail {
            let end = memchr::memchr(b'}', more)?;
            let (count, after) = more.split_at(end);
            times = std::str::from_utf8(count).ok().filter(|_| count.iter().all(u8::is_ascii_digit))?.parse().ok()?;
            tail = after.get(1..)?;
        }
        if ranges.len() + times > FIXED_LIMIT {
            return None;
        }
        ranges.extend(std::iter::repeat_n(range, times));
        rest = tail;
    }
    Some(ranges)
}

struct Translator {
    chars: Vec<char>,
    at: usize,
}

const NAME_START: &str = r":A-Z_a-z\u{C0}-\u{D6}\u{D8}-\u{F6}\u{F8}-\u{2FF}\u{370}-\u{37D}\u{37F}-\u{1FFF}\u{200C}-\u{200D}\u{2070}-\u{218F}\u{2C00}-\u{2FEF}\u{3001}-\u{D7FF}\u{F900}-\u{FDCF}\u{FDF0}-\u{FFFD}\u{10000}-\u{EFFFF}";
const NAME_MORE: &str = r"\-.0-9\u{B7}\u{300}-\u{36F}\u{203F}-\u{2040}";

/// Unicode blocks that contracts are likely to name.
const BLOCKS: [(&str, &str); 22] = [
    ("BasicLatin", r"\u{0}-\u{7F}"),
    ("Latin-1Supplement", r"\u{80}-\u{FF}"),
    ("LatinExtended-A", r"\u{100}-\u{17F}"),
    ("LatinExtended-B", r"\u{180}-\u{24F}"),
    ("IPAExtensions", r"\u{250}-\u{2AF}"),
    ("CombiningDiacriticalMarks", r"\u{300}-\u{36F}"),
    ("Greek", r"\u{370}-\u{3FF}"),
    ("GreekandCoptic", r"\u{370}-\u{3FF}"),
    ("Cyrillic", r"\u{400}-\u{4FF}"),
    ("Hebrew", r"\u{590}-\u{5FF}"),
    ("Arabic", r"\u{600}-\u{6FF}"),
    ("Devanagari", r"\u{900}-\u{97F}"),
    ("Thai", r"\u{E00}-\u{E7F}"),
    ("Balinese", r"\u{1B00}-\u{1B7F}"),
    ("Sundanese", r"\u{1B80}-\u{1BBF}"),
    ("Javanese", r"\u{A980}-\u{A9DF}"),
    ("LatinExtendedAdditional", r"\u{1E00}-\u{1EFF}"),
    ("GeneralPunctuation", r"\u{2000}-\u{206F}"),
    ("CurrencySymbols", r"\u{20A0}-\u{20CF}"),
    ("Hiragana", r"\u{3040}-\u{309F}"),
    ("Katakana", r"\u{30A0}-\u{30FF}"),
    ("CJKUnifiedIdeographs", r"\u{4E00}-\u{9FFF}"),
];

impl Translator {
    fn run(mut self) -> Result<String, String> {
        let mut out = String::from(r"\A(?:");
        let mut depth = 0_i32;
        let mut repeated = false;
        while let Some(c) = self.next() {
            if repeated && matches!(c, '*' | '+' | '{') {
                return Err("a repetition of a repetition".to_owned());
            }
            repeated = matches!(c, '*' | '+' | '?' | '}');
            match c {
                '\\' => out.push_str(&self.escape(false)?),
                '[' => out.push_str(&self.class(0)?),
                '.' => out.push_str(r"[^\n\r]"),
                '^' if self.starts_branch() => {}
                '$' if self.ends_branch() => {}
                '^' | '$' => {
                    out.push('\\');
                    out.push(c);
                }
                '(' if self.peek() == Some('?') && self.chars.get(self.at + 1) != Some(&':') => {
                    return Err("lookaround and flags are not part of XML Schema patterns".to_owned());
                }
                '(' | ')' => {
                    depth += if c == '(' { 1 } else { -1 };
                    out.push(c);
                }
                ']' => out.push_str(r"\]"),
                other => out.push(other),
            }
            if depth < 0 {
                return Err("a closing parenthesis without an opening one".to_owned());
            }
        }
        out.push_str(r")\z");
        Ok(out)
    }

    fn next(&mut self) -> Option<char> {
        let c = self.chars.get(self.at).copied();
        self.at += 1;
        c
    }

    fn peek(&self) -> Option<char> {
        self.chars.get(self.at).copied()
    }

    /// The character just read stands at the beginning of the pattern or of a branch.
    fn starts_branch(&self) -> bool {
        self.at < 2 || matches!(self.chars.get(self.at - 2), Some('(' | '|' | ':'))
    }

    /// The character just read stands at the end of the pattern or of a branch.
    fn ends_branch(&self) -> bool {
        matches!(self.peek(), None | Some(')' | '|'))
    }

    /// Behind a backslash. In a class the result may stand between the brackets.
    fn escape(&mut self, in_class: bool) -> Result<String, String> {
        let wrap = |inner: &str, negated: bool| match (in_class, negated) {
            (true, false) => inner.to_owned(),
            (_, negated) => format!("[{}{inner}]", if negated { "^" } else { "" }),
        };
        let name = format!("{NAME_START}{NAME_MORE}");
        Ok(match self.next().ok_or("a backslash at the end")? {
            'n' => r"\n".to_owned(),
            'r' => r"\r".to_owned(),
            't' => r"\t".to_owned(),
            'd' => r"\p{Nd}".to_owned(),
            'D' => r"\P{Nd}".to_owned(),
            's' => wrap(r" \t\n\r", false),
            'S' => wrap(r" \t\n\r", true),
            'w' => r"[^\p{P}\p{Z}\p{C}]".to_owned(),
            'W' => wrap(r"\p{P}\p{Z}\p{C}", false),
            'i' => wrap(NAME_START, false),
            'I' => wrap(NAME_START, true),
            'c' => wrap(&name, false),
            'C' => wrap(&name, true),
            c @ ('p' | 'P') => self.property(c == 'P', in_class)?,
            c if c.is_ascii_alphanumeric() => return Err(format!("\\{c} is not an escape of XML Schema patterns")),
            c => literal(c),
        })
    }

    fn property(&mut self, negated: bool, in_class: bool) -> Result<String, String> {
        let rest: String = self.chars.get(self.at..).unwrap_or_default().iter().collect();
        let name = rest.strip_prefix('{').and_then(|rest| rest.split_once('}')).map(|(name, _)| name.to_owned());
        let name = name.ok_or("\\p needs a name in braces")?;
        self.at += name.chars().count() + 2;
        if let Some(block) = name.strip_prefix("Is") {
            let range = BLOCKS.iter().find(|(known, _)| *known == block).map(|(_, range)| *range);
            let range = range.ok_or_else(|| format!("the block {block} is not known"))?;
            return Ok(match (negated, in_class) {
                (false, true) => range.to_owned(),
                (negated, _) => format!("[{}{range}]", if negated { "^" } else { "" }),
            });
        }
        Ok(format!("\\{}{{{name}}}", if negated { 'P' } else { 'p' }))
    }

    /// Behind `[`: a class, possibly less another one.
    fn class(&mut self, depth: u32) -> Result<String, String> {
        if depth > NEST_LIMIT {
            return Err("classes nest too deep".to_owned());
        }
        let negated = self.peek() == Some('^');
        self.at += usize::from(negated);
        let mut body = String::new();
        let mut subtracted = None;
        loop {
            match self.next().ok_or("a class without its closing bracket")? {
                ']' if body.is_empty() => return Err("an empty class".to_owned()),
                ']' => break,
                '\\' => body.push_str(&self.escape(true)?),
                '-' if self.peek() == Some('[') && !body.is_empty() => {
                    self.at += 1;
                    subtracted = Some(self.class(depth + 1)?);
                    if self.next() != Some(']') {
                        return Err("a subtraction has to end its class".to_owned());
                    }
                    break;
                }
                '-' if body.is_empty() || self.peek() == Some(']') => body.push_str(r"\-"),
                '-' => body.push('-'),
                c => body.push_str(&literal(c)),
            }
        }
        let set = format!("[{}{body}]", if negated { "^" } else { "" });
        Ok(subtracted.map_or(set.clone(), |less| format!("[{set}--{less}]")))
    }
}

/// A character as itself, inside a class or outside.
fn literal(c: char) -> String {
    if c.is_ascii_punctuation() { format!("\\{c}") } else { c.to_string() }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(pattern: &str, good: &[&str], bad: &[&str]) {
        let pattern = Pattern::compile(pattern).unwrap_or_else(|fault| panic!("{pattern}: {fault}"));
        assert!(good.iter().all(|text| pattern.accepts(text)), "{pattern:?}");
        assert!(!bad.iter().any(|text| pattern.accepts(text)), "{pattern:?}");
    }

    #[test]
    fn patterns_mean_what_xml_schema_says() {
        check("ab|cd", &["ab", "cd"], &["abX", "Xcd", "X"]);
        check("^[A-Z]{3}$", &["ABC"], &["ABCD", "abc"]);
        check("[a-z-[aeiou]]+", &["bcd"], &["abc"]);
        check(r"\p{Lu}\p{L}+", &["Berau", "Ñandú"], &["berau", "B3rau"]);
        check(r"\d{16}", &["6401012345678901"], &["6.40101E+15"]);
        check(r"\i\c*", &["a-1", "_x.y"], &["1a", "-a"]);
        check(r"\p{IsBasicLatin}+", &["abc"], &["ñ"]);
        check(r"[\p{IsGreek}x]", &["α", "x"], &["y"]);
        check(r"[\w]+", &["añ1"], &["a b", "a.b"]);
        check(r"[^\s]+", &["ab"], &["a b"]);
        check(r"[a&&b~\[]+", &["&b~["], &["c"]);
        check(r"[-a]+[b-]", &["-ab", "a-"], &["ab-c"]);
        check("", &[""], &["a"]);
        check("a.c", &["abc"], &["a\nc"]);
        check("1$|^2", &["1", "2"], &["12"]);
    }

    #[test]
    fn a_sequence_of_ranges_is_one() {
        for (pattern, length) in
            [("[0-9]{16}", 16), (r"[0-9]{2}\.[0-9]{2}", 5), (r"ID-\d{3}x", 7), ("", 0), ("a{0}", 0)]
        {
            assert_eq!(fixed(pattern).map(|ranges| ranges.len()), Some(length), "{pattern}");
        }
        for pattern in ["[0-9]+", "a?", "[^0-9]{2}", "[0-9a]", "a|b", "(a)", r"\w", "[a-z]{2,3}", "a.c", "é", "a{65}"]
        {
            assert!(fixed(pattern).is_none(), "{pattern}");
        }
    }

    proptest::proptest! {
        #[test]
        fn a_sequence_of_ranges_means_what_the_expression_means(
            pattern in r"(([0-9a-cA]|-|\\d|\\\.|\[0-9\]|\[a-c\]|\[0-c\]|\^|\$)(\{[0-3]\})?){0,5}",
            texts in proptest::collection::vec("[0-9a-cA.٣$^-]{0,6}", 8),
        ) {
            if let Ok(pattern) = Pattern::compile(&pattern) {
                for text in &texts {
                    proptest::prop_assert_eq!(pattern.accepts(text), pattern.regex.is_match(text), "{} {}", pattern.source, text);
                }
            }
        }
    }

    #[test]
    fn what_is_no_pattern_is_refused() {
        for pattern in [
            "[",
            "(",
            ")",
            "a)(",
            "[]",
            r"\",
            r"\q",
            r"\p{IsAtlantis}",
            r"\pL",
            "(?=a)",
            "(?i)a",
            "a**",
            "[z-a]",
            "a{2,1}",
            "(a{1000}){1000}",
        ] {
            assert!(Pattern::compile(pattern).is_err(), "{pattern}");
        }
    }
}
