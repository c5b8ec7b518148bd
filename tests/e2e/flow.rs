//! The flow of a delivery: from a clerk's file to the province, with receipts, replays, conflicts, connectors.

use std::time::Duration;

use bytes::Bytes;
use futures::StreamExt as _;
use serde_json::{Value, json};
use simpul_tests::{Answer, Client, Demo, SOON, count, unique, wait_until};

use crate::support::{csv, dataset, descriptor, producer, reader, records, register, rows, sample, standard};

const CSV: &str = "text/csv";

/// The identity of a client that [`producer`] made.
fn identity(client: &Client) -> String {
    Demo::identity(&client.agency, "sistem").to_string()
}

/// A dataset under the population contract that one test has to itself, and its producer.
async fn population(demo: &Demo) -> (String, Client) {
    let name = unique("penduduk");
    register(demo, "kecamatan", &standard("penduduk-wilayah", &name)).await.expect(201);
    let producer = producer(demo, "kecamatan", &name).await;
    (name, producer)
}

#[tokio::test]
async fn a_file_with_mistakes_is_refused_by_row_column_value_rule_and_hint_and_nothing_lands() {
    let demo = Demo::shared();
    let (dataset, producer) = population(demo).await;
    let answer = producer.deliver(&dataset, sample("penduduk-wilayah", "contoh-kotor.csv"), CSV, &[]).await;
    answer.expect(422);
    assert_eq!(answer.header("content-type"), "application/problem+json");
    assert_eq!(answer.problem(), "rows_invalid");
    let body = answer.json();
    let errors = body["errors"].as_array().expect("errors");
    let found = |row: u64, field: &str, kind: &str, value: &str, hint: &str| {
        errors.iter().any(|error| {
            error["row"] == json!(row)
                && error["field"] == json!(field)
                && error["type"] == json!(kind)
                && error["value"] == json!(value)
                && error["hint"].as_str().is_some_and(|text| text.contains(hint))
        })
    };
    assert!(found(14, "jumlah", "type-error", "2,267", "Tulis 2.267"), "{errors:#?}");
    assert!(found(9, "kode_wilayah", "foreign-key", "64.02.05.2055", "64.02.05.2005"), "{errors:#?}");
    assert!(found(8, "luas_km2", "type-error", "24.65", "24,65"), "{errors:#?}");
    assert!(found(10, "jumlah", "constraint-error", "", "Isi nilainya"), "{errors:#?}");
    assert!(found(13, "kode_wilayah", "primary-key", "64.02.05.2008, 31/12/2024", "Hapus"), "{errors:#?}");
    assert!(body["report_text"].as_str().is_some_and(|text| text.contains("Wajib diisi")), "{body:#}");
    assert_eq!(records(&producer, &dataset, "").await, Vec::<Value>::new());
    let shown = producer.get(&format!("/v1/deliveries/{}", body["delivery"].as_str().expect("a delivery"))).await;
    assert_eq!(shown.wants(200).json()["state"], json!("refused"));
}

