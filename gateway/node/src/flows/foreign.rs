//! A body in a foreign format on its way to staged rows.
//!
//! 1. [`take`] spools the body, without its compression, into a file that has no name: decoders of these formats go back and
//!    forth in it. The digest that the sender announced is checked before anything is decoded.
//! 2. It waits for one of the places for decoders.
//! 3. [`decode`] starts a [`Worker`] on the file and feeds the cells that come out to `intake`, as if they were a body.

use std::fs::{self, File};
use std::io::{self, BufWriter, Read, Seek, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use simpul_core::delivery::Delivery;
use simpul_schemas::{Foreign, Sheet};

use super::decompress::{DecodeLimits, Decompress, Ended, Sink};
use super::ingest::{self, Chunks, Submission};
use super::intake::{CellIntake, IntakeError, Taken};
use super::spill;
use crate::app::App;
use crate::config::Limits;
use crate::refusal::Refusal;
use crate::worker::{Worker, fault_of};

/// Bytes that are read from a decoder at once.
const READ: usize = 64 << 10;

/// Takes the body of a delivery in a foreign format.
///
/// # Errors
/// Why the body does not come or is not what was announced, or a fault of the node. A file that cannot be decoded is no
/// error but a report.
pub async fn take(
    app: &Arc<App>,
    submission: &Submission,
    delivery: &Delivery,
    format: Foreign,
    body: Chunks,
) -> Result<Taken, Refusal> {
    let spool = spool(app, &delivery.id).map_err(IntakeError::from)?;
    let limits = app.decode_limits();
    let limits = DecodeLimits { decoded_bytes: limits.decoded_bytes.min(app.config.limits.body_bytes), ..limits };
    let pipe = Decompress::new(submission.coding, limits, spool)?;
    let spooled = ingest::pour(body, pipe, Decompress::push).await?.finish()?;
    if submission.expected.is_some_and(|expected| expected != spooled.wire) {
        return Err(ingest::digest_mismatch());
    }
    let _place = app.workers.acquire().await.map_err(Refusal::internal)?;
    let takers = ingest::takers(app, submission, delivery)?;
    let contract = submission.contract.clone();
    let sheet = contract.sheet().clone();
    let intake = CellIntake::new(contract, takers);
    let limits = app.config.limits.clone();
    let decoding = tokio::task::spawn_blocking(move || decode(spooled, format, &sheet, &limits, intake));
    decoding.await.map_err(Refusal::internal)?
}

/// A body on the disk, readable by the node only, gone with the last that has it open.
struct Spool(BufWriter<File>);

impl Sink for Spool {
    fn take(&mut self, bytes: &[u8]) -> Result<(), IntakeError> {
        Ok(self.0.write_all(bytes)?)
    }
}

/// The ending of a spooled body, for the moment in which it has a name.
const ENDING: &str = "body";

fn spool(app: &App, delivery: &str) -> io::Result<Spool> {
    let path = app.spool_path(delivery, ENDING);
    let file = File::options().read(true).write(true).create_new(true).mode(0o600).open(&path)?;
    fs::remove_file(&path)?;
    Ok(Spool(BufWriter::with_capacity(READ, file)))
}

/// Removes from the folder `spool` what an interruption left in the moment in which it had a name.
pub fn clear(spool: &Path) {
    let Ok(files) = fs::read_dir(spool) else { return };
    let ours = |path: &PathBuf| path.extension().is_some_and(|end| end == ENDING || end == spill::ENDING);
    for path in files.flatten().map(|file| file.path()).filter(ours) {
        let _ = fs::remove_file(path);
    }
}

/// Step 3: from the spooled file to rows that are staged.
fn decode(
    spooled: Ended<Spool>,
    format: Foreign,
    sheet: &Sheet,
    limits: &Limits,
    mut intake: CellIntake,
) -> Result<Taken, Refusal> {
    let mut file = spooled.sink.0.into_inner().map_err(|error| IntakeError::from(error.into_error()))?;
    file.rewind().map_err(IntakeError::from)?;
    let mut worker = Worker::start(file, format, sheet, limits).map_err(Refusal::internal)?;
    let mut buffer = vec![0; READ];
    loop {
        match worker.read(&mut buffer) {
            Ok(0) => break,
            Ok(read) => {
                if !intake.push(buffer.get(..read).unwrap_or_default())? {
                    break;
                }
            }
            Err(error) => match fault_of(&error) {
                Some(fault) => {
                    intake.fail(fault);
                    break;
                }
                None => return Err(Refusal::internal(error)),
            },
        }
    }
    drop(worker);
    Ok(intake.finish(spooled.wire, spooled.payload)?)
}
