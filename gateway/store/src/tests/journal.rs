//! The journal and the outbox, case by case.

use serde_json::json;
use simpul_core::delivery::{ForwardState, RefusedBecause};

use super::*;
use crate::StoreError;
use crate::connectors::{Connector, ConnectorCheckpoint};
use crate::journal::{Begin, Cursor, DeliveryFilter, MAX_REPORT};
use crate::outbox::{Forward, NewForward};

fn refused(because: RefusedBecause) -> State {
    State::Refused { because, counts: RowCounts::default(), payload: None, receipt: "no".to_owned() }
}

fn forward_to(link: &str, created_at: i64) -> NewForward {
    NewForward { link: link.to_owned(), content: json!({"rows": 2}), bytes: 10, created_at: at(created_at) }
}

async fn land_one(store: &Store, id: &str, forwards: &[NewForward]) {
    let sequence = to_landing(store, &delivery(id, "a/x", id), "2024").await;
    store.land(id, &landed(sequence, sequence, "2024"), forwards, None).await.unwrap();
}

#[test]
fn of_sixteen_at_once_with_one_key_exactly_one_is_new() {
    on_each_engine(async |place| {
        let store = place.open().await;
        for round in 0..5 {
            let tasks: Vec<_> = (0..16)
                .map(|task| {
                    let store = store.clone();
                    let delivery = delivery(&format!("{round}-{task}"), "a/x", &format!("key-{round}"));
                    tokio::spawn(async move { store.begin(&delivery).await.unwrap() })
                })
                .collect();
            let (mut new, mut same) = (0, Vec::new());
            for task in tasks {
                match task.await.unwrap() {
                    Begin::New => new += 1,
                    Begin::Same(record) => same.push(record.delivery.id),
                    Begin::Sequence(_) => panic!("no sequence was given"),
                }
            }
            same.dedup();
            assert_eq!((new, same.len()), (1, 1), "the losers all see the one winner");
        }
    });
}

#[test]
fn sixteen_at_once_get_sixteen_different_numbers() {
    on_each_engine(async |place| {
        let store = place.open().await;
        let tasks: Vec<_> = (0..16)
            .map(|task| {
                let store = store.clone();
                let id = format!("d{task}");
                tokio::spawn(async move { to_landing(&store, &delivery(&id, "a/x", &id), "2024").await })
            })
            .collect();
        let mut numbers = Vec::new();
        for task in tasks {
            numbers.push(task.await.unwrap());
        }
        numbers.sort_unstable();
        assert_eq!(numbers, (1..=16).collect::<Vec<_>>());
    });
}

#[test]
fn the_same_key_finds_the_delivery_in_whatever_state_until_it_is_abandoned() {
    on_each_engine(async |place| {
        let store = place.open().await;
        let first = delivery("1", "a/x", "key");
        assert_eq!(store.begin(&first).await.unwrap(), Begin::New);
        let Begin::Same(same) = store.begin(&delivery("2", "a/x", "key")).await.unwrap() else { panic!("not same") };
        assert_eq!((same.delivery, same.state), (first, State::Receiving));
        assert_eq!(store.begin(&delivery("3", "b/y", "key")).await.unwrap(), Begin::New, "another source");

        store.put_report("1", "{}").await.unwrap();
        store.transition("1", "receiving", &State::Abandoned).await.unwrap();
        assert_eq!(store.report("1").await.unwrap(), None);
        assert_eq!(store.begin(&delivery("4", "a/x", "key")).await.unwrap(), Begin::New);
        let error = store.begin(&delivery("4", "a/x", "other key")).await.unwrap_err();
        assert_eq!(error.code(), "conflict");
    });
}

