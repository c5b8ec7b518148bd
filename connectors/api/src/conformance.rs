//! What every connector does alike, as a suite that each of them runs over a real source.
//!
//! A connector's tests implement [`Source`] and call [`run`]. The suite panics at the first promise that is not kept.

use crate::{Connector, ConnectorError, Format, Outcome, Pull, PullLimits, Report, Ticket, Value};
use futures::future::BoxFuture;
use futures::stream::StreamExt;
use std::collections::HashSet;

/// A source system that the suite may fill and ask. Each instance is fresh and used by one suite at a time.
pub trait Source: Send + Sync {
    /// A new handle on the same source, as the node makes one after a restart.
    fn connect(&self) -> Box<dyn Connector>;
    /// Adds at least two payloads' worth of valid rows. Called more than once, it adds other rows each time.
    fn fill(&self) -> BoxFuture<'_, ()>;
    /// How many rows one `fill` adds, each with another text.
    fn rows_of_a_fill(&self) -> usize;
    /// Limits under which one `fill` needs at least two payloads.
    fn limits(&self) -> PullLimits;
    /// Handles that must fail in [`Connector::test`] and in [`Connector::pull`], with the name of the error.
    fn broken(&self) -> Vec<(Box<dyn Connector>, &'static str)>;
    /// A text that every configuration above carries as its secret, if the kind has one.
    fn canary(&self) -> Option<&str>;
}

/// Runs the whole suite, each part on a source of its own.
pub async fn run<S: Source>(make_source: impl AsyncFn() -> S) {
    brings_everything_once_and_then_nothing(&make_source().await).await;
    goes_on_from_a_checkpoint(&make_source().await).await;
    gives_the_same_payload_after_a_crash(&make_source().await).await;
    leaves_no_checkpoint_for_half_a_payload(&make_source().await).await;
    settles_twice_like_once(&make_source().await).await;
    holds_the_limit_on_bytes(&make_source().await).await;
    refuses_a_foreign_checkpoint(&make_source().await).await;
    sees_the_source_without_touching_it(&make_source().await).await;
    names_its_errors_and_keeps_its_secrets(&make_source().await).await;
}

/// One payload, read to its end.
#[derive(Debug)]
struct Read {
    format: Format,
    key: String,
    ticket: Ticket,
    bytes: Vec<u8>,
    after: Value,
}

async fn drain(pull: Pull) -> Result<Read, ConnectorError> {
    let Pull { format, key, ticket, mut body, ending, .. } = pull;
    assert!(
        key.len() == 64 && key.bytes().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f')),
        "a key is 64 hex digits: {key}"
    );
    let mut bytes = Vec::new();
    while let Some(piece) = body.next().await {
        bytes.extend_from_slice(&piece?);
    }
    Ok(Read { format, key, ticket, bytes, after: ending.checkpoint().await? })
}

/// The next payload, read; `None` when nothing is new.
async fn next(connector: &dyn Connector, from: &Option<Value>, limits: PullLimits) -> Option<Read> {
    match connector.pull(from.clone(), limits).await.expect("pull") {
        Some(pull) => Some(drain(pull).await.expect("the body comes to its end")),
        None => None,
    }
}

async fn land(connector: &dyn Connector, ticket: &Ticket) {
    connector.settle(ticket.clone(), Outcome::Landed { report: None }).await.expect("settle as landed");
}

/// Pulls, lands and settles until nothing is new, with a new handle for each payload.
async fn land_everything(source: &dyn Source, from: &mut Option<Value>) -> Vec<Read> {
    const ENOUGH: usize = 1000;
    let mut all = Vec::new();
    while let Some(read) = next(&*source.connect(), from, source.limits()).await {
        *from = Some(read.after.clone());
        land(&*source.connect(), &read.ticket).await;
        all.push(read);
        assert!(all.len() < ENOUGH, "the source of the suite never ends");
    }
    all
}

/// The rows of payloads, sorted; the header of a CSV payload is none.
fn rows(reads: &[Read]) -> Vec<String> {
    let lines = |read: &Read| {
        let text = String::from_utf8(read.bytes.clone()).expect("the suite's rows are UTF-8");
        let header = usize::from(read.format == Format::Csv);
        text.lines().skip(header).map(str::to_owned).collect::<Vec<_>>()
    };
    let mut rows: Vec<_> = reads.iter().flat_map(lines).collect();
    rows.sort();
    rows
}

async fn brings_everything_once_and_then_nothing(source: &dyn Source) {
    assert!(next(&*source.connect(), &None, source.limits()).await.is_none(), "an empty source has nothing new");
    source.fill().await;
    let mut checkpoint = None;
    let reads = land_everything(source, &mut checkpoint).await;
    assert!(reads.len() >= 2, "one fill needs at least two payloads, there were {}", reads.len());
    let all = rows(&reads);
    assert_eq!(all.iter().collect::<HashSet<_>>().len(), all.len(), "a row came twice");
    assert_eq!(all.len(), source.rows_of_a_fill(), "a row is missing");
    assert_eq!(reads.iter().map(|r| &r.key).collect::<HashSet<_>>().len(), reads.len(), "two payloads share a key");
    assert!(next(&*source.connect(), &checkpoint, source.limits()).await.is_none(), "nothing is new");
}

async fn goes_on_from_a_checkpoint(source: &dyn Source) {
    source.fill().await;
    let mut checkpoint = None;
    let before = rows(&land_everything(source, &mut checkpoint).await);
    source.fill().await;
    let after = rows(&land_everything(source, &mut checkpoint).await);
    assert!(!after.is_empty(), "new rows are found");
    assert!(after.iter().all(|row| before.binary_search(row).is_err()), "a row came again after the checkpoint");
}

async fn gives_the_same_payload_after_a_crash(source: &dyn Source) {
    source.fill().await;
    let first = next(&*source.connect(), &None, source.limits()).await.expect("a payload");
    let again = next(&*source.connect(), &None, source.limits()).await.expect("the payload again");
    assert_eq!(first.key, again.key, "a crash between pull and settle changes the key");
    assert_eq!(first.bytes, again.bytes, "a crash between pull and settle changes the bytes");
    assert_eq!((first.after, first.ticket), (again.after, again.ticket), "checkpoint and ticket are the same");
}

async fn leaves_no_checkpoint_for_half_a_payload(source: &dyn Source) {
    source.fill().await;
    let pull = source.connect().pull(None, source.limits()).await.expect("pull").expect("a payload");
    let key = pull.key.clone();
    drop(pull.body);
    let error = pull.ending.checkpoint().await.expect_err("a dropped body has no checkpoint");
    assert!(error.retryable(), "{error}");
    let again = next(&*source.connect(), &None, source.limits()).await.expect("the payload is still there");
    assert_eq!(again.key, key);
}

async fn settles_twice_like_once(source: &dyn Source) {
    source.fill().await;
    let first = next(&*source.connect(), &None, source.limits()).await.expect("a payload");
    let report = Report { text: "Baris 2 ditolak.\n", json: b"{\"errors\":[]}" };
    for _ in 0..2 {
        source.connect().settle(first.ticket.clone(), Outcome::Refused { report }).await.expect("settle as refused");
    }
    let mut checkpoint = Some(first.after);
    let rest = land_everything(source, &mut checkpoint).await;
    assert!(!rest.is_empty(), "a refused payload does not stop the ones after it");
    assert!(rest.iter().all(|read| read.key != first.key), "a settled payload comes again");
    land(&*source.connect(), &rest[0].ticket).await;
}

async fn holds_the_limit_on_bytes(source: &dyn Source) {
    source.fill().await;
    let limits = PullLimits { max_bytes: 1, ..source.limits() };
    // A connector may refuse at once, in the body, or set the payload aside as its kind documents.
    match source.connect().pull(None, limits).await {
        Ok(Some(pull)) => assert_eq!(drain(pull).await.expect_err("more than the limit").name(), "limit"),
        Ok(None) => {}
        Err(error) => assert_eq!(error.name(), "limit", "{error}"),
    }
}

async fn refuses_a_foreign_checkpoint(source: &dyn Source) {
    source.fill().await;
    for foreign in [serde_json::json!("7'; drop"), serde_json::json!({"canary": [1, 2]}), serde_json::json!(-1)] {
        let error =
            source.connect().pull(Some(foreign.clone()), source.limits()).await.expect_err("a foreign checkpoint");
        assert_eq!(error.name(), "misconfigured", "{foreign}: {error}");
    }
    let error = source.connect().settle(Ticket(serde_json::json!({"x": 1})), Outcome::Landed { report: None }).await;
    assert_eq!(error.expect_err("a foreign ticket").name(), "misconfigured");
}

async fn sees_the_source_without_touching_it(source: &dyn Source) {
    source.fill().await;
    let report = source.connect().test().await.expect("a source in order passes its test");
    assert!(!report.summary.is_empty() && report.samples.len() <= 20);
    assert_eq!(report, source.connect().test().await.expect("the test again"), "testing changes what is seen");
    assert!(next(&*source.connect(), &None, source.limits()).await.is_some(), "testing uses nothing up");
    no_secret(source, &serde_json::to_string(&report).expect("a report is JSON"));
}

async fn names_its_errors_and_keeps_its_secrets(source: &dyn Source) {
    let broken = source.broken();
    assert!(!broken.is_empty(), "a source can always be broken in some way");
    for (connector, name) in &broken {
        let tested = connector.test().await.expect_err(name);
        let pulled = connector.pull(None, source.limits()).await.expect_err(name);
        for error in [tested, pulled] {
            assert_eq!(error.name(), *name, "{error}");
            assert!(!error.message().trim().is_empty(), "an error without words");
            no_secret(source, &format!("{error} {error:?}"));
        }
    }
}

fn no_secret(source: &dyn Source, text: &str) {
    if let Some(canary) = source.canary() {
        assert!(!text.contains(canary), "the secret is in: {}", text.replace(canary, "[canary]"));
    }
}

/// The suite has to notice a connector that breaks a promise.
#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Part, TestReport, payload};
    use futures::FutureExt;
    use std::panic::AssertUnwindSafe;
    use std::sync::{Arc, Mutex};

