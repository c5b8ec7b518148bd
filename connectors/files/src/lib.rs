//! The drop folder: files that a clerk or a program puts into a folder of the node.
//!
//! ```text
//! folder/               new files: .csv, .ndjson, .jsonl, .xlsx, .xls, .ods, .parquet, .arrow
//! folder/done/          what landed, with the report beside it if rows were refused
//! folder/refused/       what did not, with the reason beside it: NAME.laporan.txt and NAME.laporan.json
//! ```
//!
//! The folder itself is the state: a file stays where it is until the node has settled it, and a file that was replaced
//! in the meantime is a new file. The key of a payload covers the name and the content.
//!
//! Only regular files are ever opened. A file is taken once neither its content nor its attributes have moved for the
//! quiet time; it is read twice, first for the key and then for the payload, and if the two differ there is no
//! checkpoint and nothing lands. Names that begin with a dot or `~$` and names of unfinished downloads are left alone,
//! as are subfolders. A writer that pauses in mid-file for longer than the quiet time cannot be told from one that has
//! finished: let programs write under a name ending in `.part` and rename at the end.

mod inbox;
mod name;
mod note;
mod reading;

use futures::FutureExt;
use inbox::{Folder, Inbox, Seen};
use note::Reason;
use reading::{Digest, Reading};
use serde::{Deserialize, Serialize};
use simpul_connector_api::*;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, SystemTime};

/// The drop folder, for the node's list of kinds.
pub const KIND: Kind = Kind {
    kind: "files",
    describe: "A drop folder for CSV and NDJSON files; what landed moves to done/, what was refused to refused/.",
    example: EXAMPLE,
    build,
};

const EXAMPLE: &str = r#"# An absolute path; the node must be allowed to write there.
folder = "/var/lib/simpul/masuk/penduduk"
# How long a file must have been left alone before it is taken.
quiet_seconds = 30
# Larger files are moved to refused/.
max_file_bytes = 268435456
# The rest waits for the next run.
max_files_per_run = 100
"#;

#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
struct Config {
    folder: PathBuf,
    #[serde(default = "default_quiet")]
    quiet_seconds: u32,
    #[serde(default = "default_file_bytes")]
    max_file_bytes: u64,
    #[serde(default = "default_files")]
    max_files_per_run: u32,
}

fn default_quiet() -> u32 {
    30
}
fn default_file_bytes() -> u64 {
    256 << 20
}
fn default_files() -> u32 {
    100
}

fn build(config: Value, _: Context) -> Result<Box<dyn Connector>, ConnectorError> {
    Ok(Box::new(Files::new(parse_config(config)?, SystemTime::now)?))
}

#[derive(Clone)]
struct Files {
    config: Config,
    clock: fn() -> SystemTime,
    /// Payloads given since the folder was last reported empty.
    this_run: Arc<AtomicU32>,
}

/// Names the file of a payload and tells it from another file of the same name.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct FileTicket {
    name: String,
    seen: Seen,
}

/// The last file taken. Nothing depends on it, the folder is the state; it shows an operator how far things went.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Checkpoint {
    last_key: String,
}

impl Connector for Files {
    fn kind(&self) -> &'static str {
        KIND.kind
    }

    fn test(&self) -> BoxFuture<'_, Result<TestReport, ConnectorError>> {
        let this = self.clone();
        blocking(move || this.look()).boxed()
    }

    fn pull(
        &self,
        checkpoint: Option<Value>,
        limits: PullLimits,
    ) -> BoxFuture<'_, Result<Option<Pull>, ConnectorError>> {
        let this = self.clone();
        blocking(move || {
            checkpoint.map(parse_stored::<Checkpoint>).transpose()?;
            this.next(limits)
        })
        .boxed()
    }

    fn settle<'a>(&'a self, ticket: Ticket, outcome: Outcome<'a>) -> BoxFuture<'a, Result<(), ConnectorError>> {
        let this = self.clone();
        let (folder, report) = match outcome {
            Outcome::Landed { report } => (Folder::Done, report),
            Outcome::Refused { report } => (Folder::Refused, Some(report)),
        };
        let report = report.map(|r| note::Texts { text: r.text.to_owned(), json: r.json.to_vec() });
        blocking(move || {
            let FileTicket { name, seen } = parse_stored(ticket.0)?;
            Inbox::open(&this.config.folder)?.put_away(name.as_ref(), &seen, folder, report.as_ref())
        })
        .boxed()
    }
}

