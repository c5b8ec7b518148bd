//! Foreign files (XLSX, XLS, ODS, Parquet, Arrow) are decoded in a process of their own.
//!
//! Their decoders are large, and some bytes make them abort, loop or ask for all memory, which nothing inside a process can
//! catch. So the node starts itself anew as `simpul worker` for each file: `child.rs` is what runs there, `confine.rs` what
//! it gives up first, `sniff.rs` what it looks at before it decodes, `sheets.rs` and `tables.rs` the decoding. [`Worker`] is
//! the node's end: a stream of cells, or the fault that ended it. Whatever becomes of the process, it is the file that is
//! refused.

pub mod child;
mod confine;
mod sheets;
mod sniff;
mod tables;

use std::fs::File;
use std::io::{self, Read};
use std::os::fd::AsFd;
use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::process::{Child, ChildStdout, Command, ExitStatus, Stdio};

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::process::{Pid, PidfdFlags, pidfd_open};
use simpul_schemas::{CellFault, Foreign, Sheet};

use crate::config::Limits;

/// Bytes that a decoder may be ahead of the check: what Linux allows anyone by default.
const AHEAD: usize = 1 << 20;
/// Seconds for a process that closed its output to end.
const END_S: i64 = 5;
/// Processor time that even an empty file gets, in seconds.
const BASE_CPU_S: u64 = 10;
/// Processor time for each MiB of a file, in seconds.
const CPU_S_PER_MIB: u64 = 5;

/// A foreign file being decoded: reading gives the records of [`simpul_schemas::CellWriter`]. An error that holds a
/// [`CellFault`] is the file's, any other is the node's.
pub struct Worker {
    child: Child,
    output: ChildStdout,
    silence_s: i64,
    ended: bool,
}

impl Worker {
    /// Starts decoding `file`, which is read from its beginning.
    ///
    /// # Errors
    /// When no process can be started.
    pub fn start(file: File, format: Foreign, sheet: &Sheet, limits: &Limits) -> io::Result<Self> {
        let mebibytes = file.metadata()?.len() >> 20;
        let cpu_s = limits.worker_cpu_s.min(BASE_CPU_S + CPU_S_PER_MIB.saturating_mul(mebibytes));
        // The program that this process runs, even if a newer one lies at its path by now.
        let mut command = Command::new("/proc/self/exe");
        command.arg("worker").arg(format.ending()).arg0("simpul-worker");
        for (name, value) in [
            ("--memory", limits.worker_memory_bytes),
            ("--cpu-s", cpu_s),
            ("--unpacked", limits.decoded_bytes),
            ("--ratio", limits.decoded_ratio),
            ("--merged-rows", sheet.merged_rows.into()),
        ] {
            command.arg(name).arg(value.to_string());
        }
        if let Some(name) = &sheet.name {
            command.arg(format!("--sheet-name={name}"));
        }
        if let Some(number) = sheet.number {
            command.arg("--sheet-number").arg(number.to_string());
        }
        command.env_clear().current_dir("/");
        command.stdin(file).stdout(Stdio::piped()).stderr(Stdio::null());
        let mut child = command.spawn()?;
        let Some(output) = child.stdout.take() else { return Err(io::Error::other("the worker has no output")) };
        // Decoding and checking take turns when little fits between them. A kernel that allows no more is slower, no worse.
        let _ = rustix::pipe::fcntl_setpipe_size(&output, AHEAD);
        let silence_s = i64::try_from(limits.worker_silence_s).unwrap_or(i64::MAX);
        Ok(Self { child, output, silence_s, ended: false })
    }

    /// Why the process ended, when it was not because the file did.
    fn verdict(status: ExitStatus) -> Option<CellFault> {
        if status.success() {
            return None;
        }
        Some(match status.signal().and_then(rustix::process::Signal::from_named_raw) {
            // Memory that is not given ends a Rust program by an abort.
            Some(rustix::process::Signal::ABORT) => CellFault::Memory,
            Some(rustix::process::Signal::XCPU | rustix::process::Signal::KILL) => CellFault::Time,
            _ => CellFault::Died,
        })
    }

    /// Waits for the end of a process that closed its output.
    fn reap(&mut self) -> io::Result<ExitStatus> {
        let watch = pidfd_open(Pid::from_child(&self.child), PidfdFlags::empty())?;
        if !readable(&watch, END_S)? {
            self.child.kill()?;
        }
        self.child.wait()
    }
}

impl Read for Worker {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if self.ended {
            return Ok(0);
        }
        if !readable(&self.output, self.silence_s)? {
            self.ended = true;
            self.child.kill()?;
            return Err(io::Error::other(CellFault::Time));
        }
        let read = self.output.read(buffer)?;
        if read == 0 {
            self.ended = true;
            if let Some(fault) = Self::verdict(self.reap()?) {
                return Err(io::Error::other(fault));
            }
        }
        Ok(read)
    }
}

impl Drop for Worker {
    fn drop(&mut self) {
        // It may have ended by itself; either way nothing of it is left.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Waits until there is something to read, or the end of it.
fn readable(source: &impl AsFd, seconds: i64) -> io::Result<bool> {
    let timeout = Timespec { tv_sec: seconds, tv_nsec: 0 };
    loop {
        match poll(&mut [PollFd::new(source, PollFlags::IN)], Some(&timeout)) {
            Ok(ready) => return Ok(ready > 0),
            Err(rustix::io::Errno::INTR) => {}
            Err(error) => return Err(error.into()),
        }
    }
}

/// The fault of a file behind an error of [`Worker::read`].
pub fn fault_of(error: &io::Error) -> Option<&CellFault> {
    error.get_ref()?.downcast_ref()
}
