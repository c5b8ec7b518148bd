//! Code lists: registered and never changed, passed from a parent to its child, and named by what was checked against them.

use std::time::{Duration, Instant};

use anyhow::ensure;
use base64::Engine as _;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;
use serde_json::{Value, json};
use simpul_tests::{Answer, Demo, unique};

use super::lone::{self, Folder, Lone, Setup};
use crate::support::{code_list, descriptor, producer, register, with_list};

const NODE: &str = "kabupaten";

async fn register_list(demo: &Demo, node: &str, list: &Value) -> Answer {
    demo.admin(node).post("/v1/admin/code-lists", list).await
}

/// What `simpul` prints for the administrator of `node`.
async fn command(demo: &Demo, node: &str, arguments: &[&str]) -> (i32, String, String) {
    let profile = demo.admin(node).profile;
    let profile = profile.to_str().expect("a path in UTF-8");
    let output = demo.simpul(arguments.iter().copied().chain(["--profile", profile])).await;
    (output.code, output.stdout, output.stderr)
}

/// A folder with a list of fruit as an administrator writes it, and its name.
fn folder(demo: &Demo, version: &str, rows: &str) -> (std::path::PathBuf, String) {
    let name = unique("buah");
    let folder = demo.dir.join(&name);
    std::fs::create_dir(&folder).expect("a folder");
    let mut list = code_list(&name, version, "");
    list["resources"] = json!([{"name": "kode", "path": "kode.csv"}, {"name": "pengganti", "path": "pengganti.csv"}]);
    list["satudata"]["kodeReferensi"]["pengganti"] =
        json!({"sumberdaya": "pengganti", "lama": "lama", "baru": "baru", "sejak": "sejak"});
    std::fs::write(folder.join("datapackage.json"), list.to_string()).expect("space");
    std::fs::write(folder.join("kode.csv"), format!("kode,nama\r\n{rows}")).expect("space");
    std::fs::write(folder.join("pengganti.csv"), "lama,baru,sejak\nz9,a1,2024-05\nz8,a1,\nz8,a2,\n").expect("space");
    (folder, name)
}

/// The payload of a receipt.
fn receipt(jws: &Value) -> Value {
    let payload = jws.as_str().and_then(|text| text.split('.').nth(1)).expect("a compact JWS");
    serde_json::from_slice(&BASE64_URL_SAFE_NO_PAD.decode(payload).expect("base64url")).expect("JSON")
}

