//! The shape of the house, checked: which crate may lean on which, and which words may be written where.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::Value;

/// Every arrow of the house, `from → to`, apart from those of tests and benchmarks. The node leans on all.
const ARROWS: [(&str, &[&str]); 6] = [
    ("simpul-core", &[]),
    ("simpul-store", &["simpul-core"]),
    ("simpul-schemas", &["simpul-core"]),
    ("simpul-lake", &["simpul-core", "simpul-schemas"]),
    ("simpul-certs", &["simpul-core"]),
    ("simpul-connector-api", &["simpul-core", "simpul-schemas"]),
];
/// Crates that only one crate, or a few, may use, and why they are heavy or dangerous elsewhere.
const RESERVED: [(&str, &[&str]); 5] = [
    ("datafusion", &["simpul-lake"]),
    // In the node only `simpul worker` uses it, which reads the files of strangers in a process of its own.
    ("parquet", &["simpul", "simpul-lake", "simpul-benches", "simpul-tests"]),
    ("sqlx", &["simpul-store", "simpul-connector-postgres"]),
    ("rcgen", &["simpul-certs"]),
    ("jsonwebtoken", &["simpul-certs"]),
];

/// The repository.
fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..").canonicalize().expect("the folder of the workspace")
}

fn packages() -> Vec<Value> {
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let output = Command::new(cargo)
        .args(["metadata", "--offline", "--no-deps", "--format-version", "1"])
        .current_dir(root())
        .output()
        .expect("cargo runs");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let metadata: Value = serde_json::from_slice(&output.stdout).expect("JSON from cargo");
    metadata["packages"].as_array().expect("packages").clone()
}

/// The dependencies that a package declares, those of its tests left out: name and whether it is of this workspace.
fn dependencies(package: &Value) -> Vec<(String, bool)> {
    let declared = package["dependencies"].as_array().expect("dependencies").iter();
    let shipped = declared.filter(|dependency| dependency["kind"] != "dev");
    shipped.map(|dependency| (text(&dependency["name"]), dependency["path"].is_string())).collect()
}

fn text(value: &Value) -> String {
    value.as_str().unwrap_or_default().to_owned()
}

/// Whether the package `from` may lean on the package `to` of this workspace.
fn arrow_allowed(from: &str, to: &str) -> bool {
    match from {
        "simpul" => to != "simpul-tests" && to != "simpul-benches",
        "simpul-tests" => ["simpul-core", "simpul-certs"].contains(&to),
        "simpul-benches" => true,
        from if from.starts_with("simpul-connector-") && from != "simpul-connector-api" => to == "simpul-connector-api",
        from => ARROWS.iter().any(|(name, allowed)| *name == from && allowed.contains(&to)),
    }
}

#[test]
fn crates_lean_on_each_other_in_one_direction_only() {
    let packages = packages();
    let names: BTreeSet<String> = packages.iter().map(|package| text(&package["name"])).collect();
    assert!(ARROWS.iter().all(|(name, _)| names.contains(*name)), "a crate of the house is missing: {names:?}");
    let mut seen = 0;
    let mut wrong = Vec::new();
    for package in &packages {
        let from = text(&package["name"]);
        for (to, _) in dependencies(package).into_iter().filter(|(_, own)| *own) {
            seen += 1;
            if !arrow_allowed(&from, &to) {
                wrong.push(format!("{from} → {to}"));
            }
        }
    }
    assert!(wrong.is_empty(), "arrows that the design does not have: {wrong:?}");
    assert!(seen >= 12, "only {seen} arrows were found: the metadata is not read as it is meant");
}

#[test]
fn an_arrow_against_the_direction_is_noticed() {
    for (from, to) in [
        ("simpul-core", "simpul-schemas"),
        ("simpul-store", "simpul-lake"),
        ("simpul-schemas", "simpul-certs"),
        ("simpul-connector-files", "simpul-core"),
        ("simpul-connector-files", "simpul-lake"),
        ("simpul-lake", "simpul-store"),
        ("simpul-certs", "simpul"),
        ("simpul-newcomer", "simpul-core"),
    ] {
        assert!(!arrow_allowed(from, to), "{from} → {to}");
    }
}

#[test]
fn heavy_crates_are_used_where_they_belong_and_there_is_one_crypto_library() {
    let mut wrong = Vec::new();
    for package in packages() {
        let from = text(&package["name"]);
        for (to, _) in dependencies(&package) {
            let reserved = RESERVED.iter().find(|(name, _)| *name == to);
            let foreign_crypto = ["ring", "openssl", "native-tls", "openssl-sys"].contains(&to.as_str());
            if foreign_crypto || reserved.is_some_and(|(_, users)| !users.contains(&from.as_str())) {
                wrong.push(format!("{from} → {to}"));
            }
        }
    }
    assert!(wrong.is_empty(), "{wrong:?}");
}

/// A source file: path from the root, and the text above its tests.
type Source = (String, String);

/// Every Rust file below `folder`, without the tests inside it and the files that hold nothing else.
fn sources(folder: &str) -> Vec<Source> {
    let root = root();
    let mut found = Vec::new();
    let mut folders = vec![root.join(folder)];
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(&folder).expect("a folder of the workspace").flatten() {
            let path = entry.path();
            let name = entry.file_name().to_string_lossy().into_owned();
            if path.is_dir() {
                if !["target", "tests", ".git", "fuzz"].contains(&name.as_str()) {
                    folders.push(path);
                }
            } else if name.ends_with(".rs") && name != "tests.rs" {
                let text = std::fs::read_to_string(&path).expect("a source file");
                let above = text.split("#[cfg(test)]\nmod ").next().unwrap_or_default().to_owned();
                found.push((path.strip_prefix(&root).expect("below the root").display().to_string(), above));
            }
        }
    }
    found.sort();
    found
}