#[tokio::test]
async fn the_corrected_file_lands_and_its_receipt_is_verified_offline_and_holds_for_that_file_only() {
    let demo = Demo::shared();
    let (dataset, producer) = population(demo).await;
    let file = demo.dir.join(unique("berkas.csv"));
    std::fs::write(&file, sample("penduduk-wilayah", "contoh-bersih.csv")).expect("a file");
    let answer = producer.deliver(&dataset, std::fs::read(&file).expect("the file"), CSV, &[]).await.wants(201);
    let body = answer.json();
    let landed = records(&producer, &dataset, "").await;
    assert_eq!(body["rows"], json!({"total": landed.len(), "accepted": landed.len(), "refused": 0}));
    assert!(landed.len() > 10);
    let receipt = demo.dir.join(unique("tanda-terima"));
    std::fs::write(&receipt, &answer.body).expect("a file");
    let verify = |receipt: &std::path::Path, data: &std::path::Path| {
        let (receipt, data) = (receipt.display().to_string(), data.display().to_string());
        async move {
            let ca = demo.ready.ca.display().to_string();
            demo.simpul(["receipt", "verify", &receipt, "--ca", &ca, "--data", &data, "--json"]).await
        }
    };
    let good = verify(&receipt, &file).await;
    assert_eq!(good.code, 0, "{good:?}");
    let told: Value = serde_json::from_str(good.stdout.trim()).expect("JSON");
    assert_eq!((&told["valid"], &told["pinned"]), (&json!(true), &json!(true)));
    assert_eq!(told["receipt"]["delivery"], body["delivery"]);
    assert_eq!(told["receipt"]["table_version"], body["table_version"]);
    let index = told["receipt"]["audit_index"].as_u64().expect("the index of an audit entry");
    let entries = demo.audit_entries("kecamatan", &format!("action=delivery.land&actor={}", identity(&producer))).await;
    assert!(entries.iter().any(|entry| entry["seq"].as_u64() == Some(index)), "{entries:?} lacks {index}");

    let other = demo.dir.join(unique("lain.csv"));
    std::fs::write(&other, sample("penduduk-wilayah", "contoh-kotor.csv")).expect("a file");
    assert_ne!(verify(&receipt, &other).await.code, 0, "a receipt holds for another file");
    let jws = body["receipt"].as_str().expect("a receipt");
    let at = jws.find('.').expect("a dot") + 10;
    let swapped = if jws.as_bytes()[at] == b'A' { "B" } else { "A" };
    std::fs::write(&receipt, format!("{}{swapped}{}", &jws[..at], &jws[at + 1..])).expect("a file");
    assert_ne!(verify(&receipt, &file).await.code, 0, "a changed receipt holds");
}

#[tokio::test]
async fn the_same_delivery_again_gets_the_same_bytes_and_has_one_effect() {
    let demo = Demo::shared();
    let dataset = dataset(demo, "kecamatan", "tambah", "tolak").await;
    let producer = producer(demo, "kecamatan", &dataset).await;
    let key = unique("kunci");
    let headers = [("idempotency-key", key.as_str())];
    let first = producer.deliver(&dataset, rows("a", 5), CSV, &headers).await.wants(201);
    assert_eq!(first.header("idempotency-replayed"), "");
    for _ in 0..3 {
        let again = producer.deliver(&dataset, rows("a", 5), CSV, &headers).await.wants(201);
        assert_eq!(again.header("idempotency-replayed"), "true");
        assert_eq!(again.text(), first.text());
    }
    assert_eq!(records(&producer, &dataset, "").await.len(), 5);
    let landed = demo.audit_entries("kecamatan", &format!("action=delivery.land&actor={}", identity(&producer))).await;
    assert_eq!(landed.len(), 1, "{landed:#?}");
    let other = producer.deliver(&dataset, rows("b", 5), CSV, &headers).await.wants(422);
    assert_eq!(other.problem(), "idempotency_key_reused");
    assert_eq!(records(&producer, &dataset, "").await.len(), 5);
}

#[tokio::test]
async fn a_refused_delivery_again_gets_the_same_bytes() {
    let demo = Demo::shared();
    let dataset = dataset(demo, "kecamatan", "tambah", "tolak").await;
    let producer = producer(demo, "kecamatan", &dataset).await;
    let key = unique("kunci");
    let headers = [("idempotency-key", key.as_str())];
    let bad = "kode,nama,nilai,tahun\na,b,bukan angka,2025\n";
    let first = producer.deliver(&dataset, bad, CSV, &headers).await.wants(422);
    let again = producer.deliver(&dataset, bad, CSV, &headers).await.wants(422);
    assert_eq!(again.header("idempotency-replayed"), "true");
    let (mut first, mut again) = (first.json(), again.json());
    // The number of the request is the only thing that is new.
    assert_ne!(first["request"].take(), again["request"].take());
    assert_eq!(first, again);
}

/// The events of `prefix` that `reader` sees, with the given number of rows on a page.
async fn events(reader: &Client, prefix: &str) -> Vec<Value> {
    records(reader, "kejadian-112", &format!("id_kejadian=like.{prefix}*&select=id_kejadian,uraian")).await
}

