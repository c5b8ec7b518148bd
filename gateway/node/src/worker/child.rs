//! The process that decodes: `simpul worker`. It reads standard input, which is the file, and writes cells to standard output.

use std::fs::File;
use std::io::{self, Write};
use std::os::fd::AsFd;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::process::ExitCode;

use clap::Args;
use simpul_schemas::{CellFault, CellWriter, Foreign, Sheet};

use super::sniff::{self, Unpacked};
use super::{confine, sheets, tables};

/// Bytes that are sent at once.
const SEND: usize = 64 << 10;

/// What the node tells the process that it starts.
#[derive(Args)]
pub struct Options {
    /// xlsx, xls, ods, parquet or arrow
    format: String,
    /// Bytes of address space
    #[arg(long)]
    memory: u64,
    /// Seconds of processor time
    #[arg(long)]
    cpu_s: u64,
    /// Bytes that an archive may unpack to
    #[arg(long)]
    unpacked: u64,
    /// Bytes that an archive may unpack to for each of its own
    #[arg(long)]
    ratio: u64,
    /// Sheet by name
    #[arg(long)]
    sheet_name: Option<String>,
    /// Sheet by number, from 1
    #[arg(long)]
    sheet_number: Option<u32>,
    /// Merged cells that begin above this row are filled
    #[arg(long, default_value_t = 0)]
    merged_rows: u32,
}

/// Why decoding ends before the file does.
pub enum Stop {
    /// The file cannot be read.
    Fault(CellFault),
    /// Nobody reads what is written.
    Unheard,
}

impl From<CellFault> for Stop {
    fn from(fault: CellFault) -> Self {
        Self::Fault(fault)
    }
}

/// Where the cells go.
pub struct Output {
    /// Cells on their way.
    pub writer: CellWriter,
    pipe: File,
}

impl Output {
    /// An output to that pipe.
    pub fn to(pipe: File) -> Self {
        Self { writer: CellWriter::default(), pipe }
    }

    /// Sends what is written, if that is worth it.
    ///
    /// # Errors
    /// When nobody reads it.
    pub fn flush_full(&mut self) -> Result<(), Stop> {
        if self.writer.bytes().len() < SEND { Ok(()) } else { self.flush() }
    }

    /// The file is complete.
    ///
    /// # Errors
    /// When nobody reads it.
    pub fn end(&mut self) -> Result<(), Stop> {
        self.writer.end();
        self.flush()
    }

    fn flush(&mut self) -> Result<(), Stop> {
        self.pipe.write_all(self.writer.bytes()).map_err(|_| Stop::Unheard)?;
        self.writer.clear();
        Ok(())
    }
}

/// Decodes standard input. Whatever goes wrong is the exit status or a fault in the stream.
pub fn run(options: &Options) -> ExitCode {
    // What a decoder says when it breaks may quote the file.
    std::panic::set_hook(Box::new(|_| {}));
    let Some(format) = Foreign::of_ending(&options.format) else { return ExitCode::FAILURE };
    let Ok((file, pipe)) = descriptors() else { return ExitCode::FAILURE };
    if confine::limits(options.memory, options.cpu_s).is_err() {
        return ExitCode::FAILURE;
    }
    // An old kernel without the filter still has the limits; `confine` says what that leaves open.
    let _ = confine::system_calls();
    let mut out = Output::to(pipe);
    let decoded = catch_unwind(AssertUnwindSafe(|| decode(file, format, options, &mut out)));
    match decoded {
        Ok(Ok(())) => ExitCode::SUCCESS,
        Ok(Err(Stop::Unheard)) | Err(_) => ExitCode::FAILURE,
        Ok(Err(Stop::Fault(fault))) => {
            out.writer.fault(&fault);
            if out.flush().is_ok() { ExitCode::SUCCESS } else { ExitCode::FAILURE }
        }
    }
}

fn descriptors() -> io::Result<(File, File)> {
    let file = io::stdin().as_fd().try_clone_to_owned()?.into();
    Ok((file, io::stdout().as_fd().try_clone_to_owned()?.into()))
}

/// Decodes a file, without any confinement.
///
/// # Errors
/// Why it cannot be read, or that nobody listens any more.
pub fn decode(mut file: File, format: Foreign, options: &Options, out: &mut Output) -> Result<(), Stop> {
    let unpacked = Unpacked { bytes: options.unpacked, ratio: options.ratio };
    match sniff::check(&mut file, format, unpacked) {
        Err(CellFault::Other { is }) if is == "compound" => {
            // A workbook behind a password hides in the container of old workbooks, whatever its name says.
            let fault = if sheets::is_encrypted(file) {
                CellFault::Encrypted
            } else {
                CellFault::Other { is: "xls".to_owned() }
            };
            return Err(fault.into());
        }
        checked => checked?,
    }
    match format {
        Foreign::Parquet | Foreign::Arrow => tables::read(file, format, out),
        Foreign::Xls if file.try_clone().is_ok_and(sheets::is_encrypted) => Err(CellFault::Encrypted.into()),
        format => {
            let sheet = Sheet {
                name: options.sheet_name.clone(),
                number: options.sheet_number,
                merged_rows: options.merged_rows,
            };
            rewind(&file)?;
            sheets::read(file, format, &sheet, out)
        }
    }
}

fn rewind(mut file: &File) -> Result<(), Stop> {
    let start = io::Seek::rewind(&mut file);
    start.map_err(|error| CellFault::Damaged { why: error.to_string() }.into())
}