#[test]
fn a_forwarded_delivery_keeps_its_number_and_an_older_one_is_stale() {
    on_each_engine(async |place| {
        let store = place.open().await;
        let forwarded = |id: &str, sequence| {
            let mut delivery = delivery(id, "a/node", id);
            delivery.source_sequence = Some(sequence);
            delivery
        };
        assert_eq!(to_landing(&store, &forwarded("five", 5), "2024").await, 5);
        let mut other = forwarded("other", 5);
        let Begin::Sequence(found) = store.begin(&other).await.unwrap() else { panic!("a number twice") };
        assert_eq!(found.delivery.id, "five");
        other.source_sequence = Some(4);
        store.begin(&other).await.unwrap();
        store.transition("other", "receiving", &State::Staged(staged("2024"))).await.unwrap();
        let error = store.take_sequence("other").await.unwrap_err();
        assert!(matches!(error, StoreError::Stale { sequence: 4, highest: 5 }), "{error}");
        assert_eq!(store.get("other").await.unwrap().unwrap().state.name(), "staged");
        store.transition("other", "staged", &refused(RefusedBecause::Stale)).await.unwrap();
        assert_eq!(to_landing(&store, &forwarded("nine", 9), "2024").await, 9);
        assert_eq!(to_landing(&store, &delivery("push", "a/node", "push"), "2024").await, 10);
        store.begin(&forwarded("ten", 10)).await.unwrap();
        store.transition("ten", "receiving", &State::Staged(staged("2024"))).await.unwrap();
        assert_eq!(store.take_sequence("ten").await.unwrap_err().code(), "stale", "the push has this number");
    });
}

#[test]
fn a_number_that_was_refused_after_it_was_taken_is_not_given_again() {
    on_each_engine(async |place| {
        let store = place.open().await;
        assert_eq!(to_landing(&store, &delivery("1", "a/x", "1"), "2024").await, 1);
        store.transition("1", "landing", &refused(RefusedBecause::Conflict)).await.unwrap();
        assert_eq!(to_landing(&store, &delivery("2", "a/x", "2"), "2024").await, 2);
    });
}

#[test]
fn a_transition_from_another_state_than_the_stored_one_changes_nothing() {
    on_each_engine(async |place| {
        let store = place.open().await;
        store.begin(&delivery("1", "a/x", "1")).await.unwrap();
        store.transition("1", "receiving", &State::Staged(staged("2024"))).await.unwrap();
        let error = store.transition("1", "receiving", &State::Abandoned).await.unwrap_err();
        assert!(matches!(error, StoreError::WrongState { expected: "receiving", found: "staged", .. }), "{error}");
        for illegal in [State::Receiving, landed(1, 1, "2024"), State::Abandoned] {
            assert_eq!(store.transition("1", "staged", &illegal).await.unwrap_err().code(), "illegal_transition");
        }
        assert_eq!(store.transition("?", "receiving", &State::Abandoned).await.unwrap_err().code(), "not_found");
        assert_eq!(store.take_sequence("?").await.unwrap_err().code(), "not_found");
        assert_eq!(store.get("1").await.unwrap().unwrap().state, State::Staged(staged("2024")));
    });
}

#[test]
fn landing_writes_state_outbox_and_checkpoint_together_or_not_at_all() {
    on_each_engine(async |place| {
        let store = place.open().await;
        let connector: Connector = serde_json::from_value(json!({
            "id": "files-in", "kind": "files", "dataset": "penduduk-wilayah", "config": {}, "enabled": true
        }))
        .unwrap();
        store.put_connector(&connector).await.unwrap();
        let checkpoint =
            ConnectorCheckpoint { connector: connector.id.clone(), content: json!({"cursor": 7}), at: at(5) };
        let sequence = to_landing(&store, &delivery("1", "konektor/files-in", "1"), "2024").await;
        let state = landed(sequence, 3, "2024");

        let twice = [forward_to("induk", 1), forward_to("induk", 1)];
        store.land("1", &state, &twice, Some(&checkpoint)).await.unwrap_err();
        assert_eq!(store.get("1").await.unwrap().unwrap().state.name(), "landing");
        assert_eq!(store.forwards_of("1").await.unwrap(), []);
        assert_eq!(store.checkpoint(&connector.id).await.unwrap(), None);
        let wrong = landed(sequence + 1, 3, "2024");
        assert_eq!(store.land("1", &wrong, &[], None).await.unwrap_err().code(), "wrong_state");

        for _ in 0..2 {
            store.land("1", &state, &twice[..1], Some(&checkpoint)).await.unwrap();
            assert_eq!(store.get("1").await.unwrap().unwrap().state, state);
            assert_eq!(store.forwards_of("1").await.unwrap().len(), 1);
            assert_eq!(store.checkpoint(&connector.id).await.unwrap().as_ref(), Some(&checkpoint));
        }
        let other = landed(sequence, 4, "2024");
        assert_eq!(store.land("1", &other, &[], None).await.unwrap_err().code(), "wrong_state");
    });
}

