//! Versions of contracts, from the command line and against a node: what is refused, and in which words.

use std::path::Path;
use std::process::Command;

use anyhow::{Context, ensure};
use serde_json::{Value, json};

use super::lone::binary;

/// A register of markets.
fn markets(version: &str) -> Value {
    json!({
        "$schema": "https://datapackage.org/profiles/2.0/datapackage.json",
        "name": "pasar",
        "version": version,
        "resources": [{"name": "pasar", "path": "pasar.csv", "schema": {
            "fieldsMatch": "superset",
            "primaryKey": ["kode"],
            "fields": [
                {"name": "kode", "type": "string", "constraints": {"required": true, "pattern": "[0-9]{4,6}"}},
                {"name": "kios", "type": "integer", "constraints": {"minimum": 0, "maximum": 900}},
                {"name": "jenis", "type": "string", "constraints": {"enum": ["harian", "mingguan", "tahunan"]}},
                {"name": "dibuka", "type": "date"}
            ]
        }}]
    })
}

fn field(package: &mut Value, at: usize) -> &mut Value {
    &mut package["resources"][0]["schema"]["fields"][at]
}

/// Runs `simpul contract` in `folder`.
fn contract(folder: &Path, arguments: &[&str]) -> anyhow::Result<(Option<i32>, String, String)> {
    let done = Command::new(binary()?).arg("contract").args(arguments).current_dir(folder).output()?;
    let text = |bytes: Vec<u8>| String::from_utf8(bytes).context("output is UTF-8");
    Ok((done.status.code(), text(done.stdout)?, text(done.stderr)?))
}

/// Rule, change of the new version, verdicts backward, forward and producer, part of the number, witness.
type Pair = (&'static str, fn(&mut Value), [bool; 3], &'static str, Value);

fn pairs() -> Vec<Pair> {
    vec![
        (
            "FIELD_ADD_OPTIONAL",
            |new| {
                let fields = new["resources"][0]["schema"]["fields"].as_array_mut();
                fields.into_iter().for_each(|fields| fields.push(json!({"name": "catatan", "type": "string"})));
            },
            [true, true, true],
            "MINOR",
            Value::Null,
        ),
        (
            "REQUIRED_ADD",
            |new| field(new, 3)["constraints"] = json!({"required": true}),
            [false, true, false],
            "MAJOR",
            json!(""),
        ),
        (
            "BOUND_TIGHTEN",
            |new| field(new, 1)["constraints"]["maximum"] = json!(500),
            [false, true, false],
            "MAJOR",
            json!(900),
        ),
        (
            "BOUND_LOOSEN",
            |new| field(new, 1)["constraints"]["maximum"] = json!(5000),
            [true, false, true],
            "MINOR",
            Value::Null,
        ),
        (
            "ENUM_NARROW",
            |new| field(new, 2)["constraints"]["enum"] = json!(["harian", "mingguan"]),
            [false, true, false],
            "MAJOR",
            json!("tahunan"),
        ),
        (
            "PATTERN_CHANGE",
            |new| field(new, 0)["constraints"]["pattern"] = json!("[0-9]{4}"),
            [false, false, false],
            "MAJOR",
            json!("00000"),
        ),
        ("TYPE_WIDEN", |new| field(new, 1)["type"] = json!("number"), [true, false, true], "MAJOR", Value::Null),
        ("FORMAT_CHANGE", |new| field(new, 3)["format"] = json!("%d/%m/%Y"), [true, true, false], "MAJOR", Value::Null),
    ]
}

#[test]
fn the_command_gives_verdict_witness_and_number_for_each_pair() -> anyhow::Result<()> {
    let folder = tempfile::tempdir()?;
    let write = |name: &str, value: &Value| std::fs::write(folder.path().join(name), value.to_string());
    write("lama.json", &markets("1.2.0"))?;
    for (rule, change, [backward, forward, producer], level, witness) in pairs() {
        let mut new = markets("9.9.9");
        change(&mut new);
        write("baru.json", &new)?;
        for (mode, holds) in
            [("BACKWARD", backward), ("forward", forward), ("FULL", backward && forward), ("NONE", true)]
        {
            let arguments = ["check", "lama.json", "baru.json", "--mode", mode, "--json"];
            let (status, out, _) = contract(folder.path(), &arguments)?;
            let told: Value = serde_json::from_str(&out).with_context(|| format!("{rule}: {out}"))?;
            ensure!(
                status == Some(i32::from(!holds)) && told["compatible"] == holds,
                "{rule} {mode}: {status:?} {told}"
            );
            ensure!(told["producer"] == producer, "{rule}: {told}");
            let number = if level == "MAJOR" { "2.0.0" } else { "1.3.0" };
            ensure!(told["suggestedVersion"] == number, "{rule}: {told}");
            let changes = told["changes"].as_array().context("changes")?;
            let seen =
                changes.iter().find(|change| change["rule"] == rule).with_context(|| format!("{rule}: {told}"))?;
            ensure!(seen["witness"] == witness, "{rule}: {seen}");
            for key in ["field", "from", "to", "backward", "forward", "producer"] {
                ensure!(seen.get(key).is_some(), "{rule}: no {key} in {seen}");
            }
            ensure!(seen["message"].is_string(), "{rule}: {seen}");
        }
    }
    Ok(())
}

#[test]
fn a_descriptor_that_cannot_be_used_and_a_file_that_is_not_there_are_told_apart() -> anyhow::Result<()> {
    let folder = tempfile::tempdir()?;
    let mut broken = markets("1.0.0");
    field(&mut broken, 1)["type"] = json!("angka");
    std::fs::write(folder.path().join("baik.json"), markets("1.0.0").to_string())?;
    std::fs::write(folder.path().join("rusak.json"), broken.to_string())?;
    std::fs::write(folder.path().join("bukan.json"), "{")?;
    for (file, status, word) in
        [("rusak.json", 2, "angka"), ("bukan.json", 2, "bukan.json"), ("hilang.json", 3, "hilang")]
    {
        let (got, _, words) = contract(folder.path(), &["check", "baik.json", file])?;
        ensure!(got == Some(status) && words.contains(word), "{file}: {got:?} {words}");
    }
    let (got, words, _) = contract(folder.path(), &["check", "baik.json", "baik.json"])?;
    ensure!(got == Some(0) && words.starts_with("KOMPATIBEL"), "{words}");
    Ok(())
}
