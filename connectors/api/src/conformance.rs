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