#[tokio::test]
async fn an_edition_is_registered_once_and_what_was_checked_against_it_names_it() {
    let demo = Demo::shared();
    let (folder, list) = folder(demo, "1", "a1,Apel\r\na2,Belimbing\r\n");
    let file = folder.join("datapackage.json");
    let file = file.to_str().expect("UTF-8");
    let (code, out, err) = command(demo, NODE, &["codelist", "register", file, "--dry-run"]).await;
    assert!(code == 0 && out.contains("2 kode berlaku") && out.contains("Dapat didaftarkan"), "{out}{err}");
    let name = unique("uji");
    let contract = with_list(descriptor(&name, "tambah", "tolak"), &list, "1");
    // A dry run registers nothing, so the contract has no list yet.
    let refused = register(demo, "provinsi", &contract).await.wants(422);
    assert_eq!(refused.problem(), "no_code_list");
    let detail = refused.json()["detail"].as_str().unwrap_or_default().to_owned();
    assert!(detail.contains(&format!("{list}@1")) && detail.contains("simpul codelist register"), "{detail}");

    let (code, out, err) = command(demo, NODE, &["codelist", "register", file]).await;
    assert!(code == 0 && out.contains("Terdaftar"), "{out}{err}");
    let (code, out, _) = command(demo, NODE, &["codelist", "register", file, "--english"]).await;
    assert!(code == 0 && out.contains("registered already"), "{out}");
    let (_, out, _) = command(demo, NODE, &["codelist", "show", &format!("{list}@1"), "--json"]).await;
    let shown: Value = serde_json::from_str(&out).expect("JSON");
    assert_eq!(shown["resources"][0]["data"], "kode,nama\na1,Apel\na2,Belimbing\n");
    std::fs::write(folder.join("kode.csv"), "kode,nama\na1,Apel\na2,Blimbing\n").expect("space");
    let (code, _, err) = command(demo, NODE, &["codelist", "register", file]).await;
    assert!(code == 1 && err.contains("Versi ini sudah terdaftar dengan isi lain"), "{err}");
    std::fs::write(folder.join("kode.csv"), "kode,nama\na1,Apel\na1,Belimbing\n").expect("space");
    let (code, _, err) = command(demo, NODE, &["codelist", "register", file]).await;
    assert!(code == 2 && err.contains("kode.csv, baris 3") && err.contains("«a1»"), "{err}");

    register(demo, NODE, &contract).await.expect(201);
    let sender = producer(demo, NODE, &name).await;
    let landed = sender.deliver(&name, "kode,nama,nilai,tahun\na1,x,1,2025\n", "text/csv", &[]).await.wants(201).json();
    let index = demo.admin(NODE).get("/v1/admin/code-lists").await.json();
    let known = index["code_lists"].as_array().expect("lists").iter().find(|known| known["id"] == json!(list));
    let edition = json!([{"id": list, "version": "1", "digest": known.expect("the list")["digest"]}]);
    assert_eq!((&landed["codeLists"], &landed["report"]["codeLists"]), (&edition, &edition));
    assert_eq!(receipt(&landed["receipt"])["codeLists"], edition);
    let delivery = landed["delivery"].as_str().expect("a delivery");
    assert_eq!(sender.get(&format!("/v1/deliveries/{delivery}")).await.json()["codeLists"], edition);
    let profile = sender.profile.to_str().expect("UTF-8");
    let report = demo.simpul(["report", delivery, "--profile", profile]).await;
    assert!(report.stdout.contains(&format!("kode referensi: {list} 1 (")), "{}", report.stdout);
    let entries = demo.audit_entries(NODE, "action=delivery.land").await;
    let entry = entries.iter().find(|entry| entry["details"]["delivery"] == json!(delivery)).expect("an entry");
    let digest = edition[0]["digest"].as_str().expect("a digest");
    assert_eq!(entry["details"]["code_lists"], json!(format!("{list}@1 sha256:{digest}")));

    // A code that was replaced is refused with its successors, in both languages.
    for (bad, id, en) in [
        ("z9", "tidak berlaku lagi sejak 05/2024", "has not been valid since 2024-05"),
        ("z8", "a1 – Apel atau a2 – Belimbing", "a1 – Apel or a2 – Belimbing"),
    ] {
        for (language, part) in [("id", id), ("en", en)] {
            let body = format!("kode,nama,nilai,tahun\n{bad},x,1,2025\n");
            let refused = sender.deliver(&name, body, "text/csv", &[("accept-language", language)]).await.wants(422);
            assert!(refused.text().contains(part), "{part}: {}", refused.text());
            assert_eq!(receipt(&refused.json()["receipt"])["codeLists"], edition);
        }
    }
}

#[tokio::test]
async fn what_is_no_code_list_or_too_large_is_refused_and_the_shipped_one_cannot_be_replaced() {
    let demo = Demo::shared();
    let broken = code_list(&unique("buah"), "1", "a,A\nb\n");
    let refused = register_list(demo, NODE, &broken).await.wants(422);
    let detail = refused.json()["detail"].as_str().unwrap_or_default().to_owned();
    assert!(refused.problem() == "invalid" && detail.contains("Berkas kode, baris 3"), "{detail}");
    let replaced = register_list(demo, NODE, &code_list("wilayah", "2025-1", "64,Kalimantan Timur\n")).await;
    assert_eq!((replaced.status, replaced.problem().as_str()), (409, "version_conflict"));
    let large = code_list(&unique("buah"), "1", &"x".repeat(33 << 20));
    let admin = demo.admin(NODE);
    let request = admin.request(reqwest::Method::POST, "/v1/admin/code-lists").await.json(&large);
    // The node closes while the rest is still being sent, so the answer may be lost; what counts is that it ends.
    if let Ok(response) = request.send().await {
        assert_eq!(response.status(), 413);
    }
}