/// A file of emergency calls with these numbers.
fn calls(numbers: &[String]) -> String {
    let lines = numbers.iter().map(|number| {
        format!("{number},banjir,BPBD,64.02.05,\"117.1, -0.4\",2025-01-20T07:25:00+08:00,,diterima,Warga,0812-0000-0001,uji\n")
    });
    let header = "id_kejadian,jenis_kejadian,opd_tujuan,kode_kecamatan,lokasi,waktu_terima,waktu_selesai,status,pelapor_nama,pelapor_telepon,uraian\n";
    std::iter::once(header.to_owned()).chain(lines).collect()
}

#[tokio::test]
async fn what_lands_at_the_kecamatan_reaches_the_province_exactly_once() {
    let demo = Demo::shared();
    let producer = producer(demo, "kecamatan", "kejadian-112").await;
    let (at_kabupaten, _) = reader(demo, "kabupaten", "kejadian-112", json!({})).await;
    let (at_province, _) = reader(demo, "provinsi", "kejadian-112", json!({})).await;
    let prefix = format!("UJI{}", std::process::id());
    let wave = |wave: usize| (0..20).map(|row| format!("{prefix}-{wave}-{row:03}")).collect::<Vec<_>>();
    let waves = count("SIMPUL_TEST_WAVES", 3);
    for number in 0..waves {
        let key = unique("kunci");
        let headers = [("idempotency-key", key.as_str())];
        let _ = producer.deliver("kejadian-112", calls(&wave(number)), CSV, &headers).await.wants(201);
        let replayed = producer.deliver("kejadian-112", calls(&wave(number)), CSV, &headers).await.wants(201);
        assert_eq!(replayed.header("idempotency-replayed"), "true");
    }
    let mut wanted: Vec<String> = (0..waves).flat_map(wave).collect();
    wanted.sort();
    for reader in [&at_kabupaten, &at_province] {
        wait_until("the parent holds what was forwarded", SOON, async || {
            (events(reader, &prefix).await.len() >= wanted.len()).then_some(())
        })
        .await;
        let seen = events(reader, &prefix).await;
        let mut numbers: Vec<&str> = seen.iter().filter_map(|row| row["id_kejadian"].as_str()).collect();
        numbers.sort_unstable();
        assert_eq!(numbers, wanted.iter().map(String::as_str).collect::<Vec<_>>(), "{}", reader.node.name);
    }
    // The queue is empty: nothing more is on its way that could make them twice.
    for node in ["kecamatan", "kabupaten"] {
        let admin = demo.admin(node);
        wait_until("the link owes nothing", SOON, async || {
            let link = admin.patient_get("/v1/admin/link").await.wants(200).json();
            (link["link"]["queued"] == json!(0)).then_some(())
        })
        .await;
    }
    assert_eq!(events(&at_province, &prefix).await.len(), wanted.len());
}

#[tokio::test]
async fn of_two_replacing_deliveries_of_one_period_at_once_one_lands_and_one_is_told_of_the_conflict() {
    let demo = Demo::shared();
    let dataset = dataset(demo, "kabupaten", "ganti", "tolak").await;
    let producer = producer(demo, "kabupaten", &dataset).await;
    let admin = demo.admin("kabupaten");
    let token = producer.token().await;
    let begin = |body: String| {
        let (sender, receiver) = futures::channel::mpsc::unbounded::<Result<Bytes, std::io::Error>>();
        sender.unbounded_send(Ok(body.into())).expect("an open channel");
        let request = producer
            .bare(reqwest::Method::POST, &format!("/v1/datasets/{dataset}/deliveries"))
            .bearer_auth(&token)
            .header("content-type", CSV)
            .header("idempotency-key", unique("kunci"))
            .body(reqwest::Body::wrap_stream(receiver.boxed()));
        (sender, tokio::spawn(async move { Answer::read(request.send().await?).await }))
    };
    let (first, one) = begin(csv([("a".to_owned(), "satu".to_owned(), 1, 2025)]));
    let (second, two) = begin(csv([("a".to_owned(), "dua".to_owned(), 2, 2025)]));
    wait_until("both are being received", SOON, async || {
        let journal = admin.patient_get(&format!("/v1/admin/deliveries?dataset={dataset}&state=receiving")).await;
        (journal.wants(200).json()["deliveries"].as_array().expect("deliveries").len() == 2).then_some(())
    })
    .await;
    drop((first, second));
    let answers = [one.await.expect("a task").expect("an answer"), two.await.expect("a task").expect("an answer")];
    let mut statuses = answers.each_ref().map(|answer| answer.status);
    statuses.sort_unstable();
    assert_eq!(statuses, [201, 409], "{answers:?}");
    let (landed, refused) =
        if answers[0].status == 201 { (&answers[0], &answers[1]) } else { (&answers[1], &answers[0]) };
    assert_eq!(refused.problem(), "period_conflict");
    let wanted = if landed.body == answers[0].body { "satu" } else { "dua" };
    let seen = records(&producer, &dataset, "").await;
    assert_eq!(seen.len(), 1);
    assert_eq!(seen[0]["nama"], json!(wanted));
}

