//! Rules across columns and doubts about identifiers, from the registration of a contract to the answer for a file.

use serde_json::{Value, json};
use simpul_tests::{Demo, unique};

use crate::support::{descriptor, producer, records, register};

const CSV: &str = "text/csv";

/// The four columns of [`descriptor`] with these rules across them.
fn ruled(name: &str, rules: &Value) -> Value {
    let mut contract = descriptor(name, "tambah", "karantina");
    contract["resources"][0]["schema"]["satudata"] = json!({"aturan": rules});
    contract
}

fn rule(expression: &str, level: &str) -> Value {
    json!({"nama": format!("batas-{level}"), "ekspresi": expression, "tingkat": level,
           "pesan": {"id": "Nilai di luar batas tahunnya.", "en": "The value is beyond its year."}})
}

#[tokio::test]
async fn a_broken_rule_refuses_its_row_and_a_warning_refuses_none() {
    let demo = Demo::shared();
    let dataset = unique("aturan");
    let rules = json!([rule("nilai < 10 OR tahun >= '2024'", "kesalahan"), rule("nilai <> 7", "peringatan")]);
    register(demo, "kecamatan", &ruled(&dataset, &rules)).await.expect(201);
    let producer = producer(demo, "kecamatan", &dataset).await;
    let file = "kode,nama,nilai,tahun\na,A,50,2023\nb,B,50,2024\nc,C,7,2023\nd,D,,2023\n";
    let answer = producer.deliver(&dataset, file.as_bytes().to_vec(), CSV, &[]).await;
    let body = answer.json();
    let report = |list: &str| body[list].as_array().or(body["report"][list].as_array()).cloned().unwrap_or_default();
    let errors = report("errors");
    assert_eq!(errors.len(), 1, "{body:#}");
    assert_eq!((&errors[0]["row"], &errors[0]["constraint"]), (&json!(2), &json!("batas-kesalahan")), "{body:#}");
    assert_eq!(errors[0]["message"], "Nilai di luar batas tahunnya (nilai = 50, tahun = 2023).");
    assert_eq!(records(&producer, &dataset, "").await.len(), 3, "the warned row and the empty one land: {body:#}");
}

#[tokio::test]
async fn a_rule_that_cannot_be_used_is_refused_at_registration_with_its_place() {
    let demo = Demo::shared();
    for expression in ["nilai + 1", "nilai = tiada", "nilai > (SELECT 1)", "sum(nilai) > 1", "tahun < now()", "nilai ="]
    {
        let contract = ruled(&unique("aturan"), &json!([rule(expression, "kesalahan")]));
        let answer = register(demo, "kecamatan", &contract).await;
        answer.expect(422);
        let said = answer.json().to_string();
        assert!(said.contains("/resources/0/schema/satudata/aturan/0/ekspresi"), "{expression}: {said}");
    }
}

#[tokio::test]
async fn a_rule_that_refuses_more_is_an_incompatible_version_and_a_warning_is_not() {
    let demo = Demo::shared();
    let dataset = unique("aturan");
    register(demo, "kecamatan", &ruled(&dataset, &json!([]))).await.expect(201);
    let mut warned = ruled(&dataset, &json!([rule("nilai <> 7", "peringatan")]));
    warned["version"] = json!("1.0.1");
    register(demo, "kecamatan", &warned).await.expect(201);
    let mut refusing = ruled(&dataset, &json!([rule("nilai <> 7", "kesalahan")]));
    refusing["version"] = json!("2.0.0");
    let answer = register(demo, "kecamatan", &refusing).await;
    answer.expect(409);
    assert!(answer.json().to_string().contains("ROW_RULE_ADD"), "{:#}", answer.json());
}
