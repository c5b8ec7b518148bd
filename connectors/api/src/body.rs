//! The body of a payload: bytes first, then the checkpoint that follows them.
//!
//! A source yields [`Part`]s. [`payload`] turns them into the stream that the node reads and the [`Ending`] that it asks
//! afterwards. The checkpoint exists only if the source came to its end by itself: a cut, a stall, a limit or a dropped
//! reader leaves none, so that rows and checkpoint are stored together or not at all.

use crate::{ConnectorError, PullLimits, Value};
use bytes::Bytes;
use futures::channel::oneshot;
use futures::future::Either;
use futures::stream::{BoxStream, Stream, StreamExt};
use std::time::Duration;
use tokio::time::{Instant, timeout_at};

/// The bytes of a payload. After an error nothing follows.
pub type PayloadStream = BoxStream<'static, Result<Bytes, ConnectorError>>;

/// What a source yields, piece by piece.
#[derive(Debug, Clone, PartialEq)]
pub enum Part {
    /// Bytes of the document; pieces of 16 KiB to 1 MiB serve best.
    Bytes(Bytes),
    /// The end of the document, and the checkpoint after it. Whatever comes later is not read.
    End(Value),
}

/// The promise of a checkpoint.
#[derive(Debug)]
pub struct Ending(oneshot::Receiver<Result<Value, ConnectorError>>);

impl Ending {
    /// The checkpoint after the payload. Waits until the body was read to its end; if it failed, the same error; if it
    /// was dropped before its end, [`ConnectorError::Interrupted`].
    pub async fn checkpoint(self) -> Result<Value, ConnectorError> {
        let dropped = |_| Err(ConnectorError::interrupted("the payload was not read to its end"));
        self.0.await.unwrap_or_else(dropped)
    }
}

/// Makes the two halves of a payload, and holds the source to the limits of the pull.
pub fn payload<S>(parts: S, limits: PullLimits) -> (PayloadStream, Ending)
where
    S: Stream<Item = Result<Part, ConnectorError>> + Send + 'static,
{
    let (told, ending) = oneshot::channel();
    let state = Reader { parts: parts.boxed(), told: Some(told), limits, taken: 0, deadline: None };
    (futures::stream::unfold(state, Reader::next).boxed(), Ending(ending))
}

struct Reader {
    parts: BoxStream<'static, Result<Part, ConnectorError>>,
    /// Gone once the ending was told.
    told: Option<oneshot::Sender<Result<Value, ConnectorError>>>,
    limits: PullLimits,
    taken: u64,
    deadline: Option<Instant>,
}

impl Reader {
    async fn next(mut self) -> Option<(Result<Bytes, ConnectorError>, Self)> {
        let told = self.told.take()?;
        // A receiver that was dropped does not care for the checkpoint; the bytes are still wanted.
        match self.step().await {
            Either::Left(Ok(bytes)) => {
                self.told = Some(told);
                Some((Ok(bytes), self))
            }
            Either::Left(Err(error)) => {
                let _ = told.send(Err(error.clone()));
                Some((Err(error), self))
            }
            Either::Right(checkpoint) => {
                let _ = told.send(Ok(checkpoint));
                None
            }
        }
    }

    /// The next piece that is not empty, or the checkpoint.
    async fn step(&mut self) -> Either<Result<Bytes, ConnectorError>, Value> {
        loop {
            let left = match self.wait().await {
                Ok(Some(Ok(Part::Bytes(bytes)))) if bytes.is_empty() => continue,
                Ok(Some(Ok(Part::Bytes(bytes)))) => self.count(bytes),
                Ok(Some(Ok(Part::End(checkpoint)))) => return Either::Right(checkpoint),
                Ok(Some(Err(error))) | Err(error) => Err(error),
                Ok(None) => Err(ConnectorError::interrupted("the source stopped before its end")),
            };
            return Either::Left(left);
        }
    }

    async fn wait(&mut self) -> Result<Option<Result<Part, ConnectorError>>, ConnectorError> {
        let now = Instant::now();
        let deadline = *self.deadline.get_or_insert_with(|| later(now, self.limits.duration));
        let late =
            |what: &str, limit: Duration| Err(ConnectorError::limit(format!("{what} {} s", limit.as_secs_f32())));
        if now >= deadline {
            return late("the payload took longer than", self.limits.duration);
        }
        match timeout_at(deadline.min(later(now, self.limits.stall)), self.parts.next()).await {
            Ok(part) => Ok(part),
            Err(_) if Instant::now() >= deadline => late("the payload took longer than", self.limits.duration),
            Err(_) => late("the source was silent for", self.limits.stall),
        }
    }

