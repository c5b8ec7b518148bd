//! The flow of the demo, each step a call of the public API.

use std::collections::BTreeMap;
use std::io::BufReader;
use std::path::Path;
use std::time::Duration;

use anyhow::Context as _;
use http::Method;
use serde_json::{Value, json};
use simpul_core::audit::{VerifyOptions, verify_export};
use simpul_core::digest::Digest;

use super::Teller;
use super::registry::console;
use super::world::{DATASETS, World};
use crate::cli::data::connect_with;
use crate::client::{ClientError, NodeClient, Profile};

/// Runs the flow; gives the counts of each step.
///
/// # Errors
/// The first step that does not come out as it must.
pub async fn run(world: &World, teller: Teller) -> anyhow::Result<Value> {
    let producer = client(world, "kecamatan-produsen")?;
    teller.say("\n1. A clerk of kecamatan Muara Badak delivers a file with mistakes.");
    let refused = deliver_refused(&producer, "penduduk-wilayah", &world.sample_path("contoh-kotor.csv")).await?;
    teller.say(indented(refused["report_text"].as_str().unwrap_or_default()));
    teller.say("   Nothing of it landed; the report names row, column, value and what to write instead.");

    teller.say("\n2. The clerk corrects the file and delivers it again; the same file twice has one effect.");
    let corrected = world.sample_path("contoh-bersih.csv");
    let landed = deliver(&producer, "penduduk-wilayah", &corrected).await?;
    let again = deliver(&producer, "penduduk-wilayah", &corrected).await?;
    anyhow::ensure!(landed["receipt"] == again["receipt"], "the same delivery got two receipts");
    teller.say(format!(
        "   {} rows landed; the receipt is signed and names audit entry and table version.",
        landed["rows"]["accepted"]
    ));
    let receipt = landed["receipt"].as_str().context("no receipt")?;
    let verified = simpul_certs::jws::verify_receipt(receipt, None)?;
    std::fs::write(world.dir.join("tanda-terima.json"), json!({"receipt": receipt}).to_string())?;

    teller.say("\n3. A file dropped into a folder is pulled by a connector.");
    let pulled = pull(world).await?;
    teller.say(format!("   {pulled} rows of emergency calls came in; the file moved to done/."));

    teller.say("\n4. Other offices deliver too: the kabupaten's and the province's own figures.");
    let others = deliver_others(world).await?;

    teller.say("\n5. Each node forwards to its parent what its link says, and the parent checks every row again.");
    let expected = landed["rows"]["accepted"].as_u64().unwrap_or(0);
    let owed = [
        ("penduduk-wilayah", expected + others["penduduk-wilayah"]),
        ("konektivitas-desa", others["konektivitas-desa"]),
        ("sekolah", others["sekolah"]),
        ("kejadian-112", pulled),
    ];
    let forwarded = wait_for_province(world, &owed).await?;
    teller.say(format!(
        "   The province holds {forwarded} rows: population, connectivity of villages, schools, emergency calls."
    ));

    teller.say("\n6. A statistician of BPS fetches the extract (Parquet).");
    let (extract, bytes, records) = fetch(world).await?;
    teller.say(format!("   {} ({bytes} bytes); /records gives the same {records} rows.", extract.display()));

    teller.say("\n7. Every node's audit log is exported and verified offline.");
    let entries = audit(world).await?;
    teller.say(format!(
        "   {} entries in three logs, all in their place.",
        entries.values().filter_map(Value::as_u64).sum::<u64>()
    ));

    Ok(json!({
        "refused": {"rows": refused["rows"], "errors": refused["errors"].as_array().map_or(0, Vec::len)},
        "delivered": {"rows": landed["rows"], "receipt_verified": verified.receipt.delivery == landed["delivery"]},
        "pulled": {"rows": pulled},
        "others": {"rows": others.values().sum::<u64>()},
        "forwarded": {"rows": forwarded},
        "extract": {"file": extract, "bytes": bytes, "records": records},
        "audit": {"entries": entries},
    }))
}

fn client(world: &World, name: &str) -> anyhow::Result<NodeClient> {
    let profile = Profile::load(&world.client(name)?.profile)?;
    connect_with(&profile, &profile.node)
}

fn indented(text: &str) -> String {
    text.lines().map(|line| format!("   {line}")).collect::<Vec<_>>().join("\n")
}

async fn deliver(client: &NodeClient, dataset: &str, file: &Path) -> Result<Value, ClientError> {
    let bytes = std::fs::read(file).map_err(ClientError::local)?;
    deliver_bytes(client, dataset, bytes).await
}

async fn deliver_bytes(client: &NodeClient, dataset: &str, bytes: Vec<u8>) -> Result<Value, ClientError> {
    let digest = Digest::of(&bytes);
    let request = client
        .post(&format!("/v1/datasets/{dataset}/deliveries"))
        .await?
        .header("content-type", "text/csv")
        .header("idempotency-key", format!("demo-{digest}"))
        .header("content-digest", digest.to_digest_field())
        .body(bytes);
    client.send(request).await
}

async fn deliver_refused(client: &NodeClient, dataset: &str, file: &Path) -> anyhow::Result<Value> {
    match deliver(client, dataset, file).await {
        Err(ClientError::Problem { status: 422, body, .. }) => Ok(*body),
        Err(error) => Err(error.into()),
        Ok(_) => anyhow::bail!("a file with mistakes was taken whole"),
    }
}

