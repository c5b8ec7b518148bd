//! The folder on disk. Everything goes through the folder's own descriptor, so that no path is walked twice.

use crate::name::{self, REPORT_JSON, REPORT_TEXT};
use crate::note::Texts;
use rustix::fd::{AsFd, OwnedFd};
use rustix::fs::{self, Access, AtFlags, Dir, FileType, Mode, OFlags, RenameFlags, Stat};
use rustix::io::Errno;
use serde::{Deserialize, Serialize};
use simpul_connector_api::ConnectorError;
use std::ffi::{OsStr, OsString};
use std::fs::File;
use std::io::Write;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// Entries looked at in one round; what a fuller folder holds beyond them is seen as these are worked off.
const MAX_ENTRIES: usize = 50_000;
/// Files of one name in `done/` or `refused/`.
const MAX_SAME_NAME: u32 = 9_999;

/// Where a settled file goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Folder {
    /// What landed.
    Done,
    /// What did not.
    Refused,
}

impl Folder {
    /// Its name under the drop folder.
    pub fn name(self) -> &'static str {
        match self {
            Self::Done => "done",
            Self::Refused => "refused",
        }
    }
}

/// Tells a file from another one, or from itself after a change. Survives a rename.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Seen {
    dev: u64,
    ino: u64,
    /// Bytes.
    pub size: u64,
    mtime: (i64, u32),
    /// The last change of content, attributes or name. Not part of the identity, a rename moves it.
    #[serde(skip)]
    ctime: (i64, u32),
}

impl Seen {
    fn new(stat: &Stat) -> Self {
        Seen {
            dev: stat.st_dev,
            ino: stat.st_ino,
            size: stat.st_size.max(0).unsigned_abs(),
            mtime: (stat.st_mtime, u32::try_from(stat.st_mtime_nsec).unwrap_or(0)),
            ctime: (stat.st_ctime, u32::try_from(stat.st_ctime_nsec).unwrap_or(0)),
        }
    }

    /// Of an open file.
    pub fn of(file: &File) -> Result<Self, ConnectorError> {
        fs::fstat(file).map(|stat| Seen::new(&stat)).map_err(|e| failed("the file", e))
    }

    /// The same file with the same content, wherever it now lies.
    pub fn same(&self, other: &Seen) -> bool {
        (self.dev, self.ino, self.size, self.mtime) == (other.dev, other.ino, other.size, other.mtime)
    }

    /// Whether nothing moved for `quiet`. Programs can set the modification time back, as copying tools do before they
    /// are finished; the change time they cannot, and it follows every write.
    pub fn still(&self, now: SystemTime, quiet: Duration) -> bool {
        let last = self.mtime.max(self.ctime);
        let at = Duration::new(last.0.max(0).unsigned_abs(), last.1);
        now.duration_since(UNIX_EPOCH).is_ok_and(|now| now.checked_sub(at).is_some_and(|age| age >= quiet))
    }
}

/// A name in the folder, without what is ignored and without subfolders.
#[derive(Debug)]
pub struct Entry {
    /// Its name, which need not be text.
    pub name: OsString,
    /// How it looked.
    pub seen: Seen,
    /// Neither a link, a pipe, a socket nor a device.
    pub regular: bool,
}

/// An open drop folder.
pub struct Inbox(OwnedFd);

impl Inbox {
    /// Opens the folder.
    pub fn open(path: &Path) -> Result<Self, ConnectorError> {
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
        let folder = fs::open(path, flags, Mode::empty()).map_err(|e| failed(&path.display().to_string(), e))?;
        Ok(Inbox(folder))
    }

    /// Whether files can be moved out of it.
    pub fn writable(&self) -> Result<(), ConnectorError> {
        let access = Access::WRITE_OK | Access::EXEC_OK;
        fs::accessat(&self.0, ".", access, AtFlags::EACCESS).map_err(|e| failed("writing to the drop folder", e))
    }

    /// What waits, oldest first. Nothing is opened.
    pub fn entries(&self) -> Result<Vec<Entry>, ConnectorError> {
        let fail = |e| failed("listing the drop folder", e);
        let mut entries = Vec::new();
        for item in Dir::read_from(&self.0).map_err(fail)?.take(MAX_ENTRIES) {
            let item = item.map_err(fail)?;
            let name = OsStr::from_bytes(item.file_name().to_bytes());
            if name::ignored(name.as_bytes()) {
                continue;
            }
            let Some(stat) = self.stat(name)? else { continue };
            let kind = FileType::from_raw_mode(stat.st_mode);
            if kind != FileType::Directory {
                let regular = kind == FileType::RegularFile;
                entries.push(Entry { name: name.to_owned(), seen: Seen::new(&stat), regular });
            }
        }
        entries.sort_by(|a, b| (a.seen.mtime, &a.name).cmp(&(b.seen.mtime, &b.name)));
        Ok(entries)
    }

