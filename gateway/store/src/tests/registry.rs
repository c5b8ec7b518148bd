//! Agencies, clients, agreements, contracts, code lists, connectors, denials.

use serde_json::json;
use simpul_core::agreement::{Agreement, Quota};

use super::*;
use crate::connectors::{Connector, RUNS_KEPT, Run, RunOutcome};
use crate::denials::Denied;
use crate::documents::{MAX_CODE_LIST, Registered};
use crate::registry::{Agency, Client, Role};

fn agency() -> Agency {
    Agency {
        code: "64.02.diskominfo".parse().unwrap(),
        name: "Diskominfo Kutai Kartanegara".to_owned(),
        kind: "dinas".to_owned(),
        enabled: true,
        created_at: at(1),
    }
}

fn client() -> Client {
    Client {
        agency: agency().code,
        client: "simpeg".parse().unwrap(),
        roles: [Role::Producer, Role::Consumer].into(),
        enabled: true,
        quota: Some(Quota { per_second: 50, burst: 200 }),
        created_at: at(2),
    }
}

fn agreement() -> Agreement {
    serde_json::from_value(json!({
        "id": "pks-1", "provider": "64.02.diskominfo", "consumer": "64.02.bappeda", "dataset": "penduduk-wilayah",
        "operations": ["read"], "columns": {"nik": "masked"}, "purpose": "perencanaan", "document": "1/2026",
        "valid_from": "2026-01-01T00:00:00.000Z", "valid_until": "2027-01-01T00:00:00.000Z"
    }))
    .unwrap()
}

#[test]
fn a_client_is_let_in_only_while_it_and_its_agency_are_enabled() {
    on_each_engine(async |place| {
        let store = place.open().await;
        let identity = "spiffe://satudata.test/64.02.diskominfo/simpeg".parse().unwrap();
        assert_eq!(store.put_client(&client()).await.unwrap_err().code(), "not_found");
        store.put_agency(&agency()).await.unwrap();
        store.put_client(&client()).await.unwrap();
        assert_eq!(store.client(&identity).await.unwrap(), Some(client()));
        store.disable_client(&client().agency, &client().client).await.unwrap();
        assert_eq!(store.client(&identity).await.unwrap(), None);
        let known = store.registered_client(&client().agency, &client().client).await.unwrap();
        assert_eq!(known, Some(Client { enabled: false, ..client() }));
        store.put_client(&Client { quota: None, created_at: at(99), ..client() }).await.unwrap();
        assert_eq!(store.client(&identity).await.unwrap(), Some(Client { quota: None, ..client() }));
        store.disable_agency(&agency().code).await.unwrap();
        assert_eq!(store.client(&identity).await.unwrap(), None);
        assert_eq!(store.agency(&agency().code).await.unwrap(), Some(Agency { enabled: false, ..agency() }));
        store.put_agency(&Agency { created_at: at(99), ..agency() }).await.unwrap();
        assert_eq!(store.agencies().await.unwrap(), [agency()]);
        assert_eq!(store.clients().await.unwrap().len(), 1);
        let unknown = "64.09.dinkes".parse().unwrap();
        assert_eq!(store.disable_agency(&unknown).await.unwrap_err().code(), "not_found");
        assert_eq!(store.disable_client(&unknown, &client().client).await.unwrap_err().code(), "not_found");
    });
}

#[test]
fn an_agreement_keeps_every_revision_and_a_revoked_one_ends_at_once() {
    on_each_engine(async |place| {
        let store = place.open().await;
        let first = agreement();
        assert_eq!(store.put_agreement(&first, at(1), "a/admin").await.unwrap(), 1);
        assert_eq!(store.put_agreement(&first, at(2), "a/admin").await.unwrap(), 1);
        let now = Timestamp::parse("2026-06-01T00:00:00Z").unwrap();
        let revoked = store.revoke_agreement(&first.id, now, "a/admin").await.unwrap();
        assert!(first.in_force(now) && !revoked.in_force(now));
        store.revoke_agreement(&first.id, now.plus_seconds(60), "a/admin").await.unwrap();
        assert_eq!(store.agreement(&first.id).await.unwrap(), Some(revoked.clone()));
        let history = store.agreement_history(&first.id).await.unwrap();
        let seen: Vec<_> = history.into_iter().map(|entry| (entry.revision, entry.agreement)).collect();
        assert_eq!(seen, [(1, first.clone()), (2, revoked.clone())]);
        assert_eq!(store.agreements_for(&first.consumer, &first.dataset).await.unwrap(), [revoked]);
        assert_eq!(store.agreements_for(&first.provider, &first.dataset).await.unwrap(), []);
        assert_eq!(store.agreements().await.unwrap().len(), 1);
        let unknown = "pks-2".parse().unwrap();
        assert_eq!(store.revoke_agreement(&unknown, now, "a").await.unwrap_err().code(), "not_found");
    });
}

