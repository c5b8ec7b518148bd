//! What is proven offline: an exported audit log holds, and holds no longer when anything in it is changed.

use std::path::Path;

use serde_json::Value;
use simpul_tests::{Demo, Output, unique};

/// What both verifiers say about a file: exit status and the entry that they name.
async fn verdicts(demo: &Demo, file: &Path) -> [(i32, Value); 2] {
    let path = file.display().to_string();
    let ours = demo.simpul(["audit", "verify", "--json", path.as_str()]).await;
    let script = format!("{}/audit_verify.py", env!("CARGO_MANIFEST_DIR"));
    let output = tokio::process::Command::new("python3").args([script.as_str(), &path]).output().await;
    let output = output.expect("python3 is there: the second verifier is written in it");
    let theirs = Output {
        code: output.status.code().unwrap_or(-1),
        stdout: String::from_utf8_lossy(&output.stdout).into_owned(),
        stderr: String::from_utf8_lossy(&output.stderr).into_owned(),
    };
    [ours, theirs].map(|said| {
        let told: Value = serde_json::from_str(said.stdout.trim()).unwrap_or_else(|_| panic!("{said:?}"));
        (said.code, told["index"].clone())
    })
}

#[tokio::test]
async fn an_exported_audit_log_is_verified_and_every_change_of_it_is_found_and_named_by_two_verifiers() {
    let demo = Demo::shared();
    let file = demo.dir.join(unique("audit"));
    let (path, profile) =
        (file.display().to_string(), demo.client_info("kabupaten-admin").profile.display().to_string());
    let exported = demo.simpul(["audit", "export", "-o", &path, "--profile", &profile]).await;
    assert_eq!(exported.code, 0, "{exported:?}");
    assert!(verdicts(demo, &file).await.iter().all(|(code, _)| *code == 0), "the log does not hold as it is");

    let text = std::fs::read_to_string(&file).expect("the export");
    let lines: Vec<&str> = text.lines().collect();
    // Lines of entries: the place in the file and the index that the entry says.
    let entries: Vec<(usize, u64)> = lines
        .iter()
        .enumerate()
        .filter_map(|(at, line)| {
            let entry: Value = serde_json::from_str(line).ok()?;
            Some((at, entry["entry"]["seq"].as_u64()?))
        })
        .collect();
    assert!(entries.len() > 30, "{} entries", entries.len());
    let (at, index) = entries[entries.len() / 2];
    let changed = |make: &dyn Fn(&mut Vec<String>)| {
        let mut lines: Vec<String> = lines.iter().map(|line| (*line).to_owned()).collect();
        make(&mut lines);
        lines.iter().map(|line| format!("{line}\n")).collect::<String>()
    };
    let one_byte = changed(&|lines| lines[at] = lines[at].replacen("\"outcome\":\"", "\"outcome\":\"x", 1));
    let one_letter = changed(&|lines| {
        let actor = lines[at].find("\"actor\":\"").expect("an actor") + 10;
        let letter = if &lines[at][actor..=actor] == "z" { "y" } else { "z" };
        lines[at].replace_range(actor..=actor, letter);
    });
    let removed = changed(&|lines| drop(lines.remove(at)));
    let swapped = changed(&|lines| lines.swap(at, entries[entries.len() / 2 + 1].0));
    let cut = changed(&|lines| lines.truncate(at));
    for (what, text) in [
        ("one byte added", one_byte),
        ("one letter changed", one_letter),
        ("one removed", removed),
        ("two swapped", swapped),
        ("the tail cut off", cut),
    ] {
        let copy = demo.dir.join(unique("palsu"));
        std::fs::write(&copy, text).expect("a file");
        for (verifier, (code, named)) in ["simpul", "python"].iter().zip(verdicts(demo, &copy).await) {
            assert_ne!(code, 0, "{verifier} does not notice: {what}");
            assert_eq!(named.as_u64(), Some(index), "{verifier}: {what}");
        }
    }
}

#[tokio::test]
async fn a_log_signed_by_somebody_else_does_not_pass_for_the_nodes() {
    let demo = Demo::shared();
    let mut keys = Vec::new();
    let mut files = Vec::new();
    for tier in ["kecamatan", "provinsi"] {
        let file = demo.dir.join(unique("audit")).display().to_string();
        let profile = demo.client_info(&format!("{tier}-admin")).profile.display().to_string();
        assert_eq!(demo.simpul(["audit", "export", "-o", &file, "--profile", &profile]).await.code, 0);
        let told: Value =
            serde_json::from_str(&demo.simpul(["audit", "verify", &file, "--json"]).await.stdout).expect("JSON");
        keys.push(told["key"].as_str().expect("a key").to_owned());
        files.push(file);
    }
    let verify = async |file: &str, key: &str| demo.simpul(["audit", "verify", file, "--key", key]).await.code;
    assert_eq!(verify(&files[0], &keys[0]).await, 0);
    assert_ne!(verify(&files[0], &keys[1]).await, 0);
}