    /// Opens a regular file for reading; `None` if it is gone or another one by now. A link is not followed, and a pipe
    /// that took its place does not block.
    pub fn open_file(&self, entry: &Entry) -> Result<Option<File>, ConnectorError> {
        let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::NOCTTY | OFlags::CLOEXEC;
        let file = match fs::openat(&self.0, &entry.name, flags, Mode::empty()) {
            Ok(fd) => File::from(fd),
            Err(Errno::NOENT | Errno::LOOP | Errno::NXIO) => return Ok(None),
            Err(e) => return Err(failed(&format!("opening {}", entry.name.display()), e)),
        };
        let stat = fs::fstat(&file).map_err(|e| failed("the file", e))?;
        let regular = FileType::from_raw_mode(stat.st_mode) == FileType::RegularFile;
        Ok((regular && Seen::new(&stat).same(&entry.seen)).then_some(file))
    }

    /// Moves a file to `done/` or `refused/`, with its report beside it, under a name that was free. A file that is gone
    /// was put away before; one that changed since it was seen is a new file and stays.
    pub fn put_away(
        &self,
        name: &OsStr,
        seen: &Seen,
        folder: Folder,
        report: Option<&Texts>,
    ) -> Result<(), ConnectorError> {
        if name.is_empty() || name.as_bytes().contains(&b'/') || name::ignored(name.as_bytes()) {
            return Err(ConnectorError::misconfigured("not a name in the drop folder"));
        }
        match self.stat(name)? {
            Some(stat) if Seen::new(&stat).same(seen) => {}
            _ => return Ok(()),
        }
        let target = self.subfolder(folder)?;
        let wanted = name.to_string_lossy();
        for number in 1..=MAX_SAME_NAME {
            let free = name::numbered(&wanted, number);
            if is_free(&target, &free)?
                && write_report(&target, &free, report)?
                && self.move_to(name, &target, &free)?
            {
                self.return_stranger(name, seen, &target, &free)?;
                sync(&target)?;
                return sync(&self.0);
            }
        }
        Err(ConnectorError::limit(format!("{}/ holds {MAX_SAME_NAME} files named {wanted}", folder.name())))
    }

    /// A file that took the name between the look and the move is not the one that was settled: back with it.
    fn return_stranger(&self, name: &OsStr, seen: &Seen, target: &OwnedFd, moved: &str) -> Result<(), ConnectorError> {
        let stat = fs::statat(target, moved, AtFlags::SYMLINK_NOFOLLOW).map_err(|e| failed(moved, e))?;
        if Seen::new(&stat).same(seen) {
            return Ok(());
        }
        let wanted = name.to_string_lossy();
        for number in 1..=MAX_SAME_NAME {
            let back = name::numbered(&wanted, number);
            if rename_to_free(target.as_fd(), moved.as_ref(), self.0.as_fd(), back.as_ref())? {
                return Ok(());
            }
        }
        Err(ConnectorError::limit(format!("the drop folder holds {MAX_SAME_NAME} files named {wanted}")))
    }

    /// False if the name was taken in the meantime.
    fn move_to(&self, name: &OsStr, target: &OwnedFd, free: &str) -> Result<bool, ConnectorError> {
        rename_to_free(self.0.as_fd(), name, target.as_fd(), free.as_ref())
    }

    /// `done/` or `refused/`, made if missing. A link in its place is not followed.
    fn subfolder(&self, folder: Folder) -> Result<OwnedFd, ConnectorError> {
        let name = folder.name();
        match fs::mkdirat(&self.0, name, Mode::from_raw_mode(0o770)) {
            Ok(()) => sync(&self.0)?,
            Err(Errno::EXIST) => {}
            Err(e) => return Err(failed(name, e)),
        }
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        fs::openat(&self.0, name, flags, Mode::empty()).map_err(|e| failed(name, e))
    }

    fn stat(&self, name: &OsStr) -> Result<Option<Stat>, ConnectorError> {
        stat_in(&self.0, name)
    }
}

fn stat_in(folder: &OwnedFd, name: &OsStr) -> Result<Option<Stat>, ConnectorError> {
    match fs::statat(folder, name, AtFlags::SYMLINK_NOFOLLOW) {
        Ok(stat) => Ok(Some(stat)),
        Err(Errno::NOENT) => Ok(None),
        Err(e) => Err(failed(&name.to_string_lossy(), e)),
    }
}

/// Neither the name nor those of its reports are taken.
fn is_free(folder: &OwnedFd, name: &str) -> Result<bool, ConnectorError> {
    for ending in ["", REPORT_TEXT, REPORT_JSON] {
        if stat_in(folder, format!("{name}{ending}").as_ref())?.is_some() {
            return Ok(false);
        }
    }
    Ok(true)
}