    fn count(&mut self, bytes: Bytes) -> Result<Bytes, ConnectorError> {
        self.taken = self.taken.saturating_add(bytes.len() as u64);
        if self.taken > self.limits.max_bytes {
            return Err(ConnectorError::limit(format!("the payload is larger than {} bytes", self.limits.max_bytes)));
        }
        Ok(bytes)
    }
}

/// `now + wait`, held within what the clock can express.
fn later(now: Instant, wait: Duration) -> Instant {
    const YEAR: Duration = Duration::from_secs(365 * 24 * 3600);
    now + wait.min(YEAR)
}

#[cfg(test)]
mod tests {
    use super::*;
    use futures::stream;
    use serde_json::json;

    type Item = Result<Part, ConnectorError>;

    fn bytes(text: &'static str) -> Item {
        Ok(Part::Bytes(Bytes::from_static(text.as_bytes())))
    }

    async fn drain(
        parts: Vec<Item>,
        limits: PullLimits,
    ) -> (Result<String, ConnectorError>, Result<Value, ConnectorError>) {
        let (body, ending) = payload(stream::iter(parts), limits);
        let read: Vec<_> = body.collect().await;
        let text = read.into_iter().collect::<Result<Vec<_>, _>>();
        (text.map(|t| String::from_utf8(t.concat()).unwrap()), ending.checkpoint().await)
    }

    #[tokio::test]
    async fn the_checkpoint_follows_a_body_read_to_its_end() {
        let parts = vec![bytes("a"), bytes(""), bytes("b"), Ok(Part::End(json!(7))), bytes("never read")];
        let (text, checkpoint) = drain(parts, PullLimits::default()).await;
        assert_eq!((text.unwrap().as_str(), checkpoint.unwrap()), ("ab", json!(7)));
    }

    #[tokio::test]
    async fn a_source_that_stops_or_fails_leaves_no_checkpoint() {
        let (text, checkpoint) = drain(vec![bytes("a")], PullLimits::default()).await;
        assert_eq!(text.unwrap_err().name(), "interrupted");
        assert_eq!(checkpoint.unwrap_err().name(), "interrupted");
        let parts = vec![bytes("a"), Err(ConnectorError::denied("no")), Ok(Part::End(json!(1)))];
        let (text, checkpoint) = drain(parts, PullLimits::default()).await;
        assert_eq!(text.unwrap_err(), ConnectorError::denied("no"));
        assert_eq!(checkpoint.unwrap_err(), ConnectorError::denied("no"));
    }

    #[tokio::test]
    async fn a_dropped_body_leaves_no_checkpoint() {
        let (mut body, ending) = payload(stream::iter([bytes("a"), Ok(Part::End(json!(1)))]), PullLimits::default());
        assert!(body.next().await.is_some());
        drop(body);
        assert_eq!(ending.checkpoint().await.unwrap_err().name(), "interrupted");
    }

    #[tokio::test]
    async fn bytes_past_the_limit_are_cut() {
        let limits = PullLimits { max_bytes: 3, ..PullLimits::default() };
        assert!(drain(vec![bytes("abc"), Ok(Part::End(json!(1)))], limits).await.1.is_ok());
        let (text, checkpoint) = drain(vec![bytes("abc"), bytes("d"), Ok(Part::End(json!(1)))], limits).await;
        assert_eq!(text.unwrap_err().name(), "limit");
        assert_eq!(checkpoint.unwrap_err().name(), "limit");
    }

    #[tokio::test(start_paused = true)]
    async fn a_source_that_never_ends_is_cut_whatever_its_pace() {
        let silent = stream::pending::<Item>();
        let (mut body, _) = payload(silent, PullLimits::default());
        let error = body.next().await.unwrap().unwrap_err();
        assert!(error.message().contains("silent") && error.name() == "limit", "{error}");

        let drip = stream::unfold((), |()| async {
            tokio::time::sleep(Duration::from_secs(7)).await;
            Some((bytes("x"), ()))
        });
        let (body, ending) = payload(drip, PullLimits::default());
        let read = body.collect::<Vec<_>>().await;
        assert_eq!(read.len(), 3600 / 7 + 1, "all that came in the hour, and the error");
        assert!(ending.checkpoint().await.unwrap_err().message().contains("longer than 3600"));
    }
}
