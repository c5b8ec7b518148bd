//! The journal against a model in memory: whatever is done in whatever order, with the store closed
//! and opened in between, both answer the same and hold the same.

use std::collections::BTreeMap;

use proptest::prelude::*;
use simpul_core::delivery::{ForwardState, RefusedBecause};

use super::*;
use crate::journal::Begin;
use crate::outbox::NewForward;

const SOURCES: [&str; 2] = ["64.02.diskominfo/simpul", "64.03.dukcapil/siak"];
const DATASETS: [&str; 2] = ["penduduk-wilayah", "sekolah"];
const LINK: &str = "induk";

/// Numbers choose among what there is, whatever that is by then.
#[derive(Clone, Debug)]
enum Step {
    Begin { source: usize, dataset: usize, key: u8, sequence: Option<u64> },
    Stage(usize),
    TakeSequence(usize),
    Land { which: usize, forward: bool },
    Refuse(usize),
    Abandon(usize),
    Acknowledge(usize),
    Postpone(usize),
    RefuseForward(usize),
    Reopen,
}

fn step() -> impl Strategy<Value = Step> {
    let which = 0_usize..8;
    prop_oneof![
        6 => (0_usize..2, 0_usize..2, 0_u8..6, prop::option::of(1_u64..6))
            .prop_map(|(source, dataset, key, sequence)| Step::Begin { source, dataset, key, sequence }),
        6 => which.clone().prop_map(Step::Stage),
        6 => which.clone().prop_map(Step::TakeSequence),
        6 => (which.clone(), prop::bool::weighted(0.8)).prop_map(|(which, forward)| Step::Land { which, forward }),
        1 => which.clone().prop_map(Step::Refuse),
        1 => which.clone().prop_map(Step::Abandon),
        2 => which.clone().prop_map(Step::Acknowledge),
        1 => which.clone().prop_map(Step::Postpone),
        1 => which.prop_map(Step::RefuseForward),
        1 => Just(Step::Reopen),
    ]
}

#[derive(Clone, Debug, PartialEq)]
struct Entry {
    delivery: String,
    dataset: String,
    sequence: u64,
    state: ForwardState,
}

#[derive(Default)]
struct Model {
    deliveries: Vec<(Delivery, State)>,
    /// The number that each delivery ever had, in the order of `deliveries`.
    taken: BTreeMap<usize, u64>,
    outbox: Vec<Entry>,
    clock: i64,
}

/// What an operation answered, in words that both sides use.
type Answer = String;

impl Model {
    fn holder(&self, matches: impl Fn(&Delivery) -> bool) -> Option<&Delivery> {
        let holds = |(delivery, state): &&(Delivery, State)| *state != State::Abandoned && matches(delivery);
        self.deliveries.iter().find(holds).map(|(delivery, _)| delivery)
    }

    fn begin(&mut self, new: &Delivery) -> Answer {
        let same_place = |other: &Delivery| other.source == new.source && other.dataset == new.dataset;
        if let Some(held) = self.holder(|other| same_place(other) && other.idempotency_key == new.idempotency_key) {
            return format!("same {}", held.id);
        }
        let sequence = new.source_sequence;
        if let Some(held) =
            self.holder(|other| same_place(other) && sequence.is_some() && other.source_sequence == sequence)
        {
            return format!("sequence {}", held.id);
        }
        self.deliveries.push((new.clone(), State::Receiving));
        "new".to_owned()
    }

    fn take_sequence(&mut self, which: usize) -> Answer {
        let (delivery, state) = self.deliveries[which].clone();
        let State::Staged(staged) = state else { return "wrong_state".to_owned() };
        let mates = |(index, _): &(&usize, &u64)| {
            let mate = &self.deliveries[**index].0;
            mate.source == delivery.source && mate.dataset == delivery.dataset
        };
        let visible = |(index, _): &(&usize, &u64)| matches!(self.deliveries[**index].1.name(), "landing" | "landed");
        let taken = self.taken.iter().filter(mates).map(|(_, number)| *number).max().unwrap_or(0);
        let landed = self.taken.iter().filter(mates).filter(visible).map(|(_, number)| *number).max().unwrap_or(0);
        let sequence = delivery.source_sequence.unwrap_or(taken + 1);
        if delivery.source_sequence.is_some() && sequence <= landed {
            return "stale".to_owned();
        }
        self.deliveries[which].1 = State::Landing { staged, sequence };
        self.taken.insert(which, sequence);
        sequence.to_string()
    }