    const CANARY: &str = "kenari-1b2c";

    #[derive(Debug, Clone, Copy, PartialEq)]
    enum Fault {
        None,
        FreshKeyEachTime,
        SameKeyForAll,
        SkipsARow,
        LosesTheLastRow,
        RepeatsARow,
        NeverEmpty,
        CheckpointWithoutTheEnd,
        IgnoresTheCheckpoint,
        TakesAnyCheckpoint,
        NoLimit,
        WrongName,
        TellsTheSecret,
    }

    /// Numbers in memory, five to a payload; the checkpoint is how many were brought.
    #[derive(Clone)]
    struct Memory {
        rows: Arc<Mutex<Vec<u64>>>,
        pulls: Arc<Mutex<u64>>,
        fault: Fault,
        broken: bool,
    }

    impl Memory {
        fn new(fault: Fault) -> Self {
            Memory { rows: Arc::default(), pulls: Arc::default(), fault, broken: false }
        }

        fn refusal(&self) -> ConnectorError {
            match self.fault {
                Fault::WrongName => ConnectorError::limit("x"),
                Fault::TellsTheSecret => ConnectorError::denied(format!("password {CANARY} is wrong")),
                _ => ConnectorError::denied("the password is wrong"),
            }
        }

        fn next(&self, checkpoint: Option<Value>, limits: PullLimits) -> Result<Option<Pull>, ConnectorError> {
            if self.broken {
                return Err(self.refusal());
            }
            let foreign = || ConnectorError::misconfigured("a foreign checkpoint");
            let at = match checkpoint.map(|c| c.as_u64().ok_or_else(foreign)).transpose() {
                Ok(at) if self.fault != Fault::IgnoresTheCheckpoint => at.unwrap_or(0) as usize,
                Err(error) if self.fault != Fault::TakesAnyCheckpoint => return Err(error),
                _ => 0,
            };
            let rows = self.rows.lock().unwrap().clone();
            let from = at.saturating_sub(usize::from(self.fault == Fault::RepeatsARow && at > 0)).min(rows.len());
            let upto = (at + 5).min(rows.len());
            let endless = self.fault == Fault::NeverEmpty && !rows.is_empty();
            if at >= rows.len() && !endless {
                return Ok(None);
            }
            Ok(Some(self.page(&rows[from..upto.max(from)], from, upto, limits)))
        }

