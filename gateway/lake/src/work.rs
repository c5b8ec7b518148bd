//! Work that blocks, as a stream.

use futures::stream::{self, BoxStream, StreamExt};
use tokio::sync::mpsc;

use crate::error::{LakeError, Result};

/// Pieces that are made before the reader asks for them.
const AHEAD: usize = 2;

/// Takes one piece; false if nobody wants any more.
pub(crate) type Send<'a, T> = &'a mut dyn FnMut(T) -> bool;

/// What `work` sends from a blocking thread. The stream ends after an error, and an end that `work` does not reach is one.
pub(crate) fn blocking_stream<T, F>(work: F) -> BoxStream<'static, Result<T>>
where
    T: std::marker::Send + 'static,
    F: FnOnce(Send<'_, T>) -> Result<()> + std::marker::Send + 'static,
{
    let (sender, receiver) = mpsc::channel(AHEAD);
    tokio::task::spawn_blocking(move || {
        let end = work(&mut |piece| sender.blocking_send(Ok(Some(piece))).is_ok());
        let _ = sender.blocking_send(end.map(|()| None));
    });
    let pieces = stream::unfold(Some(receiver), |receiver| async {
        let mut receiver = receiver?;
        match receiver.recv().await.unwrap_or(Err(LakeError::CutOff)) {
            Ok(piece) => piece.map(|piece| (Ok(piece), Some(receiver))),
            Err(error) => Some((Err(error), None)),
        }
    });
    pieces.boxed()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_thread_that_dies_is_an_error_and_not_the_end() {
        let stream = blocking_stream::<u8, _>(|send| {
            send(1);
            panic!("expected by the test")
        });
        let pieces: Vec<Result<u8>> = stream.collect().await;
        assert!(matches!(pieces.as_slice(), [Ok(1), Err(LakeError::CutOff)]));
    }
}