async fn pull(world: &World) -> anyhow::Result<u64> {
    let node = world.node("muara-badak")?;
    let admin = console(world, node)?;
    let connector = json!({
        "kind": "files",
        "dataset": "kejadian-112",
        "config": {"folder": world.drop_folder(), "quiet_seconds": 1},
    });
    admin.send(admin.request(Method::PUT, "/v1/admin/connectors/kotak-kiriman").await?.json(&connector)).await?;
    let sample = simpul_schemas::standard::contract("kejadian-112").and_then(|standard| standard.sample("contoh.csv"));
    std::fs::write(world.drop_folder().join("kejadian november.csv"), sample.context("no sample")?)?;
    let path = "/v1/admin/connectors/kotak-kiriman";
    let seen = admin.send(admin.request(Method::POST, &format!("{path}/test")).await?).await?;
    anyhow::ensure!(seen["ok"] == json!(true), "the drop folder cannot be seen: {seen}");
    // A file is taken when it has been still for a second: nobody is copying it any more.
    let deadline = tokio::time::Instant::now() + Duration::from_secs(20);
    loop {
        let run = admin.send(admin.request(Method::POST, &format!("{path}/run")).await?).await?;
        if run["outcome"] == json!("delivered") {
            break;
        }
        let waiting = run["outcome"] == json!("nothing") && tokio::time::Instant::now() < deadline;
        anyhow::ensure!(waiting, "the connector did not deliver: {run}");
        tokio::time::sleep(Duration::from_millis(200)).await;
    }
    rows(world, "muara-badak", "kejadian-112").await
}

/// How many rows a node's producer sees in a dataset.
async fn rows(world: &World, node: &str, dataset: &str) -> anyhow::Result<u64> {
    let tier = world.node(node)?.tier;
    let shown = client(world, &format!("{tier}-produsen"))?.get(&format!("/v1/datasets/{dataset}")).await?;
    Ok(shown["rows"].as_u64().unwrap_or(0))
}

/// The kabupaten and the province deliver real figures of their own; gives the rows of each dataset.
async fn deliver_others(world: &World) -> anyhow::Result<BTreeMap<&'static str, u64>> {
    let mut rows = BTreeMap::new();
    for (name, datasets) in [
        ("kabupaten-produsen", &["konektivitas-desa", "sekolah"][..]),
        ("provinsi-produsen", &["penduduk-wilayah"][..]),
    ] {
        let client = client(world, name)?;
        for dataset in datasets {
            let sample = simpul_schemas::standard::contract(dataset).and_then(|standard| standard.sample("contoh.csv"));
            let answer = deliver_bytes(&client, dataset, sample.context("no sample")?.to_vec()).await?;
            *rows.entry(*dataset).or_default() += answer["rows"]["accepted"].as_u64().unwrap_or(0);
        }
    }
    Ok(rows)
}

/// Waits until the province holds what the children owe it, at most a minute.
async fn wait_for_province(world: &World, expected: &[(&str, u64)]) -> anyhow::Result<u64> {
    let deadline = tokio::time::Instant::now() + Duration::from_secs(60);
    loop {
        let mut total = 0;
        let mut all = true;
        for (dataset, wanted) in expected {
            let have = rows(world, "kalimantan-timur", dataset).await?;
            all &= have == *wanted;
            total += have;
        }
        if all {
            return Ok(total);
        }
        anyhow::ensure!(
            tokio::time::Instant::now() < deadline,
            "the province does not hold what was forwarded ({total} rows)"
        );
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
}

async fn fetch(world: &World) -> anyhow::Result<(std::path::PathBuf, u64, u64)> {
    let statistician = client(world, "provinsi-statistik")?;
    let mut bytes = 0;
    for dataset in DATASETS {
        let request =
            statistician.request(Method::GET, &format!("/v1/datasets/{dataset}/extract?format=parquet")).await?;
        let content = statistician.open(request).await?.bytes().await?;
        bytes += content.len() as u64;
        std::fs::write(world.dir.join(format!("{dataset}.parquet")), content)?;
    }
    let path = "/v1/datasets/penduduk-wilayah/records?limit=1000";
    let records = statistician.get(path).await?["records"].as_array().map_or(0, Vec::len) as u64;
    Ok((world.dir.join("penduduk-wilayah.parquet"), bytes, records))
}

async fn audit(world: &World) -> anyhow::Result<serde_json::Map<String, Value>> {
    let mut entries = serde_json::Map::new();
    for node in &world.nodes {
        let admin = console(world, node)?;
        let content = admin.open(admin.request(Method::GET, "/v1/audit/export").await?).await?.bytes().await?;
        let verified = verify_export(
            BufReader::new(&content[..]),
            &VerifyOptions::default(),
            &simpul_store::audit_log::verify_ed25519,
        )
        .map_err(|bad| anyhow::anyhow!("the audit log of {} does not hold: {bad}", node.name))?;
        entries.insert(node.name.to_owned(), json!(verified.entries));
        std::fs::write(world.dir.join(format!("{}-audit.txt", node.name)), content)?;
    }
    Ok(entries)
}