    fn land(&mut self, which: usize, forward: bool) -> Option<State> {
        self.clock += 1;
        let (delivery, state) = self.deliveries[which].clone();
        let landed = state.land(self.clock.unsigned_abs(), "receipt".to_owned()).ok()?;
        self.deliveries[which].1 = landed.clone();
        if forward {
            let dataset = delivery.dataset.to_string();
            let sequence = self.outbox.iter().filter(|entry| entry.dataset == dataset).count() as u64 + 1;
            let state = ForwardState::Queued { attempts: 0, not_before: at(self.clock), last_error: None };
            self.outbox.push(Entry { delivery: delivery.id, dataset, sequence, state });
        }
        Some(landed)
    }

    fn due(&self, now: i64) -> Vec<&Entry> {
        let mut heads: BTreeMap<&str, &Entry> = BTreeMap::new();
        for entry in self.outbox.iter().filter(|entry| entry.state.name() == "queued") {
            heads.entry(&entry.dataset).or_insert(entry);
        }
        let ready = |entry: &&Entry| matches!(&entry.state, ForwardState::Queued { not_before, .. } if not_before.millis() <= now);
        heads.into_values().filter(ready).collect()
    }
}

fn answer<T>(result: crate::Result<T>, ok: impl Fn(T) -> String) -> Answer {
    result.map_or_else(|error| error.code().to_owned(), ok)
}

fn new_delivery(model: &Model, source: usize, dataset: usize, key: u8, sequence: Option<u64>) -> Delivery {
    let mut new = delivery(&format!("d{}", model.deliveries.len()), SOURCES[source], &format!("key-{key}"));
    new.dataset = DATASETS[dataset].parse().unwrap();
    new.source_sequence = sequence;
    new.received_at = at(i64::try_from(model.deliveries.len()).unwrap());
    new
}

async fn move_delivery(store: &Store, model: &mut Model, which: usize, to: impl Fn(State) -> Option<State>) {
    let (delivery, state) = model.deliveries[which].clone();
    let Some(new) = to(state.clone()) else { return };
    store.transition(&delivery.id, state.name(), &new).await.unwrap();
    model.deliveries[which].1 = new;
}

async fn land(store: &Store, model: &mut Model, which: usize, forward: bool) {
    let id = model.deliveries[which].0.id.clone();
    let was = model.deliveries[which].1.clone();
    let Some(landed) = model.land(which, forward) else {
        let other = State::Landing { staged: staged("x"), sequence: 1 }.land(1, String::new()).unwrap();
        let error = store.land(&id, &other, &[], None).await.unwrap_err();
        assert_eq!(error.code(), "wrong_state", "{was:?}");
        return;
    };
    let new = NewForward { link: LINK.to_owned(), content: 1.into(), bytes: 1, created_at: at(model.clock) };
    let forwards = if forward { vec![new] } else { Vec::new() };
    store.land(&id, &landed, &forwards, None).await.unwrap();
}

async fn move_forward(
    store: &Store,
    model: &mut Model,
    which: usize,
    to: impl Fn(ForwardState) -> Option<ForwardState>,
) {
    if model.outbox.is_empty() {
        return;
    }
    let which = which % model.outbox.len();
    let entry = model.outbox[which].clone();
    let Some(new) = to(entry.state.clone()) else { return };
    let id = store.forwards_of(&entry.delivery).await.unwrap().remove(0).id;
    store.set_forward(&id, &entry.state, &new, at(0)).await.unwrap();
    model.outbox[which].state = new;
}