        fn page(&self, rows: &[u64], from: usize, upto: usize, limits: PullLimits) -> Pull {
            let pulls = {
                let mut pulls = self.pulls.lock().unwrap();
                *pulls += 1;
                *pulls
            };
            let key = match self.fault {
                Fault::FreshKeyEachTime => pulls as usize,
                Fault::SameKeyForAll => 0,
                _ => from * 1000 + upto,
            };
            let skip = usize::from(self.fault == Fault::SkipsARow && pulls > 1);
            let take = if self.fault == Fault::LosesTheLastRow { 4 } else { 6 };
            let text: String = rows.iter().skip(skip).take(take).map(|n| format!("{{\"n\":{n}}}\n")).collect();
            let parts = [Ok(Part::Bytes(text.into())), Ok(Part::End(upto.into()))];
            let limits = PullLimits {
                max_bytes: if self.fault == Fault::NoLimit { 1 << 30 } else { limits.max_bytes },
                ..limits
            };
            let (body, mut ending) = payload(futures::stream::iter(parts), limits);
            if self.fault == Fault::CheckpointWithoutTheEnd {
                let (mut all, early) = payload(futures::stream::iter([Ok(Part::End(upto.into()))]), limits);
                all.next().now_or_never();
                ending = early;
            }
            let ticket = Ticket(upto.into());
            Pull { format: Format::Ndjson, name: "memory".into(), key: format!("{key:064x}"), ticket, body, ending }
        }
    }

