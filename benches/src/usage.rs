//! What a process has cost so far, from `/proc`: the same way for this process and for a node.

use std::fs;

use anyhow::{Context as _, Result};

/// The unit of the times in `/proc/PID/stat`, which Linux keeps at this for every program on x86 and ARM.
const TICKS_PER_SECOND: f64 = 100.0;

/// CPU time and memory of a process.
#[derive(Clone, Copy, Debug, Default)]
pub struct Usage {
    /// User and system time of all its threads, in seconds; the clock of the kernel ticks every 10 ms.
    pub cpu_s: f64,
    /// The same of the processes that it started, waited for and that ended.
    pub children_cpu_s: f64,
    /// The most memory that it held at one time (resident set), in MiB.
    pub peak_mib: f64,
    /// The memory that it holds now, in MiB.
    pub now_mib: f64,
}

impl Usage {
    /// Of this process.
    ///
    /// # Errors
    /// When `/proc` cannot be read.
    pub fn own() -> Result<Self> {
        Self::of(std::process::id())
    }

    /// Of the process `pid`.
    ///
    /// # Errors
    /// When there is no such process.
    pub fn of(pid: u32) -> Result<Self> {
        let stat = fs::read_to_string(format!("/proc/{pid}/stat"))?;
        let status = fs::read_to_string(format!("/proc/{pid}/status"))?;
        Self::parse(&stat, &status)
    }

    fn parse(stat: &str, status: &str) -> Result<Self> {
        // The name of the process is in brackets and may hold anything; the fields after it are numbers.
        let after = stat.rsplit_once(") ").context("/proc/PID/stat")?.1;
        let ticks = |first| after.split(' ').skip(first).take(2).map(str::parse::<u64>).sum::<Result<u64, _>>();
        let seconds = |first| -> Result<f64> { Ok(ticks(first)? as f64 / TICKS_PER_SECOND) };
        let mib = |name: &str| -> Result<f64> {
            let line = status.lines().find_map(|line| line.strip_prefix(name)).context("/proc/PID/status")?;
            Ok(line.trim().trim_end_matches(" kB").parse::<f64>()? / 1024.0)
        };
        let (cpu_s, children_cpu_s) = (seconds(11)?, seconds(13)?);
        Ok(Self { cpu_s, children_cpu_s, peak_mib: mib("VmHWM:")?, now_mib: mib("VmRSS:")? })
    }

    /// The CPU seconds since `before`.
    #[must_use]
    pub fn cpu_since(&self, before: &Self) -> f64 {
        self.cpu_s - before.cpu_s
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_fields_are_those_of_the_manual() {
        let stat = "7 (a) b) S 1 7 7 0 -1 4194560 100 0 0 0 250 50 70 30 20 0 1 0 100 1000 10";
        let usage = Usage::parse(stat, "Name:\ta\nVmHWM:\t    2048 kB\nVmRSS:\t    1024 kB\n").unwrap();
        assert!((usage.cpu_s - 3.0).abs() < 1e-9 && (usage.peak_mib - 2.0).abs() < 1e-9);
        assert!((usage.now_mib - 1.0).abs() < 1e-9 && (usage.children_cpu_s - 1.0).abs() < 1e-9);
    }

    #[test]
    fn work_shows() {
        let before = Usage::own().unwrap();
        let started = std::time::Instant::now();
        let mut sum = 0_u64;
        while started.elapsed().as_millis() < 200 {
            sum = std::hint::black_box(sum.wrapping_mul(31) + 7);
        }
        let after = Usage::own().unwrap();
        assert!(after.cpu_since(&before) > 0.01 && after.peak_mib > 0.5);
    }
}