/// Writes both reports before the file moves, so that no file lies there without its reason. False if a name was taken.
fn write_report(folder: &OwnedFd, name: &str, report: Option<&Texts>) -> Result<bool, ConnectorError> {
    let Some(report) = report else { return Ok(true) };
    for (ending, content) in [(REPORT_TEXT, report.text.as_bytes()), (REPORT_JSON, &report.json[..])] {
        let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let path = format!("{name}{ending}");
        let mut file = match fs::openat(folder, &path, flags, Mode::from_raw_mode(0o660)) {
            Ok(fd) => File::from(fd),
            Err(Errno::EXIST) => return Ok(false),
            Err(e) => return Err(failed(&path, e)),
        };
        if let Err(e) = file.write_all(content).and_then(|()| file.sync_all()) {
            // A torn report would hold its name against every later attempt. Best effort: the disk is already failing.
            let _ = fs::unlinkat(folder, &path, AtFlags::empty());
            return Err(ConnectorError::interrupted(format!("writing {path}: {}", e.kind())));
        }
    }
    Ok(true)
}

/// Renames without ever replacing; false if the name is taken. File systems that cannot rename so get a second link
/// first, which never replaces either.
fn rename_to_free(
    from: rustix::fd::BorrowedFd<'_>,
    name: &OsStr,
    to: rustix::fd::BorrowedFd<'_>,
    free: &OsStr,
) -> Result<bool, ConnectorError> {
    let fail = |e| failed(&format!("moving {}", name.display()), e);
    match fs::renameat_with(from, name, to, free, RenameFlags::NOREPLACE) {
        Ok(()) => return Ok(true),
        Err(Errno::EXIST) => return Ok(false),
        Err(Errno::INVAL | Errno::NOSYS | Errno::OPNOTSUPP) => {}
        Err(e) => return Err(fail(e)),
    }
    match fs::linkat(from, name, to, free, AtFlags::empty()) {
        Ok(()) => fs::unlinkat(from, name, AtFlags::empty()).map(|()| true).map_err(fail),
        Err(Errno::EXIST) => Ok(false),
        Err(e) => Err(fail(e)),
    }
}

fn sync(folder: &OwnedFd) -> Result<(), ConnectorError> {
    fs::fsync(folder).map_err(|e| failed("the folder", e))
}

/// An error of the operating system under our names.
fn failed(what: &str, error: Errno) -> ConnectorError {
    let message = format!("{what}: {error}");
    match error {
        Errno::ACCESS | Errno::PERM | Errno::ROFS => ConnectorError::denied(message),
        Errno::NOENT | Errno::NOTDIR | Errno::LOOP | Errno::NAMETOOLONG => ConnectorError::misconfigured(message),
        Errno::IO | Errno::STALE | Errno::HOSTDOWN | Errno::HOSTUNREACH | Errno::NOTCONN | Errno::TIMEDOUT => {
            ConnectorError::unreachable(message)
        }
        _ => ConnectorError::interrupted(message),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(seconds: i64) -> (i64, u32) {
        (seconds, 0)
    }

    #[test]
    fn the_change_time_counts_when_the_modification_time_was_set_back() {
        let now = UNIX_EPOCH + Duration::from_secs(1000);
        let seen = |mtime, ctime| Seen { dev: 1, ino: 1, size: 1, mtime: at(mtime), ctime: at(ctime) };
        let quiet = Duration::from_secs(30);
        assert!(seen(970, 970).still(now, quiet));
        assert!(!seen(10, 971).still(now, quiet));
        assert!(!seen(971, 10).still(now, quiet));
        assert!(!seen(2000, 2000).still(now, quiet), "a time to come is not quiet");
    }

    #[test]
    fn a_file_that_took_the_name_during_the_move_comes_back() {
        let dir = tempfile::tempdir().unwrap();
        std::fs::create_dir(dir.path().join("done")).unwrap();
        std::fs::write(dir.path().join("done/a.csv"), "the new one").unwrap();
        std::fs::write(dir.path().join("a.csv"), "an even newer one").unwrap();
        let inbox = Inbox::open(dir.path()).unwrap();
        let settled = Seen { dev: 1, ino: 1, size: 1, mtime: at(1), ctime: at(1) };
        let target = inbox.subfolder(Folder::Done).unwrap();
        inbox.return_stranger("a.csv".as_ref(), &settled, &target, "a.csv").unwrap();
        assert_eq!(std::fs::read_to_string(dir.path().join("a (2).csv")).unwrap(), "the new one");
        assert_eq!(std::fs::read_to_string(dir.path().join("a.csv")).unwrap(), "an even newer one");
        assert!(!dir.path().join("done/a.csv").exists());
    }

    #[test]
    fn errors_of_the_system_have_our_names() {
        assert_eq!(failed("x", Errno::ACCESS).name(), "denied");
        assert_eq!(failed("x", Errno::NOENT).name(), "misconfigured");
        assert_eq!(failed("x", Errno::STALE).name(), "unreachable");
        assert_eq!(failed("x", Errno::NOSPC).name(), "interrupted");
    }
}
