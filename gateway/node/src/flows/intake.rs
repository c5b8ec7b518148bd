//! One body on its way from the wire to staged files: decompress → digest → validate → stage.
//!
//! Runs on a thread of its own, fed with chunks through a short queue, so that a slow sender costs no thread of the runtime
//! and a fast one is slowed to the speed of validation. The stager encodes a large delivery on a second thread while the next
//! rows are checked. Memory is flat whatever the size of the body, but for eight to twelve bytes a row with a key.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::{self, BufWriter, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use arrow::compute::take_record_batch;
use arrow_array::{RecordBatch, UInt32Array};
use simpul_core::delivery::{Mode, Staged};
use simpul_core::digest::Digest;
use simpul_lake::{LakeError, Stager};
use simpul_schemas::{
    AcceptedBatch, CellFault, Contract, Fatal, Field, News, RejectedRow, Report, Text, Validator, canonical_text,
};

use super::decompress::{Coding, DecodeLimits, Decompress, Sink};
use super::spill::Trouble;

/// Why a body was not taken.
#[derive(Debug)]
pub enum IntakeError {
    /// The compressed stream is broken or ends early.
    Corrupt(String),
    /// The zstd frame asks for a larger window than is allowed.
    Window,
    /// The decompressed body is larger than allowed, or grows too fast.
    TooLarge(&'static str),
    /// The lake cannot take the rows.
    Lake(LakeError),
    /// The quarantine file or the file of keys cannot be written.
    Quarantine(io::Error),
}

impl From<LakeError> for IntakeError {
    fn from(error: LakeError) -> Self {
        Self::Lake(error)
    }
}

impl From<io::Error> for IntakeError {
    fn from(error: io::Error) -> Self {
        Self::Quarantine(error)
    }
}

/// What became of a whole body.
pub struct Taken {
    /// The accepted rows and the digest of the sender's file. No rows when the file as a whole cannot be read.
    pub staged: Staged,
    /// SHA-256 of the bytes on the wire.
    pub wire: Digest,
    /// What the validator found; `fatal` when the file as a whole cannot be read.
    pub report: Report,
}

/// A body being taken.
pub struct Intake(Decompress<Rows>);

/// What takes the rows of a delivery.
pub struct Takers {
    /// Their check.
    pub validator: Validator,
    /// The good ones.
    pub stager: Stager,
    /// The bad ones.
    pub quarantine: Quarantine,
    /// What goes wrong with the file of keys that the check uses.
    pub keys: Trouble,
}

/// Where the decompressed bytes go.
struct Rows {
    contract: Arc<Contract>,
    validator: Validator,
    stager: Stager,
    quarantine: Quarantine,
    keys: Trouble,
    /// Why the file as a whole cannot be read. What follows is swallowed: its digest tells whether the same file comes again.
    unreadable: Option<Report>,
}

impl Intake {
    /// A pipe for one body of `contract`.
    ///
    /// # Errors
    /// When the decompressor cannot be made.
    pub fn new(
        contract: Arc<Contract>,
        takers: Takers,
        coding: Coding,
        limits: DecodeLimits,
    ) -> Result<Self, IntakeError> {
        Ok(Self(Decompress::new(coding, limits, Rows::new(contract, takers))?))
    }

    /// Takes the next bytes from the wire.
    ///
    /// # Errors
    /// The first [`IntakeError`]; the body cannot go on after it.
    pub fn push(&mut self, chunk: &[u8]) -> Result<(), IntakeError> {
        self.0.push(chunk)
    }

    /// Checks what waits for a batch to fill and tells how far the check is: see [`Validator::news`].
    ///
    /// # Errors
    /// As [`Intake::push`].
    pub fn news(&mut self, from: usize, most: usize) -> Result<News, IntakeError> {
        let rows = self.0.sink();
        if rows.unreadable.is_none() {
            rows.check(|rows| rows.validator.settle().is_ok())?;
        }
        Ok(rows.validator.news(from, most))
    }

    /// The body is complete: settles what needs the whole file and makes the accepted rows durable.
    ///
    /// # Errors
    /// [`IntakeError`] when the compressed stream ends early, the file has an error that shows at its end, or the rows
    /// cannot be made durable.
    pub fn finish(self) -> Result<Taken, IntakeError> {
        let ended = self.0.finish()?;
        ended.sink.finish(ended.wire, ended.payload)
    }
}

/// A file that was decoded elsewhere being taken: the records of its cells instead of its bytes.
pub struct CellIntake(Rows);

impl CellIntake {
    /// A pipe for one file of `contract`, as [`Intake::new`].
    pub fn new(contract: Arc<Contract>, takers: Takers) -> Self {
        Self(Rows::new(contract, takers))
    }