#[tokio::test]
async fn another_edition_is_judged_by_its_codes_at_the_node_and_on_the_command_line() {
    let demo = Demo::shared();
    let list = unique("buah");
    for (version, rows) in [("1", "a,A\nb,B\n"), ("2", "a,A\nb,B\nc,C\n"), ("3", "b,B\n")] {
        register_list(demo, NODE, &code_list(&list, version, rows)).await.expect(201);
    }
    let name = unique("uji");
    let contract = |version: &str, list_version: &str| {
        let mut contract = with_list(descriptor(&name, "tambah", "tolak"), &list, list_version);
        contract["version"] = json!(version);
        contract
    };
    register(demo, NODE, &contract("1.0.0", "1")).await.expect(201);
    let grown = register(demo, NODE, &contract("1.1.0", "2")).await.wants(201).json();
    assert_eq!(grown["compatibility"]["backward"], true);
    let refused = register(demo, NODE, &contract("1.2.0", "3")).await.wants(409);
    assert!(refused.text().contains("REF_VERSION"), "{}", refused.text());

    let write = |file: &str, value: &Value| {
        let path = demo.dir.join(format!("{name}-{file}"));
        std::fs::write(&path, value.to_string()).expect("space");
        path.to_str().expect("UTF-8").to_owned()
    };
    let (old, new) = (write("lama.json", &contract("1.0.0", "1")), write("baru.json", &contract("1.1.0", "2")));
    // Without the lists nobody knows that no code was removed.
    assert_eq!(demo.simpul(["contract", "check", &old, &new]).await.code, 1);
    let (code, out, err) = command(demo, NODE, &["contract", "check", &old, &new]).await;
    assert_eq!(code, 0, "{out}{err}");
    let lists = [
        write("1.json", &code_list(&list, "1", "a,A\nb,B\n")),
        write("2.json", &code_list(&list, "2", "a,A\nb,B\nc,C\n")),
    ];
    let given = demo.simpul(["contract", "check", &old, &new, "--list", &lists[0], "--list", &lists[1]]).await;
    assert_eq!(given.code, 0, "{}", given.stderr);
    let compared = demo.simpul(["codelist", "check", &lists[0], "--previous", &lists[1], "--english"]).await;
    assert!(
        compared.stdout.contains("since 2: 0 codes are new, 1 are gone, 1 of them without a successor: c"),
        "{}",
        compared.stdout
    );
    let data = write("data.csv", &json!(0));
    std::fs::write(&data, "kode,nama,nilai,tahun\na,x,1,2025\n").expect("space");
    assert_eq!(demo.simpul(["validate", &old, &data]).await.code, 1);
    let checked = demo.simpul(["validate", &old, &data, "--list", &lists[0], "--json"]).await;
    let told: Value = serde_json::from_str(&checked.stdout).expect("JSON");
    assert!(checked.code == 0 && told["codeLists"][0]["version"] == "1", "{told}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_child_fetches_what_its_contracts_need_and_keeps_it_over_a_kill() {
    let demo = Demo::own();
    let (child, parent) = ("kecamatan", "kabupaten");
    let list = unique("buah");
    let name = unique("uji");
    let contract = with_list(descriptor(&name, "tambah", "tolak"), &list, "1");
    // Neither has it: the child says so, and what to do.
    let refused = register(&demo, child, &contract).await.wants(422);
    let detail = refused.json()["detail"].as_str().unwrap_or_default().to_owned();
    assert!(detail.contains("induk juga tidak memilikinya") && detail.contains("codelist register"), "{detail}");

    register_list(&demo, parent, &code_list(&list, "1", "a,A\n")).await.expect(201);
    let admin = demo.admin(child);
    let request = admin.request(reqwest::Method::POST, "/v1/admin/contracts?dry_run=true").await.json(&contract);
    admin.send(request).await.expect(200);
    let editions = |index: Value| -> Vec<Value> {
        let all = index["code_lists"].as_array().cloned().unwrap_or_default();
        all.into_iter().filter(|known| known["id"] == json!(list)).collect()
    };
    let here = async || editions(demo.admin(child).patient_get("/v1/admin/code-lists").await.json());
    assert!(here().await.is_empty(), "a dry run kept a list");
    register(&demo, child, &contract).await.expect(201);
    let fetched = here().await;
    let offered = editions(demo.admin(parent).get("/v1/admin/code-lists").await.json());
    assert_eq!((fetched.len(), &fetched[0]["digest"]), (1, &offered[0]["digest"]));
    let entries = demo.audit_entries(child, "action=link.code_list").await;
    assert_eq!(entries[0]["object"], json!(format!("{list}@1")));
    assert_eq!(entries[0]["details"]["digest"], offered[0]["digest"]);

    // A newer edition comes by itself, here by command; one that says something else than the child's does not.
    register_list(&demo, parent, &code_list(&list, "2", "a,A\nb,B\n")).await.expect(201);
    register_list(&demo, parent, &code_list(&list, "3", "a,A\n")).await.expect(201);
    register_list(&demo, child, &code_list(&list, "3", "c,C\n")).await.expect(201);
    let (code, out, err) = command(&demo, child, &["codelist", "fetch"]).await;
    assert!(code == 1 && out.contains(&format!("{list}@2")) && err.contains(&format!("{list}@3")), "{out}{err}");
    assert_eq!(here().await.len(), 3);

    // What came is there after a kill, without asking the parent again, and checks the next delivery.
    let sender = producer(&demo, child, &name).await;
    sender.token().await;
    demo.signal(parent, "STOP");
    let before = demo.pid(child);
    demo.signal(child, "KILL");
    let started = Instant::now();
    let landed = loop {
        assert!(started.elapsed() < Duration::from_secs(60), "the child does not come back");
        if demo.pid(child) != before {
            let request = sender.request(reqwest::Method::POST, &format!("/v1/datasets/{name}/deliveries")).await;
            let request = request.header("content-type", "text/csv").header("idempotency-key", "satu");
            if let Ok(answer) = request.body("kode,nama,nilai,tahun\na,x,1,2025\n").send().await {
                break Answer::read(answer).await.expect("an answer").wants(201).json();
            }
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    };
    demo.signal(parent, "CONT");
    assert_eq!(landed["codeLists"], json!([{"id": list, "version": "1", "digest": offered[0]["digest"]}]));
    assert_eq!(here().await.len(), 3);
}

#[tokio::test]
async fn a_child_whose_parent_is_away_says_which_list_is_missing_and_what_to_do() -> anyhow::Result<()> {
    // Nothing listens at the first port.
    let folder = Folder::make(&Setup::default())?;
    let config = std::fs::read_to_string(folder.config())?;
    std::fs::write(folder.config(), format!("{config}\n[link]\nupstream = \"https://127.0.0.1:1\"\n"))?;
    let node = Lone::start_in(folder, &[])?;
    let admin = node.admin().await?;
    let contract = with_list(descriptor("uji-jauh", "tambah", "tolak"), "buah-jauh", "1");
    for (language, part) in [("id", "coba lagi bila tautan pulih"), ("en", "try again when the link is back")] {
        let request = admin.request(reqwest::Method::POST, "/v1/admin/contracts").header("accept-language", language);
        let refused = lone::Answer::of(request.json(&contract)).await?;
        let detail = refused.body["detail"].as_str().unwrap_or_default();
        ensure!((refused.status, refused.problem()) == (422, "no_code_list"), "{}", refused.body);
        ensure!(detail.contains("buah-jauh@1.") && detail.contains(part), "{detail}");
    }
    // Registered by hand, it is there without a parent.
    let list = code_list("buah-jauh", "1", "a,A\n");
    let registered = lone::Answer::of(admin.request(reqwest::Method::POST, "/v1/admin/code-lists").json(&list)).await?;
    ensure!(registered.status == 201, "{}", registered.body);
    let taken = lone::Answer::of(admin.request(reqwest::Method::POST, "/v1/admin/contracts").json(&contract)).await?;
    ensure!(taken.status == 201, "{}", taken.body);
    Ok(())
}
