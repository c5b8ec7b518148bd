//! `GET /v1/audit/export`: the whole audit log as one file that anyone can verify offline.

use std::io::{self, Write};

use axum::body::Body;
use axum::extract::Request;
use axum::response::Response;
use bytes::Bytes;
use tokio::sync::mpsc::Sender;

use crate::answer;
use crate::door::Context;
use crate::refusal::Refusal;

/// Bytes of one piece of the answer.
const PIECE: usize = 64 << 10;

/// Streams the log. The entry about the export itself is in it.
pub async fn run(context: Context, _request: Request) -> Result<Response, Refusal> {
    let app = context.app.clone();
    context.account.record(&app).await?;
    let (sender, mut receiver) = tokio::sync::mpsc::channel::<io::Result<Bytes>>(4);
    tokio::task::spawn_blocking(move || {
        let mut out = Pieces { sender: sender.clone(), buffer: Vec::with_capacity(PIECE) };
        let result = app.audit.export(&mut out, app.now()).map_err(|error| io::Error::other(error.to_string()));
        if let Err(error) = result.and_then(|_| out.flush()) {
            // The reader sees a broken answer and not a short one.
            let _ = sender.blocking_send(Err(error));
        }
    });
    let stream = futures::stream::poll_fn(move |context| receiver.poll_recv(context));
    Ok(answer::ok("text/plain; charset=utf-8", Body::from_stream(stream)))
}

/// Sends what is written in pieces.
struct Pieces {
    sender: Sender<io::Result<Bytes>>,
    buffer: Vec<u8>,
}

impl Write for Pieces {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.buffer.extend_from_slice(bytes);
        if self.buffer.len() >= PIECE {
            self.flush()?;
        }
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        let piece = Bytes::from(std::mem::take(&mut self.buffer));
        self.sender.blocking_send(Ok(piece)).map_err(|_| io::Error::from(io::ErrorKind::BrokenPipe))
    }
}