async fn apply(store: &Store, model: &mut Model, step: &Step) {
    if let Step::Begin { source, dataset, key, sequence } = *step {
        let new = new_delivery(model, source, dataset, key, sequence);
        let stored = answer(store.begin(&new).await, |begin| match begin {
            Begin::New => "new".to_owned(),
            Begin::Same(record) => format!("same {}", record.delivery.id),
            Begin::Sequence(record) => format!("sequence {}", record.delivery.id),
        });
        assert_eq!(stored, model.begin(&new));
        return;
    }
    let count = model.deliveries.len();
    if count == 0 {
        return;
    }
    // The newest deliveries are the ones with something left to do.
    let pick = |which: usize| count - 1 - which % count.min(8);
    match *step {
        Step::Begin { .. } | Step::Reopen => {}
        Step::Stage(which) => move_delivery(store, model, pick(which), |s| s.stage(staged("2024")).ok()).await,
        Step::TakeSequence(which) => {
            let id = model.deliveries[pick(which)].0.id.clone();
            let stored = answer(store.take_sequence(&id).await, |number| number.to_string());
            assert_eq!(stored, model.take_sequence(pick(which)));
        }
        Step::Land { which, forward } => land(store, model, pick(which), forward).await,
        Step::Refuse(which) => {
            let refuse = |s: State| s.refuse(RefusedBecause::Rows, RowCounts::default(), None, "no".to_owned()).ok();
            move_delivery(store, model, pick(which), refuse).await;
        }
        Step::Abandon(which) => move_delivery(store, model, pick(which), |s| s.abandon().ok()).await,
        Step::Acknowledge(which) => move_forward(store, model, which, |s| s.acknowledge("jws".to_owned()).ok()).await,
        Step::Postpone(which) => {
            let later = at(model.clock + 5);
            move_forward(store, model, which, |s| s.postpone(later, "timeout".to_owned()).ok()).await;
        }
        Step::RefuseForward(which) => move_forward(store, model, which, |s| s.refuse("stale".to_owned()).ok()).await,
    }
}

async fn compare(store: &Store, model: &Model) {
    for (delivery, state) in &model.deliveries {
        let stored = store.get(&delivery.id).await.unwrap().unwrap();
        assert_eq!((&stored.delivery, &stored.state), (delivery, state));
    }
    let unfinished = store.unfinished().await.unwrap().len();
    assert_eq!(unfinished, model.deliveries.iter().filter(|(_, state)| !state.is_final()).count());
    let mut stored = Vec::new();
    for (delivery, _) in &model.deliveries {
        stored.extend(store.forwards_of(&delivery.id).await.unwrap());
    }
    assert_eq!(stored.len(), model.outbox.len());
    for entry in &model.outbox {
        let found = stored.iter().find(|forward| forward.delivery == entry.delivery).unwrap();
        assert_eq!((found.sequence, &found.state), (entry.sequence, &entry.state));
    }
}

async fn compare_due(store: &Store, model: &Model) {
    for now in [0, model.clock, model.clock + 10] {
        let mut due = store.due(LINK, at(now), 10).await.unwrap();
        due.sort_by(|one, other| one.dataset.cmp(&other.dataset));
        let stored: Vec<_> = due.iter().map(|forward| (&forward.delivery, forward.sequence)).collect();
        let expected: Vec<_> = model.due(now).into_iter().map(|entry| (&entry.delivery, entry.sequence)).collect();
        assert_eq!(stored, expected);
    }
}

async fn play(place: &Place, steps: &[Step]) {
    let mut store = place.open().await;
    let mut model = Model::default();
    for step in steps {
        if matches!(step, Step::Reopen) {
            store.close().await;
            drop(store);
            store = place.open().await;
            compare(&store, &model).await;
        }
        apply(&store, &mut model, step).await;
        compare_due(&store, &model).await;
    }
    compare(&store, &model).await;
    store.close().await;
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 24, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn the_journal_answers_and_holds_what_the_model_does(steps in prop::collection::vec(step(), 1..80)) {
        on_each_engine(async |place| play(place, &steps).await);
    }
}