#[test]
fn a_delivery_lands_although_its_connector_was_deleted() {
    on_each_engine(async |place| {
        let store = place.open().await;
        let connector = "gone".parse().unwrap();
        let checkpoint = ConnectorCheckpoint { connector, content: json!(1), at: at(5) };
        to_landing(&store, &delivery("1", "konektor/gone", "1"), "2024").await;
        store.land("1", &landed(1, 1, "2024"), &[], Some(&checkpoint)).await.unwrap();
        assert_eq!(store.put_checkpoint(&checkpoint).await.unwrap_err().code(), "not_found");
    });
}

#[test]
fn a_restart_finds_what_is_unfinished_landing_first() {
    on_each_engine(async |place| {
        let store = place.open().await;
        store.begin(&delivery("receiving", "a/x", "1")).await.unwrap();
        store.begin(&delivery("staged", "a/x", "2")).await.unwrap();
        store.transition("staged", "receiving", &State::Staged(staged("2024"))).await.unwrap();
        for id in ["z-first", "a-second"] {
            to_landing(&store, &delivery(id, "a/x", id), "2024").await;
        }
        land_one(&store, "done", &[]).await;
        store.close().await;
        drop(store);
        let store = place.open().await;
        let ids: Vec<_> = store.unfinished().await.unwrap().into_iter().map(|record| record.delivery.id).collect();
        assert_eq!(ids, ["z-first", "a-second", "receiving", "staged"]);
    });
}

#[test]
fn periods_that_landed_since_are_those_of_the_same_origin_and_later_versions() {
    on_each_engine(async |place| {
        let store = place.open().await;
        for (id, source, version, period) in
            [("1", "a/x", 3, "2023"), ("2", "a/x", 4, "2024"), ("3", "b/y", 5, "2025"), ("4", "a/x", 6, "2022")]
        {
            let sequence = to_landing(&store, &delivery(id, source, id), period).await;
            store.land(id, &landed(sequence, version, period), &[], None).await.unwrap();
        }
        let dataset = "penduduk-wilayah".parse().unwrap();
        assert_eq!(store.landed_since(&dataset, "a/x", 3).await.unwrap(), ["2022", "2024"]);
        assert_eq!(store.landed_since(&dataset, "a/x", 6).await.unwrap(), Vec::<String>::new());
    });
}

#[test]
fn a_list_shows_every_delivery_once_over_its_pages() {
    on_each_engine(async |place| {
        let store = place.open().await;
        for n in 0..25 {
            let mut delivery = delivery(&format!("d{n:02}"), if n % 2 == 0 { "a/x" } else { "b/y" }, &n.to_string());
            delivery.received_at = at(n / 3);
            store.begin(&delivery).await.unwrap();
        }
        let filter = DeliveryFilter { source: Some("a/x".to_owned()), since: Some(at(1)), ..DeliveryFilter::default() };
        let (mut seen, mut after) = (Vec::new(), None::<Cursor>);
        loop {
            let page = store.list(None, &filter, after.as_ref(), 4).await.unwrap();
            seen.extend(page.records.into_iter().map(|record| record.delivery.id));
            let Some(next) = page.next else { break };
            after = Some(next.to_string().parse().unwrap());
        }
        let expected: Vec<_> = (3..25).rev().filter(|n| n % 2 == 0).map(|n| format!("d{n:02}")).collect();
        assert_eq!(seen, expected);
        let other = "sekolah".parse().unwrap();
        let none = store.list(Some(&other), &DeliveryFilter::default(), None, 10).await.unwrap();
        assert!(none.records.is_empty() && none.next.is_none());
        let landed = DeliveryFilter { state: Some("landed".to_owned()), ..DeliveryFilter::default() };
        assert!(store.list(None, &landed, None, 10).await.unwrap().records.is_empty());
        assert!("1".parse::<Cursor>().is_err() && "x.y".parse::<Cursor>().is_err());
    });
}

#[test]
fn a_report_reads_back_and_a_huge_one_is_refused() {
    on_each_engine(async |place| {
        let store = place.open().await;
        store.begin(&delivery("1", "a/x", "1")).await.unwrap();
        let report = format!("[\"{}\"]", "salah ".repeat((MAX_REPORT - 4) / 6));
        store.put_report("1", "{}").await.unwrap();
        store.put_report("1", &report).await.unwrap();
        assert_eq!(store.report("1").await.unwrap(), Some(report.clone()));
        assert_eq!(store.put_report("1", &report.repeat(2)).await.unwrap_err().code(), "too_large");
        assert_eq!(store.put_report("2", "{}").await.unwrap_err().code(), "not_found");
        assert_eq!(store.report("2").await.unwrap(), None);
    });
}

