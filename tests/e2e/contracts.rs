//! Versions of contracts, from the command line and against a node: what is refused, and in which words.

use std::path::Path;
use std::process::Command;

use anyhow::{Context, ensure};
use serde_json::{Value, json};
use simpul_tests::{Demo, unique};

use super::lone::binary;
use crate::support::{producer, records, register, sample, standard};

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

#[test]
fn a_drafted_contract_takes_the_file_that_it_was_drafted_from_and_says_which_rows_it_does_not() -> anyhow::Result<()> {
    let folder = tempfile::tempdir()?;
    let mut file = "DAFTAR PASAR;;;\nKode Wilayah;Nama Pasar;Kios;Dibuka\n".to_owned();
    for row in 0..40 {
        file.push_str(&format!(
            "64.02.{:02};Pasar {row};1.{:03};{:02}/03/2024\n",
            1 + row % 8,
            100 + row,
            1 + row % 28
        ));
    }
    std::fs::write(folder.path().join("pasar.csv"), &file)?;
    let (status, _, words) = contract(folder.path(), &["infer", "pasar.csv", "-o", "draf.json"])?;
    ensure!(status == Some(0) && words.contains("Sah: 40 baris"), "{status:?} {words}");
    let draft: Value = serde_json::from_slice(&std::fs::read(folder.path().join("draf.json"))?)?;
    let area = &draft["resources"][0]["schema"]["fields"][0];
    ensure!(area["name"] == "kode_wilayah" && area["satudata"]["kodeReferensi"]["sistem"] == "kemendagri", "{area}");
    ensure!(area["satudata"]["tebakan"]["kodeReferensi"]["keyakinan"].is_number(), "{area}");
    let checked =
        Command::new(binary()?).args(["validate", "draf.json", "pasar.csv"]).current_dir(folder.path()).output()?;
    ensure!(checked.status.code() == Some(0), "{}", String::from_utf8_lossy(&checked.stdout));

    file.push_str("64.02.01;Pasar x;banyak;01/03/2024\n");
    std::fs::write(folder.path().join("pasar.csv"), &file)?;
    let (status, out, words) = contract(folder.path(), &["infer", "pasar.csv", "--english"])?;
    ensure!(status == Some(1) && words.contains("row 43") && words.contains("banyak"), "{status:?} {words}");
    let told: Value = serde_json::from_str(&out)?;
    ensure!(told["name"] == "pasar", "{told}");
    // Bytes that are no UTF-8, far behind the head.
    let mut bytes = file.into_bytes();
    for row in 0..20_000 {
        bytes.extend_from_slice(format!("64.02.01;Pasar {row};1.100;01/03/2024\n").as_bytes());
    }
    bytes.extend_from_slice(b"64.02.01;Pasar caf\xe9;1.100;01/03/2024\n");
    std::fs::write(folder.path().join("pasar.csv"), &bytes)?;
    let (_, out, _) = contract(folder.path(), &["infer", "pasar.csv"])?;
    let told: Value = serde_json::from_str(&out)?;
    ensure!(told["resources"][0]["encoding"] == "windows-1252", "{}", told["satudata"]);
    ensure!(contract(folder.path(), &["infer", "pasar.parquet"])?.0 == Some(3), "a form that is not read");
    Ok(())
}

#[tokio::test]
async fn records_as_they_are_served_fit_the_exported_json_schema() -> anyhow::Result<()> {
    let demo = Demo::shared();
    let name = unique("sekolah");
    register(demo, "kecamatan", &standard("sekolah", &name)).await.expect(201);
    let producer = producer(demo, "kecamatan", &name).await;
    producer.deliver(&name, sample("sekolah", "contoh.csv"), "text/csv", &[]).await.expect(201);
    let folder = tempfile::tempdir()?;
    let (status, out, words) = contract(folder.path(), &["export", "sekolah", "--to", "jsonschema"])?;
    ensure!(status == Some(0), "{words}");
    let schema: Value = serde_json::from_str(&out)?;
    let checks = jsonschema::validator_for(&schema)?;
    let served = records(&producer, &name, "").await;
    ensure!(served.len() == 40, "{} records", served.len());
    for record in &served {
        let errors: Vec<String> = checks.iter_errors(record).map(|error| error.to_string()).collect();
        ensure!(errors.is_empty(), "{errors:?} in {record}");
    }
    let (status, out, _) = contract(folder.path(), &["export", "sekolah", "--to", "odcs"])?;
    ensure!(status == Some(0) && out.starts_with("apiVersion: v3.1.0\nkind: DataContract\n"), "{out}");
    ensure!(contract(folder.path(), &["export", "tidak-ada", "--to", "odcs"])?.0 == Some(3), "no such contract");
    Ok(())
}

#[tokio::test]
async fn a_refused_version_names_the_rule_who_would_break_and_the_number_it_needs() -> anyhow::Result<()> {
    let demo = Demo::shared();
    let mut next = markets("1.1.0");
    let name = unique("pasar");
    next["name"] = json!(name);
    let mut first = next.clone();
    first["version"] = json!("1.0.0");
    register(demo, "kecamatan", &first).await.expect(201);
    let producer = producer(demo, "kecamatan", &name).await;
    field(&mut next, 3)["constraints"] = json!({"required": true});
    field(&mut next, 1)["constraints"]["maximum"] = json!(10);
    let refused = register(demo, "kecamatan", &next).await.wants(409);
    let told = refused.json();
    let detail = told["detail"].as_str().context("a detail")?;
    for part in ["REQUIRED_ADD", "data lama", "2.0.0", "Masih ada 1 perubahan lain"] {
        ensure!(
            detail.contains(part) || part == "REQUIRED_ADD" && detail.contains("BOUND_TIGHTEN"),
            "{part}: {detail}"
        );
    }
    let rules: Vec<&str> = told["errors"].as_array().into_iter().flatten().filter_map(|e| e["rule"].as_str()).collect();
    ensure!(rules.contains(&"REQUIRED_ADD") && rules.contains(&"BOUND_TIGHTEN"), "{told}");
    ensure!(told["suggestedVersion"] == "2.0.0" && told["affected"]["producers"] == json!([producer.agency]), "{told}");
    Ok(())
}