    /// Takes the next records. Says whether more are wanted.
    ///
    /// # Errors
    /// The first [`IntakeError`].
    pub fn push(&mut self, records: &[u8]) -> Result<bool, IntakeError> {
        self.0.take(records)?;
        Ok(self.0.unreadable.is_none())
    }

    /// The decoder failed.
    pub fn fail(&mut self, fault: &CellFault) {
        self.0.validator.fail(fault);
        self.0.unreadable.get_or_insert_with(|| self.0.validator.report());
    }

    /// The file is complete, or cannot be read; its digests are `wire` and `payload`.
    ///
    /// # Errors
    /// As [`Intake::finish`].
    pub fn finish(self, wire: Digest, payload: Digest) -> Result<Taken, IntakeError> {
        self.0.finish(wire, payload)
    }
}

impl Rows {
    fn new(contract: Arc<Contract>, takers: Takers) -> Self {
        let Takers { validator, stager, quarantine, keys } = takers;
        Self { contract, validator, stager, quarantine, keys, unreadable: None }
    }

    fn finish(mut self, wire: Digest, payload: Digest) -> Result<Taken, IntakeError> {
        if self.unreadable.is_none() {
            self.check(|rows| rows.validator.finish().is_ok())?;
        }
        self.quarantine.close()?;
        let Self { validator, stager, unreadable, .. } = self;
        let (report, files) = match unreadable {
            Some(report) => (report, Vec::new()),
            None => (validator.into_report(), stager.finish()?),
        };
        let staged = Staged { counts: report.counts(), payload, files };
        Ok(Taken { staged, wire, report })
    }

    /// Takes one step of validation and moves what came of it to the stager and to quarantine.
    fn check(&mut self, step: impl FnOnce(&mut Self) -> bool) -> Result<(), IntakeError> {
        if !step(self) {
            if let Some(error) = self.keys.told() {
                // A fault of the node: the file may be good.
                return Err(error.into());
            }
            self.unreadable = Some(self.validator.report());
            return Ok(());
        }
        match stage(&self.contract, &mut self.stager, self.validator.take_batches()) {
            Err(IntakeError::Lake(error @ (LakeError::TooManyPeriods { .. } | LakeError::PartitionValue { .. }))) => {
                self.unreadable = Some(periods_refused(self.validator.report(), &error, &self.contract));
                Ok(())
            }
            other => other.and_then(|()| {
                let rows = self.validator.take_rejected();
                self.quarantine.keep_all(self.validator.header_text(), rows)
            }),
        }
    }
}

/// The report about a file whose periods the table cannot take.
fn periods_refused(mut report: Report, error: &LakeError, contract: &Contract) -> Report {
    let name = contract.period_field().unwrap_or_default();
    let field = contract.fields().iter().find(|field| field.name() == name);
    let column = field.and_then(Field::title).unwrap_or(name);
    let (id, en) = match error {
        LakeError::TooManyPeriods { limit } => (
            format!("Kolom {column} memuat lebih dari {limit} periode; satu kiriman mengganti paling banyak {limit}."),
            format!("The column {column} holds more than {limit} periods; one delivery replaces at most {limit}."),
        ),
        _ => (
            format!("Kolom {column} memuat periode yang tidak dapat menjadi nama bagian tabel."),
            format!("The column {column} holds a period that cannot name a part of the table."),
        ),
    };
    let hint = Text::fixed(
        "Periksa kolom periode, atau bagi berkas menjadi beberapa kiriman.",
        "Check the column of the period, or divide the file into several deliveries.",
    );
    report.valid = false;
    report.stats.errors += 1;
    report.fatal = Some(Fatal {
        kind: "limit-error".into(),
        detail: "periods".into(),
        row: None,
        column: None,
        byte: None,
        message: Box::new(Text::new(id, en)),
        hint: Some(Box::new(hint)),
    });
    report
}

impl Sink for Rows {
    fn take(&mut self, bytes: &[u8]) -> Result<(), IntakeError> {
        if self.unreadable.is_some() {
            return Ok(());
        }
        self.check(|rows| rows.validator.push(bytes).is_ok())
    }
}

fn stage(contract: &Contract, stager: &mut Stager, batches: Vec<AcceptedBatch>) -> Result<(), IntakeError> {
    for batch in batches {
        match contract.mode() {
            Mode::Append => stager.write(None, &batch.rows)?,
            Mode::Replace => {
                for (period, rows) in by_period(contract, &batch.rows)? {
                    stager.write(Some(&period), &rows)?;
                }
            }
        }
    }
    Ok(())
}

/// The rows of a batch, apart by the value of the contract's period field.
fn by_period(contract: &Contract, rows: &RecordBatch) -> Result<Vec<(String, RecordBatch)>, IntakeError> {
    let column = contract.period_field().and_then(|name| rows.column_by_name(name));
    let Some(column) = column else { return Ok(vec![(String::new(), rows.clone())]) };
    let mut parts: BTreeMap<String, Vec<u32>> = BTreeMap::new();
    for (index, row) in (0..rows.num_rows()).zip(0_u32..) {
        parts.entry(canonical_text(column, index).unwrap_or_default()).or_default().push(row);
    }
    let taken = parts.into_iter().map(|(period, indices)| {
        let part = take_record_batch(rows, &UInt32Array::from(indices)).map_err(LakeError::from)?;
        Ok((period, part))
    });
    taken.collect()
}

/// The refused rows of one delivery as they came, one JSON object a line, until the limit: first the head of the file,
/// `{"head": …}`, then the rows, `{"row": …, "raw": …}`. Readable by the node only.
pub struct Quarantine {
    path: PathBuf,
    file: Option<BufWriter<File>>,
    left: u64,
}

impl Quarantine {
    /// A file at `path` of at most `bytes`, made when the first row comes. With 0 bytes nothing is kept.
    pub const fn new(path: PathBuf, bytes: u64) -> Self {
        Self { path, file: None, left: bytes }
    }