impl Files {
    fn new(config: Config, clock: fn() -> SystemTime) -> Result<Self, ConnectorError> {
        let wrong = |why| Err(ConnectorError::misconfigured(why));
        if !config.folder.is_absolute() {
            return wrong("`folder` must be an absolute path");
        }
        if config.quiet_seconds == 0 || config.quiet_seconds > 86_400 {
            return wrong("`quiet_seconds` must be between 1 and 86400");
        }
        if config.max_file_bytes == 0 || config.max_files_per_run == 0 {
            return wrong("`max_file_bytes` and `max_files_per_run` must be at least 1");
        }
        Ok(Files { config, clock, this_run: Arc::default() })
    }

    /// The oldest file that may be taken. What can never be taken is put aside on the way.
    fn next(&self, limits: PullLimits) -> Result<Option<Pull>, ConnectorError> {
        if self.this_run.load(Ordering::Relaxed) >= self.config.max_files_per_run {
            self.this_run.store(0, Ordering::Relaxed);
            return Ok(None);
        }
        let inbox = Inbox::open(&self.config.folder)?;
        let max_bytes = self.config.max_file_bytes.min(limits.max_bytes);
        for entry in inbox.entries()? {
            if entry.regular && !entry.seen.still((self.clock)(), self.quiet()) {
                continue;
            }
            match note::reason(&entry, max_bytes) {
                Some(reason) => self.put_aside(&inbox, &entry, reason)?,
                None => {
                    if let Some(pull) = self.take(&inbox, &entry, limits)? {
                        self.this_run.fetch_add(1, Ordering::Relaxed);
                        return Ok(Some(pull));
                    }
                }
            }
        }
        self.this_run.store(0, Ordering::Relaxed);
        Ok(None)
    }

    /// Opens a file and makes a payload of it. `None`: it changed under our eyes, another time.
    fn take(&self, inbox: &Inbox, entry: &inbox::Entry, limits: PullLimits) -> Result<Option<Pull>, ConnectorError> {
        let (Some(name), Some(file)) = (entry.name.to_str(), inbox.open_file(entry)?) else { return Ok(None) };
        let Some(format) = name::format(name) else { return Ok(None) };
        let Some(key) = Digest::of_file(name, &file, &entry.seen)? else { return Ok(None) };
        let ticket = stored(&FileTicket { name: name.to_owned(), seen: entry.seen.clone() })?;
        let after = stored(&Checkpoint { last_key: key.clone() })?;
        let (body, ending) = payload(Reading::new(name, file, entry.seen.clone(), key.clone(), after).parts(), limits);
        // A file name may hold line ends; what is shown and logged may not.
        let name = Message::from(name).to_string();
        Ok(Some(Pull { format, name, key, ticket: Ticket(ticket), body, ending }))
    }

    fn put_aside(&self, inbox: &Inbox, entry: &inbox::Entry, reason: Reason) -> Result<(), ConnectorError> {
        let texts = reason.texts(&entry.name.to_string_lossy());
        inbox.put_away(&entry.name, &entry.seen, Folder::Refused, Some(&texts))
    }

    /// What [`Connector::test`] says.
    fn look(&self) -> Result<TestReport, ConnectorError> {
        const SAMPLES: usize = 20;
        let inbox = Inbox::open(&self.config.folder)?;
        inbox.writable()?;
        let entries = inbox.entries()?;
        let refusable = entries.iter().filter(|e| note::reason(e, self.config.max_file_bytes).is_some()).count();
        let mut notes = Vec::new();
        if refusable > 0 {
            notes.push(format!("{refusable} of them cannot be taken and will be moved to refused/"));
        }
        Ok(TestReport {
            summary: format!("{} waiting in {}", entries.len(), self.config.folder.display()),
            samples: entries
                .iter()
                .take(SAMPLES)
                .map(|e| Message::from(e.name.to_string_lossy()).to_string())
                .collect(),
            notes,
            ..TestReport::default()
        })
    }

    fn quiet(&self) -> Duration {
        Duration::from_secs(self.config.quiet_seconds.into())
    }
}

/// Reads back a checkpoint or a ticket that this kind wrote.
fn parse_stored<T: serde::de::DeserializeOwned>(value: Value) -> Result<T, ConnectorError> {
    let foreign = |_| ConnectorError::misconfigured("the stored position was not written by a drop folder");
    serde_json::from_value(value).map_err(foreign)
}

fn stored<T: Serialize>(value: &T) -> Result<Value, ConnectorError> {
    serde_json::to_value(value).map_err(|e| ConnectorError::source_data(e.to_string()))
}

/// Folder work off the runtime's threads.
async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, ConnectorError> + Send + 'static,
) -> Result<T, ConnectorError> {
    let ended = |_| Err(ConnectorError::interrupted("the node is stopping"));
    tokio::task::spawn_blocking(work).await.unwrap_or_else(ended)
}

#[cfg(test)]
mod tests;