#[test]
fn a_version_of_a_contract_never_changes() {
    on_each_engine(async |place| {
        let store = place.open().await;
        let name = "penduduk-wilayah".parse().unwrap();
        let text = r#"{"name": "penduduk-wilayah", "a": 1}"#;
        let register = async |version: &str, text: &str, millis| {
            store.register_contract(&name, version, text, at(millis), "a/admin").await
        };
        assert_eq!(register("1.9.0", text, 1).await.unwrap(), Registered::New);
        assert_eq!(register("1.10.0", "{}", 2).await.unwrap(), Registered::New);
        assert_eq!(register("1.9.0", r#"{"a":1,"name":"penduduk-wilayah"}"#, 3).await.unwrap(), Registered::Same);
        assert_eq!(register("1.9.0", "{}", 3).await.unwrap_err().code(), "conflict");
        assert_eq!(register("2.0.0", "{", 3).await.unwrap_err().code(), "invalid");
        let latest = store.latest_contract(&name).await.unwrap().unwrap();
        assert_eq!((&*latest.version, latest.registered_at), ("1.10.0", at(2)));
        assert_eq!(store.contract(&name, "1.9.0").await.unwrap().unwrap().descriptor, text);
        assert_eq!(store.contract(&name, "3").await.unwrap(), None);
        let versions: Vec<_> = store.contract_versions(&name).await.unwrap().into_iter().map(|v| v.version).collect();
        assert_eq!(versions, ["1.9.0", "1.10.0"]);
        let contracts = store.contracts().await.unwrap();
        assert_eq!(contracts.iter().map(|v| &*v.version).collect::<Vec<_>>(), ["1.10.0"]);
        assert_eq!(store.code_lists().await.unwrap(), []);
    });
}

#[test]
fn a_code_list_reads_back_byte_for_byte() {
    on_each_engine(async |place| {
        let store = place.open().await;
        let content: Vec<u8> = (0..2_000_000_u32).map(|n| (n % 251) as u8).collect();
        let register = async |version: &str, content: &[u8]| {
            store.register_code_list("wilayah", version, content, at(1), "a/admin").await
        };
        assert_eq!(register("2025-1", &content).await.unwrap(), Registered::New);
        assert_eq!(register("2025-1", &content).await.unwrap(), Registered::Same);
        assert_eq!(register("2025-1", b"x").await.unwrap_err().code(), "conflict");
        assert_eq!(register("2025-2", b"").await.unwrap(), Registered::New);
        assert_eq!(store.code_list("wilayah", "2025-1").await.unwrap().unwrap().content, content);
        assert_eq!(store.latest_code_list("wilayah").await.unwrap().unwrap().content, b"");
        assert_eq!(store.code_list_versions("wilayah").await.unwrap().len(), 2);
        assert_eq!(register("2025-3", &vec![0; MAX_CODE_LIST + 1]).await.unwrap_err().code(), "too_large");
    });
}

#[test]
fn a_connector_keeps_its_checkpoint_through_changes_and_only_its_newest_runs() {
    on_each_engine(async |place| {
        let store = place.open().await;
        let mut connector = Connector {
            id: "pg-dukcapil".parse().unwrap(),
            kind: "postgres".to_owned(),
            dataset: "penduduk-wilayah".parse().unwrap(),
            config: json!({"password": {"env": "DUKCAPIL_PASSWORD"}}),
            schedule: Some("0 2 * * *".to_owned()),
            enabled: true,
        };
        let id = connector.id.clone();
        store.put_connector(&connector).await.unwrap();
        let checkpoint =
            crate::connectors::ConnectorCheckpoint { connector: id.clone(), content: json!({"id": 7}), at: at(5) };
        store.put_checkpoint(&checkpoint).await.unwrap();
        connector.schedule = None;
        store.put_connector(&connector).await.unwrap();
        assert_eq!(store.connector(&id).await.unwrap().as_ref(), Some(&connector));
        assert_eq!(store.checkpoint(&id).await.unwrap(), Some(checkpoint));

        let count = i64::try_from(RUNS_KEPT).unwrap() + 3;
        for n in 0..count {
            let run = Run {
                started_at: at(n),
                finished_at: at(n + 1),
                outcome: RunOutcome::Delivered,
                deliveries: vec![n.to_string()],
                message: (n == 0).then(|| "x".to_owned()),
            };
            store.record_run(&id, &run).await.unwrap();
        }
        let runs = store.runs(&id, 5000).await.unwrap();
        assert_eq!(runs.len() as u64, RUNS_KEPT);
        assert_eq!((runs[0].started_at, &*runs[0].deliveries[0]), (at(count - 1), &*(count - 1).to_string()));

        let run = runs[0].clone();
        store.delete_connector(&id).await.unwrap();
        assert_eq!(store.connectors().await.unwrap(), []);
        assert_eq!((store.checkpoint(&id).await.unwrap(), store.runs(&id, 1).await.unwrap()), (None, vec![]));
        assert_eq!(store.delete_connector(&id).await.unwrap_err().code(), "not_found");
        assert_eq!(store.record_run(&id, &run).await.unwrap_err().code(), "not_found");
    });
}

#[test]
fn a_denial_holds_until_its_end_and_a_nonce_is_new_once() {
    on_each_engine(async |place| {
        let store = place.open().await;
        let token = Denied::Token("jti".to_owned());
        assert!(store.deny(&token, at(100)).await.unwrap());
        assert!(!store.deny(&token, at(50)).await.unwrap());
        assert!(store.denied(&token, at(99)).await.unwrap());
        assert!(!store.denied(&token, at(100)).await.unwrap());
        assert!(!store.denied(&Denied::Client("jti".to_owned()), at(1)).await.unwrap());
        let nonce = Denied::Nonce("n".to_owned());
        assert!(store.deny(&nonce, at(200)).await.unwrap());
        assert_eq!(store.denials(at(1)).await.unwrap(), [(token.clone(), at(100))]);
        assert_eq!(store.purge_denials(at(150)).await.unwrap(), 1);
        assert!(!store.deny(&nonce, at(200)).await.unwrap());
        assert!(store.allow(&nonce).await.unwrap() && !store.allow(&nonce).await.unwrap());
    });
}