    fn keep_all(&mut self, head: &str, rejected: Vec<RejectedRow>) -> Result<(), IntakeError> {
        if self.file.is_none() && self.left > 0 && !rejected.is_empty() {
            let line = format!("{}\n", serde_json::json!({"head": head}));
            let Some(left) = self.left.checked_sub(line.len() as u64) else { return Ok(()) };
            self.left = left;
            self.file()?.write_all(line.as_bytes())?;
        }
        for row in rejected {
            let line = format!("{}\n", serde_json::json!({"row": row.row, "raw": row.raw}));
            let Some(left) = self.left.checked_sub(line.len() as u64) else { return Ok(()) };
            self.left = left;
            self.file()?.write_all(line.as_bytes())?;
        }
        Ok(())
    }

    fn file(&mut self) -> io::Result<&mut BufWriter<File>> {
        if self.file.is_none() {
            let file = File::options().write(true).create(true).truncate(true).mode(0o600).open(&self.path)?;
            self.file = Some(BufWriter::new(file));
        }
        self.file.as_mut().ok_or_else(|| io::Error::other("no quarantine file"))
    }

    fn close(&mut self) -> io::Result<()> {
        match self.file.take() {
            Some(file) => file.into_inner().map_err(io::IntoInnerError::into_error)?.sync_all(),
            None => Ok(()),
        }
    }
}

/// Removes from the folder `quarantine` what was kept for longer than `age`, and the oldest of what is more than `total` bytes.
pub fn clear_quarantine(quarantine: &Path, age: Duration, total: u64) {
    let Ok(files) = fs::read_dir(quarantine) else { return };
    let known = files.flatten().filter_map(|file| {
        let data = file.metadata().ok()?;
        Some((data.modified().ok()?, data.len(), file.path()))
    });
    let mut newest_first: Vec<_> = known.collect();
    newest_first.sort_by(|a, b| b.cmp(a));
    let mut kept = 0;
    for (modified, bytes, path) in newest_first {
        kept += bytes;
        if kept > total || modified.elapsed().is_ok_and(|old| old > age) {
            let _ = fs::remove_file(path);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::SystemTime;

    use super::*;

    #[test]
    fn old_rows_leave_quarantine_and_the_oldest_of_too_many() {
        let folder = tempfile::tempdir().unwrap();
        for (name, bytes, hours) in [("a", 10, 1), ("b", 10, 2), ("c", 10, 3), ("d", 1, 100)] {
            let path = folder.path().join(name);
            fs::write(&path, vec![b'x'; bytes]).unwrap();
            let at = SystemTime::now() - Duration::from_secs(hours * 3600);
            File::options().write(true).open(&path).unwrap().set_modified(at).unwrap();
        }
        let left = |age: u64, total| {
            clear_quarantine(folder.path(), Duration::from_secs(age * 3600), total);
            let mut names: Vec<_> = fs::read_dir(folder.path()).unwrap().map(|f| f.unwrap().file_name()).collect();
            names.sort();
            names.into_iter().map(|name| name.into_string().unwrap()).collect::<String>()
        };
        assert_eq!(left(1000, 1000), "abcd");
        assert_eq!(left(50, 1000), "abc");
        assert_eq!(left(50, 29), "ab");
        assert_eq!(left(50, 5), "");
    }
}