async fn due_ids(store: &Store, link: &str, now: i64) -> Vec<(String, u64)> {
    let due = store.due(link, at(now), 10).await.unwrap();
    due.into_iter().map(|forward| (forward.delivery, forward.sequence)).collect()
}

async fn first_due(store: &Store) -> Forward {
    store.due("induk", at(i64::MAX), 1).await.unwrap().remove(0)
}

#[test]
fn a_link_takes_a_dataset_in_order_waits_for_the_postponed_and_passes_the_refused() {
    on_each_engine(async |place| {
        let store = place.open().await;
        for (n, id) in ["1", "2", "3"].into_iter().enumerate() {
            let created = 10 + i64::try_from(n).unwrap();
            land_one(&store, id, &[forward_to("induk", created), forward_to("mitra", created)]).await;
        }
        assert_eq!(due_ids(&store, "induk", 9).await, []);
        assert_eq!(due_ids(&store, "induk", 100).await, [("1".to_owned(), 1)]);
        assert_eq!(due_ids(&store, "mitra", 100).await, [("1".to_owned(), 1)]);

        let one = first_due(&store).await;
        let postponed = one.state.clone().postpone(at(500), "timeout".to_owned()).unwrap();
        store.set_forward(&one.id, &one.state, &postponed, at(100)).await.unwrap();
        assert_eq!(due_ids(&store, "induk", 499).await, [], "the second waits behind the first");
        assert_eq!(store.next_due("induk").await.unwrap(), Some(at(500)));
        assert_eq!(due_ids(&store, "induk", 500).await, [("1".to_owned(), 1)]);
        let error = store.set_forward(&one.id, &one.state, &postponed, at(100)).await.unwrap_err();
        assert_eq!(error.code(), "wrong_state", "the state that was read is not the stored one");

        let refused = postponed.clone().refuse("stale".to_owned()).unwrap();
        store.set_forward(&one.id, &postponed, &refused, at(510)).await.unwrap();
        assert_eq!(due_ids(&store, "induk", 510).await, [("2".to_owned(), 2)]);
        let two = first_due(&store).await;
        let acknowledged = two.state.clone().acknowledge("jws".to_owned()).unwrap();
        store.set_forward(&two.id, &two.state, &acknowledged, at(520)).await.unwrap();
        assert_eq!(due_ids(&store, "induk", 520).await, [("3".to_owned(), 3)]);
        assert_eq!(store.forward(&two.id).await.unwrap().unwrap().state, acknowledged);
        assert_eq!(store.forwards("induk", "refused", 10).await.unwrap().len(), 1);
        assert_eq!(store.set_forward("?", &two.state, &acknowledged, at(0)).await.unwrap_err().code(), "not_found");
    });
}

#[test]
fn the_status_of_a_link_tells_queue_age_contact_and_error() {
    on_each_engine(async |place| {
        let store = place.open().await;
        assert_eq!(store.link_status("induk").await.unwrap(), crate::outbox::LinkStatus::default());
        land_one(&store, "1", &[forward_to("induk", 10)]).await;
        land_one(&store, "2", &[forward_to("induk", 20)]).await;
        let one = first_due(&store).await;
        store.touch_link("induk", at(30), None).await.unwrap();
        let acknowledged = ForwardState::Acknowledged { receipt: "jws".to_owned() };
        store.set_forward(&one.id, &one.state, &acknowledged, at(31)).await.unwrap();
        store.touch_link("induk", at(40), Some(&"é".repeat(3000))).await.unwrap();
        let status = store.link_status("induk").await.unwrap();
        assert_eq!((status.queued, status.queued_bytes, status.refused), (1, 10, 0));
        assert_eq!(status.oldest_at, Some(at(20)));
        assert_eq!((status.last_contact_at, status.last_attempt_at), (Some(at(30)), Some(at(40))));
        assert_eq!((status.last_ack_at, status.last_error.unwrap().len()), (Some(at(31)), 4096));
        store.touch_link("induk", at(50), None).await.unwrap();
        assert_eq!(store.link_status("induk").await.unwrap().last_error, None);
    });
}
