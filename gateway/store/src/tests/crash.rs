//! A process that lands deliveries is killed again and again at some moment: what it had acknowledged
//! is there, what is there is whole, and the next one works on.

use std::io::{BufRead, BufReader};
use std::process::{Child, Command, Stdio};

use serde_json::json;

use super::*;
use crate::connectors::{Connector, ConnectorCheckpoint};
use crate::outbox::NewForward;

const ROUNDS: u64 = 8;
const LOCATION: &str = "SIMPUL_TEST_CRASH_LOCATION";
const START: &str = "SIMPUL_TEST_CRASH_START";
const CONNECTOR: &str = "files-in";
const SOURCE: &str = "konektor/files-in";

/// The process that is killed. It says `landed N` only after the store said so.
#[test]
#[ignore = "started by the test below"]
fn lands_deliveries_until_it_is_killed() {
    let Ok(location) = std::env::var(LOCATION) else { panic!("started without a place") };
    let start: u64 = std::env::var(START).unwrap().parse().unwrap();
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
    runtime.block_on(async {
        let store = Store::connect(&location).await.unwrap();
        println!("open");
        for n in start.. {
            let sequence = to_landing(&store, &delivery(&format!("{n:08}"), SOURCE, &n.to_string()), "2024").await;
            let forward = NewForward { link: "induk".to_owned(), content: json!(n), bytes: 1, created_at: at(1) };
            let content = json!(sequence);
            let checkpoint = ConnectorCheckpoint { connector: CONNECTOR.parse().unwrap(), content, at: at(1) };
            let state = landed(sequence, sequence, "2024");
            store.land(&format!("{n:08}"), &state, &[forward], Some(&checkpoint)).await.unwrap();
            println!("landed {sequence}");
        }
    });
}

fn start(place: &Place, number: u64) -> Child {
    Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "tests::crash::lands_deliveries_until_it_is_killed", "--ignored", "--nocapture"])
        .env(LOCATION, place.location())
        .env(START, number.to_string())
        .stdout(Stdio::piped())
        .stderr(Stdio::inherit())
        .spawn()
        .unwrap()
}

/// Waits for `landings` acknowledgements and a little more, kills, and answers the last acknowledged number.
fn kill_after(mut child: Child, landings: u64, more: std::time::Duration) -> u64 {
    let mut lines = BufReader::new(child.stdout.take().unwrap()).lines().map_while(Result::ok);
    let number = |line: String| line.split_once("landed ").and_then(|(_, number)| number.parse::<u64>().ok());
    let mut acknowledged = 0;
    for _ in 0..landings {
        acknowledged = lines.by_ref().find_map(number).expect("the process ended by itself");
    }
    // The kill has to fall anywhere in the next transactions: this waits for no condition.
    std::thread::sleep(more);
    child.kill().unwrap();
    child.wait().unwrap();
    lines.filter_map(number).last().unwrap_or(acknowledged)
}

/// Answers how many deliveries there are.
async fn check(store: &Store, acknowledged: u64) -> u64 {
    let mut landed = 0;
    let mut total = 0;
    for n in 1.. {
        let id = format!("{n:08}");
        let Some(record) = store.get(&id).await.unwrap() else { break };
        total = n;
        let forwards = store.forwards_of(&id).await.unwrap();
        if let State::Landed { sequence, .. } = record.state {
            landed = landed.max(sequence);
            assert_eq!(forwards.len(), 1, "{id}");
        } else {
            assert!(forwards.is_empty(), "{id} is {}", record.state.name());
        }
    }
    assert!(landed >= acknowledged, "{acknowledged} was acknowledged, {landed} is there");
    let checkpoint = store.checkpoint(&CONNECTOR.parse().unwrap()).await.unwrap().unwrap();
    assert_eq!(checkpoint.content, json!(landed), "the checkpoint moves with the rows");
    total
}

async fn finish_unfinished(store: &Store) {
    let unfinished = store.unfinished().await.unwrap();
    assert!(unfinished.len() <= 1, "one is done after the other");
    for record in unfinished {
        let (id, name) = (record.delivery.id, record.state.name());
        let refuse = |s: State| {
            s.refuse(simpul_core::delivery::RefusedBecause::File, RowCounts::default(), None, "no".to_owned()).unwrap()
        };
        store.transition(&id, name, &refuse(record.state)).await.unwrap();
    }
}

#[test]
fn what_was_acknowledged_before_a_kill_is_there_and_whole() {
    on_each_engine(async |place| {
        let store = place.open().await;
        let connector: Connector = serde_json::from_value(json!({
            "id": CONNECTOR, "kind": "files", "dataset": "penduduk-wilayah", "config": {}, "enabled": true
        }))
        .unwrap();
        store.put_connector(&connector).await.unwrap();
        store.close().await;
        drop(store);
        let mut total = 0;
        for round in 0..ROUNDS {
            let child = start(place, total + 1);
            let acknowledged = kill_after(child, 1 + round % 3, std::time::Duration::from_micros(round * 2700));
            let store = place.open().await;
            total = check(&store, acknowledged).await;
            finish_unfinished(&store).await;
            store.close().await;
        }
    });
}
