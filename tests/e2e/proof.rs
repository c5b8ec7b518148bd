//! What is proven offline: an exported audit log holds, and holds no longer when anything in it is changed.

use std::path::Path;

use aws_lc_rs::signature::Ed25519KeyPair;
use serde_json::Value;
use simpul_core::audit::{Entry, Exporter, LogKey};
use simpul_core::time::Timestamp;
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

#[tokio::test]
async fn audit_entries_are_read_page_by_page() {
    let demo = Demo::shared();
    let admin = demo.admin("kecamatan");
    let page = async |query: &str| {
        let page = admin.patient_get(&format!("/v1/audit/entries?{query}")).await.wants(200).json();
        let entries = page["entries"].as_array().expect("entries").clone();
        let numbers: Vec<u64> = entries.iter().map(|entry| entry["seq"].as_u64().expect("an index")).collect();
        (numbers, page["next"].as_u64())
    };
    let (newest, next) = page("limit=5").await;
    assert_eq!((newest.len(), next), (5, newest.first().copied()));
    let (older, _) = page(&format!("limit=5&before={}", newest[0])).await;
    assert_eq!(older.last().map(|last| last + 1), newest.first().copied());
    assert_eq!(page("limit=3&before=4").await, (vec![1, 2, 3], Some(1)));
    assert_eq!(page("limit=3&before=1").await, (vec![0], None));
    admin.patient_get("/v1/audit/entries?before=x").await.expect(400);
}

/// Exports the audit log of `node`; gives the file.
async fn export(demo: &Demo, node: &str) -> String {
    let file = demo.dir.join(unique("audit")).display().to_string();
    let profile = demo.client_info(&format!("{node}-admin")).profile.display().to_string();
    let exported = demo.simpul(["audit", "export", "-o", &file, "--profile", &profile]).await;
    assert_eq!(exported.code, 0, "{exported:?}");
    file
}

#[tokio::test]
async fn a_checkpoint_that_was_kept_proves_that_the_log_contains_it_and_no_other_will_do() {
    let demo = Demo::shared();
    let mut kept = Vec::new();
    for node in ["kabupaten", "provinsi"] {
        let profile = demo.client_info(&format!("{node}-admin")).profile.display().to_string();
        let said = demo.simpul(["audit", "checkpoint", "--profile", &profile]).await;
        assert_eq!(said.code, 0, "{said:?}");
        let file = demo.dir.join(unique("checkpoint")).display().to_string();
        std::fs::write(&file, said.stdout).expect("a file");
        kept.push(file);
    }
    let later = export(demo, "kabupaten").await;
    let verify = async |log: &str, checkpoint: &str| {
        demo.simpul(["audit", "verify", log, "--checkpoint", checkpoint, "--json"]).await
    };
    let good = verify(&later, &kept[0]).await;
    assert_eq!(good.code, 0, "{good:?}");
    assert_ne!(verify(&later, &kept[1]).await.code, 0, "the checkpoint of another log passes");
    let text = std::fs::read_to_string(&kept[0]).expect("the checkpoint");
    let size = text.lines().nth(1).expect("the size").to_owned();
    std::fs::write(&kept[0], text.replacen(&size, &format!("{size}0"), 1)).expect("a file");
    assert_ne!(verify(&later, &kept[0]).await.code, 0, "a changed checkpoint passes");

    // In the export itself a checkpoint of another log stands in the place of its own.
    let (own, foreign) = (std::fs::read_to_string(&later), std::fs::read_to_string(export(demo, "provinsi").await));
    let (own, foreign) = (own.expect("an export"), foreign.expect("an export"));
    let last = |text: &str| text.lines().rfind(|line| line.starts_with("{\"checkpoint\"")).expect("one").to_owned();
    let replaced = demo.dir.join(unique("palsu"));
    std::fs::write(&replaced, own.replace(&last(&own), &last(&foreign))).expect("a file");
    let sizes = own.matches("{\"checkpoint\"").count();
    let vouched = if sizes > 1 { 256 * (sizes as u64 - 1) } else { 0 };
    for (code, named) in verdicts(demo, &replaced).await {
        assert_eq!((code == 0, named.as_u64()), (false, Some(vouched)));
    }
}

#[tokio::test]
async fn two_exports_of_one_log_agree_and_a_rewritten_one_is_named_with_the_entry_where_it_parts() {
    let demo = Demo::shared();
    let (earlier, later) = (export(demo, "kabupaten").await, export(demo, "kabupaten").await);
    let compare =
        async |log: &str, other: &str| demo.simpul(["audit", "verify", log, "--other", other, "--json"]).await;
    assert_eq!(compare(&later, &earlier).await.code, 0);
    assert_eq!(compare(&earlier, &later).await.code, 0);
    let other = export(demo, "provinsi").await;
    let unrelated = compare(&later, &other).await;
    assert_ne!(unrelated.code, 0, "{unrelated:?}");

    // Whoever holds the log's key can sign another story: of the first ten entries, and one that never was.
    let forked = demo.dir.join(unique("cabang"));
    let key = std::fs::read(demo.node("kabupaten").data().join("audit/signing.key")).expect("the key of the log");
    std::fs::write(&forked, fork(&std::fs::read_to_string(&later).expect("an export"), &key, 10)).expect("a file");
    let alone = demo.simpul(["audit", "verify", &forked.display().to_string()]).await;
    assert_eq!(alone.code, 0, "the forged log must hold by itself, or this test shows nothing: {alone:?}");
    let found = compare(&later, &forked.display().to_string()).await;
    let told: Value = serde_json::from_str(found.stdout.trim()).expect("JSON");
    assert_eq!((found.code, told["index"].as_u64()), (1, Some(10)), "{found:?}");
}

/// An export signed with the log's own key, that tells the same as `export` up to entry `at` and something else there.
fn fork(export: &str, key: &[u8], at: u64) -> Vec<u8> {
    let pair = Ed25519KeyPair::from_pkcs8(key).expect("an Ed25519 key");
    let sign = |message: &[u8]| <[u8; 64]>::try_from(pair.sign(message).as_ref()).expect("64 bytes");
    let mut lines = export.lines();
    let header: Value = serde_json::from_str(lines.next().expect("the header")).expect("JSON");
    let key: LogKey = header["key"].as_str().expect("the key").parse().expect("a key");
    let mut forged = Exporter::new(Vec::new(), key, &sign).expect("an export");
    let mut time = Timestamp::from_millis(0);
    for line in lines {
        let Ok(line) = serde_json::from_str::<Value>(line) else { continue };
        let Ok(mut entry) = serde_json::from_value::<Entry>(line["entry"].clone()) else { continue };
        time = entry.time;
        if entry.seq == at {
            entry.object.push_str("-lain");
        }
        forged.entry(entry.encode().as_bytes()).expect("an entry");
    }
    forged.finish(time).expect("an export")
}
