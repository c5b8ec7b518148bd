//! Whether one pattern takes every text that another takes, proven on their automata.

use std::collections::HashSet;

use regex_automata::dfa::{Automaton, StartKind, dense};
use regex_automata::util::primitives::StateID;
use regex_automata::util::start::Config as Start;
use regex_automata::{Anchored, MatchKind};

/// Bytes that one automaton may take while it is built and when it is ready.
const MAX_AUTOMATON_BYTES: usize = 4 * 1024 * 1024;
/// Pairs of states looked at before the question is given up.
const MAX_PAIRS: usize = 50_000;

/// Whether `wide` matches every whole text that `narrow` matches. `false` also where that cannot be proven: a pattern
/// that reads differently as an XSD and as a Rust expression, or one whose automaton is too large.
pub(super) fn includes(wide: &str, narrow: &str) -> bool {
    match (automaton(wide), automaton(narrow)) {
        (Some(wide), Some(narrow)) => walk(&wide, &narrow).unwrap_or(false),
        _ => false,
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

/// Looks at every pair of states that some text leads to. `None` where there are too many.
fn walk(wide: &dense::DFA<Vec<u32>>, narrow: &dense::DFA<Vec<u32>>) -> Option<bool> {
    let start = Start::new().anchored(Anchored::Yes);
    let first = (wide.start_state(&start).ok()?, narrow.start_state(&start).ok()?);
    let mut seen: HashSet<(StateID, StateID)> = HashSet::from([first]);
    let mut open = vec![first];
    while let Some((w, n)) = open.pop() {
        let ends = |dfa: &dense::DFA<Vec<u32>>, state| dfa.is_match_state(dfa.next_eoi_state(state));
        if ends(narrow, n) && !ends(wide, w) {
            return Some(false);
        }
        for byte in 0..=u8::MAX {
            let next = (wide.next_state(w, byte), narrow.next_state(n, byte));
            if !narrow.is_dead_state(next.1) && seen.insert(next) {
                open.push(next);
            }
        }
        if seen.len() > MAX_PAIRS {
            return None;
        }
    }
    Some(true)
}

#[cfg(test)]
mod tests {
    use super::includes;

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