#[tokio::test]
async fn a_replacing_delivery_replaces_its_own_period_and_leaves_the_others_and_those_of_other_origins() {
    let demo = Demo::shared();
    let dataset = dataset(demo, "kabupaten", "ganti", "tolak").await;
    let one = producer(demo, "kabupaten", &dataset).await;
    let other = producer(demo, "kabupaten", &dataset).await;
    let row = |code: &str, value, year| (code.to_owned(), "x".to_owned(), value, year);
    let _ = one.deliver(&dataset, csv([row("a", 1, 2024), row("b", 2, 2025)]), CSV, &[]).await.wants(201);
    let _ = other.deliver(&dataset, csv([row("c", 3, 2025)]), CSV, &[]).await.wants(201);
    let _ = one.deliver(&dataset, csv([row("b", 4, 2025), row("d", 5, 2025)]), CSV, &[]).await.wants(201);
    let mut values: Vec<i64> =
        records(&one, &dataset, "").await.iter().filter_map(|record| record["nilai"].as_i64()).collect();
    values.sort_unstable();
    assert_eq!(values, [1, 3, 4, 5]);
}

#[tokio::test]
async fn an_appending_dataset_keeps_what_was_there() {
    let demo = Demo::shared();
    let dataset = dataset(demo, "kabupaten", "tambah", "tolak").await;
    let producer = producer(demo, "kabupaten", &dataset).await;
    let first = producer.deliver(&dataset, rows("a", 4), CSV, &[]).await.wants(201).json();
    let second = producer.deliver(&dataset, rows("b", 3), CSV, &[]).await.wants(201).json();
    assert_eq!(second["mode"], json!("append"));
    assert!(second["table_version"].as_u64() > first["table_version"].as_u64());
    assert_eq!(records(&producer, &dataset, "").await.len(), 7);
    assert_eq!(records(&producer, &dataset, &format!("version={}", first["table_version"])).await.len(), 4);
}

#[tokio::test]
async fn under_the_quarantine_policy_good_rows_land_and_bad_ones_are_reported() {
    let demo = Demo::shared();
    let name = unique("kejadian");
    register(demo, "kabupaten", &standard("kejadian-112", &name)).await.expect(201);
    let producer = producer(demo, "kabupaten", &name).await;
    let mut file = calls(&["BAIK-001".to_owned(), "BAIK-002".to_owned()]);
    file.push_str("BURUK-01,banjir,BPBD,99.99.99,\"117.1, -0.4\",2025-01-20T07:25:00+08:00,,diterima,,,\n");
    let body = producer.deliver(&name, file, CSV, &[]).await.wants(201).json();
    assert_eq!(body["rows"], json!({"total": 3, "accepted": 2, "refused": 1}));
    let errors = body["report"]["errors"].as_array().expect("errors");
    assert!(
        errors.iter().any(|error| error["row"] == json!(4) && error["field"] == json!("kode_kecamatan")),
        "{errors:#?}"
    );
    let seen = records(&producer, &name, "select=id_kejadian").await;
    assert_eq!(seen, [json!({"id_kejadian": "BAIK-001"}), json!({"id_kejadian": "BAIK-002"})]);
}