/// `path:line` of every line that `is_wrong`, comments left out, in files that are not `allowed`.
fn offenders(sources: &[Source], allowed: &[&str], is_wrong: impl Fn(&str) -> bool) -> Vec<String> {
    let mut found = Vec::new();
    for (path, text) in sources.iter().filter(|(path, _)| !allowed.iter().any(|start| path.starts_with(start))) {
        for (number, line) in text.lines().enumerate() {
            if !line.trim_start().starts_with("//") && is_wrong(line) {
                found.push(format!("{path}:{}", number + 1));
            }
        }
    }
    found
}

/// Whether `line` holds the beginning of an SQL statement.
fn speaks_sql(line: &str) -> bool {
    const VERBS: [&str; 9] = [
        "SELECT ",
        "INSERT INTO ",
        "INSERT OR ",
        "DELETE FROM ",
        "CREATE TABLE ",
        "CREATE INDEX ",
        "ALTER TABLE ",
        "DROP TABLE ",
        "PRAGMA ",
    ];
    let at = |verb: &str| {
        line.match_indices(verb).any(|(at, _)| {
            let before = line[..at].chars().next_back();
            before.is_none_or(|letter| !letter.is_alphanumeric() && letter != '_')
        })
    };
    VERBS.into_iter().any(at) || (line.contains("UPDATE ") && line.contains(" SET "))
}

#[test]
fn only_the_store_speaks_sql_to_our_own_state() {
    let sources: Vec<Source> = ["gateway", "schemas", "certs", "connectors"].into_iter().flat_map(sources).collect();
    // A connector to a database speaks SQL to a source, never to the node's own state.
    let allowed = ["gateway/store/", "connectors/postgres/", "connectors/mysql/"];
    assert_eq!(offenders(&sources, &allowed, speaks_sql), Vec::<String>::new());
    let store = offenders(&sources, &["gateway/core/", "gateway/node/", "gateway/lake/", "connectors/"], speaks_sql);
    assert!(store.len() > 20, "the store's own SQL is not found: the search does not work");
}

#[test]
fn only_land_commits_rows() {
    let node = sources("gateway/node/src");
    let commits = |line: &str| line.contains("lake.commit(") || line.contains("simpul_lake::Commit");
    assert_eq!(offenders(&node, &["gateway/node/src/flows/land.rs"], commits), Vec::<String>::new());
    assert!(!offenders(&node, &[], commits).is_empty(), "land does not commit: the search does not work");
    // Nobody has a lake of another name to commit to.
    let any = |line: &str| line.contains(".commit(&");
    assert_eq!(offenders(&node, &["gateway/node/src/flows/land.rs"], any), Vec::<String>::new());
}

#[test]
fn only_refusal_and_answer_choose_a_status() {
    let node = sources("gateway/node/src");
    // The client reads the status of answers that others gave.
    let allowed = ["gateway/node/src/refusal.rs", "gateway/node/src/answer.rs", "gateway/node/src/client.rs"];
    let names = |line: &str| line.contains("StatusCode") || line.contains(".status_mut()");
    assert_eq!(offenders(&node, &allowed, names), Vec::<String>::new());
    assert!(offenders(&node, &[], names).len() > 3, "the search does not work");
    let client = sources("gateway/node/src").into_iter().filter(|(path, _)| path.ends_with("src/client.rs"));
    let makes = |line: &str| line.contains("http::StatusCode") || line.contains("status_mut");
    assert_eq!(offenders(&client.collect::<Vec<_>>(), &[], makes), Vec::<String>::new());
}

#[test]
fn core_and_schemas_read_no_clock_no_random_number_no_file_and_no_socket() {
    let pure: Vec<Source> = ["gateway/core/src", "schemas/src"].into_iter().flat_map(sources).collect();
    let reaches_out = |line: &str| {
        ["std::fs", "std::net", "SystemTime", "Instant::now", "Utc::now", "tokio::", "rand::", "std::env::"]
            .iter()
            .any(|word| line.contains(word))
    };
    assert_eq!(offenders(&pure, &[], reaches_out), Vec::<String>::new());
    assert!(pure.len() > 10, "the sources of core and schemas are not found");
}

#[test]
fn connectors_do_not_know_the_lake_the_store_or_the_node() {
    let connectors = sources("connectors");
    let knows = |line: &str| ["simpul_lake", "simpul_store", "simpul_certs"].iter().any(|word| line.contains(word));
    assert_eq!(offenders(&connectors, &[], knows), Vec::<String>::new());
    assert!(connectors.len() > 5, "the sources of the connectors are not found");
}

#[test]
fn a_line_in_the_wrong_place_is_noticed_and_a_comment_is_not() {
    let house = |line: &str| vec![("gateway/node/src/flows/query.rs".to_owned(), format!("fn run() {{\n{line}\n}}"))];
    let found = |line: &str, wrong: &dyn Fn(&str) -> bool| offenders(&house(line), &["gateway/store/"], wrong);
    assert_eq!(found("query(\"SELECT id FROM clients\")", &speaks_sql), ["gateway/node/src/flows/query.rs:2"]);
    assert_eq!(found("query(\"UPDATE clients SET name = ?\")", &speaks_sql).len(), 1);
    assert_eq!(found("if select.len() > MAX_SELECT {", &speaks_sql), Vec::<String>::new());
    assert_eq!(found("// SELECT is a word", &speaks_sql), Vec::<String>::new());
    assert_eq!(offenders(&house("SELECT 1"), &["gateway/node/"], speaks_sql), Vec::<String>::new());
}
