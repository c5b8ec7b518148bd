//! Runs a folder of contract pairs through the compatibility check.
//!
//! `cargo run -p simpul-schemas --example compat_suite -- FOLDER`
//!
//! Each `*.json` holds `old`, `new` and the expected `backward`, `forward`, `producer` (booleans), `semver` and
//! `rule`. Exits 0 only if all agree. A `rule` is compared by its first word.

use std::path::Path;
use std::process::ExitCode;

use serde_json::{Value, json};
use simpul_schemas::compat::{Compatibility, Mode, NoLists, check_all};

fn main() -> Result<ExitCode, Box<dyn std::error::Error>> {
    let folder = std::env::args().nth(1).ok_or("name a folder of pairs")?;
    let mut files = std::fs::read_dir(&folder)?.map(|entry| Ok(entry?.path())).collect::<std::io::Result<Vec<_>>>()?;
    files.retain(|path| path.extension().is_some_and(|end| end == "json"));
    files.sort();
    let mut passed = 0;
    for path in &files {
        match run(path)? {
            None => passed += 1,
            Some(difference) => println!("{}: {difference}", path.display()),
        }
    }
    println!("{passed} of {} pairs agree", files.len());
    Ok(if passed == files.len() && passed > 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// What differs from the expectation.
fn run(path: &Path) -> Result<Option<String>, Box<dyn std::error::Error>> {
    let case: Value = serde_json::from_slice(&std::fs::read(path)?)?;
    let got = check_all(&[&case["old"]], &case["new"], Mode::Full, &NoLists)?;
    let verdicts = json!([got.backward, got.forward, got.producer, got.level]);
    let wanted = json!([case["backward"], case["forward"], case["producer"], case["semver"]]);
    if verdicts != wanted {
        return Ok(Some(format!("wanted {wanted}, got {verdicts}: {}", serde_json::to_string(&got.changes)?)));
    }
    let rule = case["rule"].as_str().and_then(|rule| rule.split_whitespace().next()).unwrap_or_default();
    Ok((!names(&got, rule)).then(|| format!("rule {rule} was not seen, but {:?}", got.changes)))
}

fn names(got: &Compatibility, rule: &str) -> bool {
    rule == "identical" && got.changes.is_empty() || got.changes.iter().any(|change| change.rule.name() == rule)
}