#[tokio::test]
async fn a_dry_run_reports_and_has_no_effect() {
    let demo = Demo::shared();
    let dataset = dataset(demo, "kabupaten", "tambah", "tolak").await;
    let producer = producer(demo, "kabupaten", &dataset).await;
    let dry = async |body: String| {
        let path = format!("/v1/datasets/{dataset}/deliveries?dry_run=true");
        let request = producer.request(reqwest::Method::POST, &path).await.header("content-type", CSV).body(body);
        producer.send(request).await
    };
    let good = dry(rows("a", 3)).await.wants(200).json();
    assert_eq!((&good["state"], &good["rows"]["accepted"]), (&json!("dry_run"), &json!(3)));
    assert_eq!(good["receipt"], Value::Null);
    let bad = dry("kode,nama,nilai,tahun\na,b,x,2025\n".to_owned()).await;
    let report = bad.json();
    assert_eq!(report["report"]["errors"][0]["field"], json!("nilai"), "{}: {report:#}", bad.status);
    assert_eq!(records(&producer, &dataset, "").await, Vec::<Value>::new());
    let journal = demo.admin("kabupaten").patient_get(&format!("/v1/admin/deliveries?dataset={dataset}")).await;
    assert_eq!(journal.wants(200).json()["deliveries"], json!([]));
}

#[tokio::test]
async fn a_connector_takes_the_files_of_a_folder_and_puts_the_bad_ones_aside_with_the_reason() {
    let demo = Demo::shared();
    let dataset = dataset(demo, "kabupaten", "tambah", "tolak").await;
    let (reader, _) = reader(demo, "kabupaten", &dataset, json!({})).await;
    let admin = demo.admin("kabupaten");
    let folder = demo.dir.join(unique("masuk"));
    std::fs::create_dir(&folder).expect("a folder");
    let path = format!("/v1/admin/connectors/{}", unique("kotak"));
    let config = json!({"kind": "files", "dataset": dataset, "config": {"folder": folder, "quiet_seconds": 1}});
    admin.put(&path, &config).await.expect(200);
    std::fs::write(folder.join("baik.csv"), rows("a", 6)).expect("a file");
    std::fs::write(folder.join("buruk.csv"), "kode,nama,nilai,tahun\na,b,x,2025\n").expect("a file");
    let seen = admin.post(&format!("{path}/test"), &json!({})).await.wants(200).json();
    assert_eq!(seen["ok"], json!(true), "{seen}");
    wait_until("both files are settled", SOON, async || {
        admin.post(&format!("{path}/run"), &json!({})).await.expect(200);
        (folder.join("done/baik.csv").exists() && folder.join("refused/buruk.csv").exists()).then_some(())
    })
    .await;
    assert_eq!(records(&reader, &dataset, "").await.len(), 6);
    let reason = std::fs::read_to_string(folder.join("refused/buruk.csv.laporan.txt")).expect("the reason");
    assert!(reason.contains("bilangan bulat"), "{reason}");
    let again = admin.post(&format!("{path}/run"), &json!({})).await.wants(200).json();
    assert_eq!(again["outcome"], json!("nothing"), "{again}");
    assert_eq!(records(&reader, &dataset, "").await.len(), 6);

    let missing = json!({"kind": "files", "dataset": dataset, "config": {"folder": folder.join("tidak-ada")}});
    let absent = format!("/v1/admin/connectors/{}", unique("kotak"));
    admin.put(&absent, &missing).await.expect(200);
    let seen = admin.post(&format!("{absent}/test"), &json!({})).await.wants(200).json();
    assert_eq!(seen["ok"], json!(false), "{seen}");
}

