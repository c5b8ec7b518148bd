//! Datasets that one test has to itself.

use serde_json::{Value, json};
use simpul_tests::{Answer, Client, Demo, unique};

/// The descriptor of a dataset of four columns: `kode` (key), `nama`, `nilai` (not negative), `tahun` (the period).
pub fn descriptor(name: &str, mode: &str, policy: &str) -> Value {
    let mut satudata = json!({
        "sifat": "terbuka", "dasarSifat": "UU 14/2008 Pasal 9", "frekuensi": "tahunan", "cakupanWilayah": "ID",
        "moda": mode, "kebijakan": policy, "kompatibilitas": "BACKWARD_TRANSITIVE", "dataPribadi": {"ada": false},
    });
    if mode == "ganti" {
        satudata["periode"] = json!("tahun");
    }
    let fields = json!([
        {"name": "kode", "title": "Kode", "type": "string", "constraints": {"required": true}},
        {"name": "nama", "title": "Nama", "type": "string"},
        {"name": "nilai", "title": "Nilai", "type": "integer", "constraints": {"minimum": -100}},
        {"name": "tahun", "title": "Tahun", "type": "string",
         "constraints": {"required": true, "pattern": "20[0-9]{2}"}},
    ]);
    json!({
        "$schema": "https://datapackage.org/profiles/2.0/datapackage.json",
        "name": name, "id": format!("urn:satudata:std:{name}"), "title": "Uji", "version": "1.0.0",
        "satudata": satudata,
        "resources": [{
            "name": "data", "type": "table", "path": "data.csv", "format": "csv", "mediatype": "text/csv",
            "encoding": "utf-8", "dialect": {"delimiter": ","},
            "schema": {
                "$schema": "https://datapackage.org/profiles/2.0/tableschema.json",
                "fieldsMatch": "superset", "missingValues": [""], "fields": fields, "primaryKey": ["kode", "tahun"],
            },
        }],
    })
}

/// The document of a code list whose rows are `kode,nama`.
pub fn code_list(id: &str, version: &str, rows: &str) -> Value {
    json!({
        "id": format!("urn:satudata:ref:{id}@{version}"), "version": version, "title": "Daftar uji",
        "satudata": {"kodeReferensi": {"sumberdaya": "kode", "kunci": "kode", "nama": "nama"}},
        "resources": [{"name": "kode", "format": "csv", "data": format!("kode,nama\n{rows}")}],
    })
}

/// The same contract as [`descriptor`], whose `kode` has to be in a code list.
pub fn with_list(mut descriptor: Value, id: &str, version: &str) -> Value {
    descriptor["resources"][0]["schema"]["foreignKeys"] = json!([{"fields": ["kode"], "reference": {
        "package": format!("urn:satudata:ref:{id}@{version}"), "resource": "kode", "fields": ["kode"]}}]);
    descriptor
}

/// Registers a dataset at `node`; gives its name.
pub async fn dataset(demo: &Demo, node: &str, mode: &str, policy: &str) -> String {
    let name = unique("uji");
    register(demo, node, &descriptor(&name, mode, policy)).await.expect(201);
    name
}

/// Registers a contract at `node`.
pub async fn register(demo: &Demo, node: &str, descriptor: &Value) -> Answer {
    demo.admin(node).post("/v1/admin/contracts", descriptor).await
}

/// A contract that ships with the product, under another name.
pub fn standard(name: &str, as_name: &str) -> Value {
    let path = format!("{}/../schemas/standard/{name}/datapackage.json", env!("CARGO_MANIFEST_DIR"));
    let mut descriptor: Value =
        serde_json::from_slice(&std::fs::read(path).expect("a standard contract")).expect("JSON");
    descriptor["name"] = json!(as_name);
    descriptor["id"] = json!(format!("urn:satudata:std:{as_name}"));
    descriptor
}

/// A sample file of a contract that ships with the product.
pub fn sample(name: &str, file: &str) -> Vec<u8> {
    let path = format!("{}/../schemas/standard/{name}/{file}", env!("CARGO_MANIFEST_DIR"));
    std::fs::read(path).expect("a sample")
}

/// A producer of `dataset` at `node`, of an agency of its own in the area of the kecamatan, who may also read it.
pub async fn producer(demo: &Demo, node: &str, dataset: &str) -> Client {
    let agency = unique("64.02.05.uji");
    let client = demo.enroll(node, &agency, "sistem", "producer").await;
    demo.agree(&client, dataset, &["deliver", "read"], json!({})).await;
    client
}

/// A reader of `dataset` at `node` under an agreement with the members `more`; and the agreement's name.
pub async fn reader(demo: &Demo, node: &str, dataset: &str, more: Value) -> (Client, String) {
    let agency = unique("64.uji");
    let client = demo.enroll(node, &agency, "pembaca", "consumer").await;
    let agreement = demo.agree(&client, dataset, &["read"], more).await;
    (client, agreement)
}

/// All records of `dataset` that `client` sees on one page under `query`.
pub async fn records(client: &Client, dataset: &str, query: &str) -> Vec<Value> {
    let path = format!("/v1/datasets/{dataset}/records?limit=1000&{query}");
    let answer = client.get(&path).await;
    answer.expect(200);
    answer.json()["records"].as_array().expect("records").clone()
}

/// A CSV file of rows `kode,nama,nilai,tahun`.
pub fn csv(rows: impl IntoIterator<Item = (String, String, i64, u16)>) -> String {
    let lines = rows.into_iter().map(|(code, name, value, year)| format!("{code},{name},{value},{year}\n"));
    std::iter::once("kode,nama,nilai,tahun\n".to_owned()).chain(lines).collect()
}

/// A CSV file of `count` rows whose keys begin with `prefix`, all of the year 2025.
pub fn rows(prefix: &str, count: usize) -> String {
    csv((0..count).map(|row| (format!("{prefix}{row:04}"), format!("Nama {row}"), 1, 2025)))
}
