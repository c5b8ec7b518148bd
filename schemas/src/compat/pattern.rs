//! Whether one pattern takes every text that another takes, proven on their automata.

use std::collections::{HashMap, VecDeque};

use regex_automata::dfa::{Automaton, StartKind, dense};
use regex_automata::util::primitives::StateID;
use regex_automata::util::start::Config as Start;
use regex_automata::{Anchored, MatchKind};

/// Bytes that one automaton may take while it is built and when it is ready.
const MAX_AUTOMATON_BYTES: usize = 4 * 1024 * 1024;
/// Pairs of states looked at before the question is given up.
const MAX_PAIRS: usize = 50_000;

/// The answer to a question about two patterns.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Inclusion {
    /// Every text that the narrow one matches is matched by the wide one.
    Proven,
    /// This text is matched by the narrow one only.
    Refuted(String),
    /// Cannot be told: a pattern that reads differently as an XSD and as a Rust expression, or too large an automaton.
    Unknown,
}

/// Whether `wide` matches every whole text that `narrow` matches. `false` also where that cannot be proven.
pub(super) fn includes(wide: &str, narrow: &str) -> bool {
    inclusion(wide, narrow) == Inclusion::Proven
}

/// Whether `wide` matches every whole text that `narrow` matches, with the shortest text that it does not where there is
/// one.
pub(super) fn inclusion(wide: &str, narrow: &str) -> Inclusion {
    match (automaton(wide), automaton(narrow)) {
        (Some(wide), Some(narrow)) => walk(&wide, &narrow),
        _ => Inclusion::Unknown,
    }
}

fn automaton(pattern: &str) -> Option<dense::DFA<Vec<u32>>> {
    // `\w`, `\i`, `\c` and class subtraction differ between the two languages; `^` and `$` are plain characters in XSD.
    let foreign = ["\\w", "\\W", "\\i", "\\I", "\\c", "\\C", "\\b", "\\B", "-[", "--", "&&", "~~", "(?", "$"];
    let outside_class = pattern.replace("[^", "[");
    if foreign.iter().any(|part| pattern.contains(part)) || outside_class.contains('^') {
        return None;
    }
    let config = dense::Config::new()
        .start_kind(StartKind::Anchored)
        .match_kind(MatchKind::All)
        .dfa_size_limit(Some(MAX_AUTOMATON_BYTES))
        .determinize_size_limit(Some(MAX_AUTOMATON_BYTES));
    let limit = regex_automata::nfa::thompson::Config::new().nfa_size_limit(Some(MAX_AUTOMATON_BYTES));
    dense::Builder::new().configure(config).thompson(limit).build(&format!(r"(?:{pattern})\z")).ok()
}

type Pair = (StateID, StateID);

/// Looks at every pair of states that some text leads to, those of shorter texts first.
fn walk(wide: &dense::DFA<Vec<u32>>, narrow: &dense::DFA<Vec<u32>>) -> Inclusion {
    let start = Start::new().anchored(Anchored::Yes);
    let (Ok(w), Ok(n)) = (wide.start_state(&start), narrow.start_state(&start)) else { return Inclusion::Unknown };
    let mut seen: HashMap<Pair, Option<(Pair, u8)>> = HashMap::from([((w, n), None)]);
    let mut open = VecDeque::from([(w, n)]);
    while let Some((w, n)) = open.pop_front() {
        let ends = |dfa: &dense::DFA<Vec<u32>>, state| dfa.is_match_state(dfa.next_eoi_state(state));
        if ends(narrow, n) && !ends(wide, w) {
            return Inclusion::Refuted(text_to((w, n), &seen));
        }
        // Letters and digits first: a text that people can read.
        for byte in (b'0'..=b'z').chain(0..b'0').chain(b'z' + 1..=u8::MAX) {
            let next = (wide.next_state(w, byte), narrow.next_state(n, byte));
            if !narrow.is_dead_state(next.1) && !seen.contains_key(&next) {
                seen.insert(next, Some(((w, n), byte)));
                open.push_back(next);
            }
        }
        if seen.len() > MAX_PAIRS {
            return Inclusion::Unknown;
        }
    }
    Inclusion::Proven
}

/// The text that led to these states.
fn text_to(mut pair: Pair, seen: &HashMap<Pair, Option<(Pair, u8)>>) -> String {
    let mut bytes = Vec::new();
    while let Some(Some((before, byte))) = seen.get(&pair) {
        bytes.push(*byte);
        pair = *before;
    }
    bytes.reverse();
    String::from_utf8_lossy(&bytes).into_owned()
}

#[cfg(test)]
mod tests {
    use super::{Inclusion, includes, inclusion};

    #[test]
    fn a_wider_pattern_includes_a_narrower_one_and_not_the_reverse() {
        let pairs = [
            ("[a-z0-9]+", "[a-z]"),
            (r"[0-9]{2}(\.[0-9]{2})?", r"[0-9]{2}\.[0-9]{2}"),
            ("L|P|X", "L|P"),
            (".*", "[0-9]{16}"),
            (r"\d+", "[0-9]{4}"),
            ("a*", ""),
        ];
        for (wide, narrow) in pairs {
            assert!(includes(wide, narrow), "{wide} ⊇ {narrow}");
            assert!(!includes(narrow, wide), "{narrow} ⊉ {wide}");
        }
    }

    #[test]
    fn the_shortest_text_that_is_lost_is_named() {
        assert_eq!(inclusion("[0-9]{4}", "[0-9]{4}(/[0-9]{2})?"), Inclusion::Refuted("0000/00".to_owned()));
        assert_eq!(inclusion("[a-c]", "[a-d]"), Inclusion::Refuted("d".to_owned()));
    }

    #[test]
    fn two_spellings_of_one_pattern_include_each_other() {
        assert!(includes("[0-9][0-9]", "[0-9]{2}") && includes("[0-9]{2}", "[0-9][0-9]"));
    }

    #[test]
    fn what_cannot_be_proven_is_not_included() {
        let unproven = [r"\w+", "[a-z-[aeiou]]", "^a", "a$", "(", r"(\d{1,1000}){1,1000}", "[^^]"];
        for pattern in unproven {
            assert!(!includes(pattern, pattern), "{pattern}");
        }
    }
}