#[tokio::test]
async fn a_file_that_returns_to_an_earlier_content_replaces_the_period_again() {
    let demo = Demo::shared();
    let dataset = dataset(demo, "kabupaten", "ganti", "tolak").await;
    let (reader, _) = reader(demo, "kabupaten", &dataset, json!({})).await;
    let admin = demo.admin("kabupaten");
    let folder = demo.dir.join(unique("masuk"));
    std::fs::create_dir(&folder).expect("a folder");
    let path = format!("/v1/admin/connectors/{}", unique("kotak"));
    let config = json!({"kind": "files", "dataset": dataset, "config": {"folder": folder, "quiet_seconds": 1}});
    admin.put(&path, &config).await.expect(200);
    let file = folder.join("data.csv");
    for (round, prefix) in ["a", "b", "a", "b", "b", "a"].into_iter().enumerate() {
        std::fs::write(&file, rows(prefix, 3)).expect("a file");
        wait_until("the file is settled", SOON, async || {
            admin.post(&format!("{path}/run"), &json!({})).await.expect(200);
            (!file.exists()).then_some(())
        })
        .await;
        let seen = records(&reader, &dataset, "select=kode").await;
        let codes: Vec<_> = seen.iter().filter_map(|record| record["kode"].as_str()).collect();
        assert_eq!(codes.len(), 3, "round {round}: {codes:?}");
        assert!(codes.iter().all(|code| code.starts_with(prefix)), "round {round}, {prefix}: {codes:?}");
    }
    let journal = admin.get(&format!("/v1/admin/deliveries?dataset={dataset}")).await.wants(200).json();
    let landed = journal["deliveries"].as_array().expect("deliveries").len();
    assert_eq!(landed, 5, "the same content twice in a row is one delivery: {journal:#}");
}

#[tokio::test]
async fn a_disabled_client_is_out_with_its_next_request() {
    let demo = Demo::shared();
    let dataset = dataset(demo, "kabupaten", "tambah", "tolak").await;
    let producer = producer(demo, "kabupaten", &dataset).await;
    producer.get("/v1/datasets").await.expect(200);
    let path = format!("/v1/admin/clients/{}/sistem", producer.agency);
    demo.admin("kabupaten").put(&path, &json!({"roles": ["producer"], "enabled": false})).await.expect(200);
    let refused = producer.get("/v1/datasets").await.wants(401);
    assert_eq!(refused.problem(), "invalid_token");
    let answer = producer
        .send(producer.bare(reqwest::Method::POST, "/v1/token").form(&[("grant_type", "client_credentials")]))
        .await;
    assert_eq!(answer.wants(401).problem(), "invalid_client");
}

#[tokio::test]
async fn revoking_a_certificate_takes_effect_within_5_s_on_an_open_connection() {
    let demo = Demo::shared();
    let dataset = dataset(demo, "kabupaten", "tambah", "tolak").await;
    let producer = producer(demo, "kabupaten", &dataset).await;
    producer.get("/v1/datasets").await.expect(200);
    let ca = demo.ready.ca_dir.display().to_string();
    let revoked = demo.with_ca(|_| {
        let args = ["ca", "revoke", &ca, "--agency", &producer.agency, "--client", "sistem"].map(str::to_owned);
        std::thread::scope(|scope| {
            let run = || tokio::runtime::Runtime::new().expect("a runtime").block_on(demo.simpul(args));
            scope.spawn(run).join().expect("a thread")
        })
    });
    assert_eq!(revoked.code, 0, "{revoked:?}");
    let refused = wait_until("the revoked client is refused", Duration::from_secs(5), async || {
        // The connection is one and the same until the node closes it; a new one ends in the handshake.
        let answer = producer.request(reqwest::Method::GET, "/v1/datasets").await.send().await.ok()?;
        let answer = Answer::read(answer).await.ok()?;
        (answer.status != 200).then_some(answer)
    })
    .await;
    assert_eq!((refused.status, refused.problem().as_str()), (401, "certificate_revoked"));
}