    impl Connector for Memory {
        fn kind(&self) -> &'static str {
            "memory"
        }
        fn test(&self) -> BoxFuture<'_, Result<TestReport, ConnectorError>> {
            let report = TestReport { summary: "memory".into(), ..TestReport::default() };
            futures::future::ready(if self.broken { Err(self.refusal()) } else { Ok(report) }).boxed()
        }
        fn pull(&self, from: Option<Value>, limits: PullLimits) -> BoxFuture<'_, Result<Option<Pull>, ConnectorError>> {
            futures::future::ready(self.next(from, limits)).boxed()
        }
        fn settle<'a>(&'a self, ticket: Ticket, _: Outcome<'a>) -> BoxFuture<'a, Result<(), ConnectorError>> {
            let known = ticket.0.as_u64().map(drop).ok_or_else(|| ConnectorError::misconfigured("a foreign ticket"));
            futures::future::ready(known).boxed()
        }
    }

    impl Source for Memory {
        fn connect(&self) -> Box<dyn Connector> {
            Box::new(self.clone())
        }
        fn fill(&self) -> BoxFuture<'_, ()> {
            let mut rows = self.rows.lock().unwrap();
            let next = rows.len() as u64;
            rows.extend(next..next + 12);
            futures::future::ready(()).boxed()
        }
        fn rows_of_a_fill(&self) -> usize {
            12
        }
        fn limits(&self) -> PullLimits {
            PullLimits::default()
        }
        fn broken(&self) -> Vec<(Box<dyn Connector>, &'static str)> {
            vec![(Box::new(Memory { broken: true, ..self.clone() }), "denied")]
        }
        fn canary(&self) -> Option<&str> {
            Some(CANARY)
        }
    }

    #[tokio::test]
    async fn a_connector_that_keeps_its_promises_passes() {
        run(async || Memory::new(Fault::None)).await;
    }

    #[tokio::test]
    async fn each_broken_promise_is_noticed() {
        for fault in [
            Fault::FreshKeyEachTime,
            Fault::SameKeyForAll,
            Fault::SkipsARow,
            Fault::LosesTheLastRow,
            Fault::RepeatsARow,
            Fault::NeverEmpty,
            Fault::CheckpointWithoutTheEnd,
            Fault::IgnoresTheCheckpoint,
            Fault::TakesAnyCheckpoint,
            Fault::NoLimit,
            Fault::WrongName,
            Fault::TellsTheSecret,
        ] {
            let passed = AssertUnwindSafe(run(async || Memory::new(fault))).catch_unwind().await;
            assert!(passed.is_err(), "{fault:?} went unnoticed");
        }
    }
}