#[tokio::test]
async fn ending_an_agreement_takes_effect_with_the_next_request() {
    let demo = Demo::shared();
    let dataset = dataset(demo, "kabupaten", "tambah", "tolak").await;
    let (reader, agreement) = reader(demo, "kabupaten", &dataset, json!({})).await;
    let path = format!("/v1/datasets/{dataset}/records");
    assert_eq!(reader.get(&path).await.wants(200).json()["records"], json!([]), "nobody has delivered yet");
    demo.admin("kabupaten").delete(&format!("/v1/admin/agreements/{agreement}")).await.expect(200);
    let refused = reader.get(&path).await.wants(403);
    assert_eq!(refused.problem(), "no_agreement");
    let entries = demo.audit_entries("kabupaten", "action=records.read&outcome=refused").await;
    let entry = entries.iter().find(|entry| entry["object"] == json!(dataset)).expect("an audit entry");
    assert_eq!(entry["reason"], json!("agreement_ended"));
}

#[tokio::test]
async fn an_incompatible_version_of_a_contract_is_refused_and_a_compatible_one_taken() {
    let demo = Demo::shared();
    let name = dataset(demo, "kabupaten", "tambah", "tolak").await;
    let producer = producer(demo, "kabupaten", &name).await;
    let mut next = descriptor(&name, "tambah", "tolak");
    next["version"] = json!("2.0.0");
    let field = &mut next["resources"][0]["schema"]["fields"][2];
    field["type"] = json!("date");
    field.as_object_mut().expect("a field").remove("constraints");
    let refused = register(demo, "kabupaten", &next).await.wants(409);
    assert_eq!(refused.problem(), "schema_incompatible");
    assert_eq!(refused.json()["compatibility"]["compatible"], json!(false));
    let mut changed = descriptor(&name, "tambah", "tolak");
    changed["title"] = json!("Lain");
    assert_eq!(register(demo, "kabupaten", &changed).await.wants(409).problem(), "version_conflict");
    let mut wider = descriptor(&name, "tambah", "tolak");
    wider["version"] = json!("1.1.0");
    wider["resources"][0]["schema"]["fields"][2]["constraints"]["minimum"] = json!(-1000);
    wider["version"] = json!("1.0.1");
    let low = register(demo, "kabupaten", &wider).await.wants(422).json();
    assert_eq!(low["suggestedVersion"], json!("1.1.0"), "{low}");
    wider["version"] = json!("1.1.0");
    register(demo, "kabupaten", &wider).await.expect(201);
    let _ = producer.deliver(&name, csv([("a".to_owned(), "b".to_owned(), -500, 2025)]), CSV, &[]).await.wants(201);
    let registered = demo.admin("kabupaten").patient_get("/v1/admin/contracts").await.wants(200).json();
    let own: Vec<&Value> = registered["contracts"]
        .as_array()
        .into_iter()
        .flatten()
        .filter(|contract| contract["name"] == json!(name))
        .map(|contract| &contract["version"])
        .collect();
    // The newest of each.
    assert_eq!(own, [&json!("1.1.0")], "{registered}");
}

#[tokio::test]
async fn a_file_in_windows_1252_lands_as_text_once_its_sender_says_so_and_never_silently() {
    let demo = Demo::shared();
    let strict = dataset(demo, "kabupaten", "tambah", "tolak").await;
    let producer = producer(demo, "kabupaten", &strict).await;
    let file = b"kode,nama,nilai,tahun\nA1,Kampung Caf\xe9 \x96 Peta,1,2025\n";
    let refused = producer.deliver(&strict, file, CSV, &[]).await.wants(422).json();
    assert!(refused.to_string().contains("--encoding windows-1252"), "{refused}");
    let unknown = producer.deliver(&strict, file, "text/csv; charset=klingon", &[]).await.wants(415);
    assert!(unknown.text().contains("windows-1252"), "{}", unknown.text());
    let told = producer.deliver(&strict, file, "text/csv; charset=\"Windows-1252\"", &[]).await.wants(201);
    assert_eq!(told.json()["rows"]["accepted"], json!(1));
    let kept = records(&producer, &strict, "").await;
    assert_eq!(kept[0]["nama"], json!("Kampung Café – Peta"));
    // UTF-8 is not taken for anything else because its sender says otherwise about another file.
    let wrong = producer.deliver(&strict, file, "text/csv; charset=utf-8", &[]).await.wants(422);
    assert!(wrong.text().contains("UTF-8"), "{}", wrong.text());
}
