//! What a file really is, whatever its name says, and whether its ZIP directory holds what it may.

use std::collections::HashSet;
use std::io::{self, Read, Seek, SeekFrom};

use simpul_schemas::{CellFault, Foreign};

/// Bytes that are looked at.
const HEAD: usize = 8 << 10;
/// Members of an archive. A workbook has a few for each sheet and picture.
const MAX_MEMBERS: usize = 20_000;
/// Bytes of an archive's directory.
const MAX_DIRECTORY: u64 = 16 << 20;
/// Bytes that an archive may unpack to however small it is.
const FREE: u64 = 64 << 20;

/// What an archive may unpack to.
#[derive(Clone, Copy, Debug)]
pub struct Unpacked {
    /// Bytes of all its members.
    pub bytes: u64,
    /// Bytes for each byte of the archive, beyond the first 64 MiB.
    pub ratio: u64,
}

/// Refuses a file that is not `format`, and an archive that is not to be unpacked.
///
/// # Errors
/// What the file is instead, or what is wrong with its directory.
pub fn check<F: Read + Seek>(file: &mut F, format: Foreign, unpacked: Unpacked) -> Result<(), CellFault> {
    let damaged = |error: io::Error| CellFault::Damaged { why: error.to_string() };
    let mut head = Vec::with_capacity(HEAD);
    file.seek(SeekFrom::Start(0)).map_err(damaged)?;
    file.by_ref().take(HEAD as u64).read_to_end(&mut head).map_err(damaged)?;
    let mut is = plain(&head);
    if is == "zip" {
        let size = file.seek(SeekFrom::End(0)).map_err(damaged)?;
        is = archive(&head, &directory(file, size, unpacked)?);
    }
    file.seek(SeekFrom::Start(0)).map_err(damaged)?;
    // Only the binary workbook can be told from other compound files no earlier than by reading it.
    let same = match format {
        Foreign::Xls => is == "compound",
        // A stream has no mark of its own beyond four bytes that old writers left out.
        Foreign::Arrow => matches!(is, "arrow" | "unknown"),
        _ => is == format.ending(),
    };
    if same { Ok(()) } else { Err(CellFault::Other { is: is.to_owned() }) }
}

/// A word for what the first bytes of a file say.
fn plain(head: &[u8]) -> &'static str {
    const MAGIC: [(&[u8], &str); 11] = [
        (b"PK\x03\x04", "zip"),
        (b"PK\x05\x06", "zip"),
        (b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1", "compound"),
        (b"PAR1", "parquet"),
        (b"ARROW1", "arrow"),
        (b"\xff\xff\xff\xff", "arrow"),
        (b"%PDF", "pdf"),
        (b"\x1f\x8b", "gzip"),
        (b"\x89PNG", "image"),
        (b"\xff\xd8\xff", "image"),
        (b"GIF8", "image"),
    ];
    if head.is_empty() {
        return "empty";
    }
    if let Some((_, is)) = MAGIC.iter().find(|(magic, _)| head.starts_with(magic)) {
        return is;
    }
    let text = match std::str::from_utf8(head) {
        Ok(text) => text.to_owned(),
        // The last character may be cut, or the text may be of another encoding.
        Err(fault) if fault.error_len().is_none() => String::from_utf8_lossy(head).into_owned(),
        Err(_) if head.starts_with(b"\xff\xfe") || head.starts_with(b"\xfe\xff") => return "text",
        Err(_) if head.iter().all(|byte| *byte >= 0x20 || matches!(byte, b'\n' | b'\r' | b'\t')) => {
            String::from_utf8_lossy(head).into_owned()
        }
        Err(_) => return "unknown",
    };
    if text.contains('\0') {
        return "unknown";
    }
    let start = text.trim_start_matches('\u{feff}').trim_start().to_lowercase();
    match () {
        () if ["<!doctype html", "<html", "<table", "<meta", "<style", "<div"]
            .iter()
            .any(|tag| start.starts_with(tag)) =>
        {
            "html"
        }
        () if start.contains("<html") => "html",
        () if start.starts_with("<?xml") => "xml",
        () if start.starts_with(['{', '[']) => "json",
        () => "text",
    }
}

/// A word for what an archive with these members is.
fn archive(head: &[u8], names: &HashSet<Vec<u8>>) -> &'static str {
    // The first member of an OpenDocument file is its media type, not compressed, 38 bytes from the start.
    let media_type = head.get(38..).unwrap_or_default();
    let has = |name: &[u8]| names.contains(name);
    let under = |folder: &[u8]| names.iter().any(|name| name.starts_with(folder));
    match () {
        () if media_type.starts_with(b"application/vnd.oasis.opendocument.spreadsheet") => "ods",
        () if media_type.starts_with(b"application/vnd.oasis.opendocument") => "document",
        () if !has(b"[Content_Types].xml") => "zip",
        () if has(b"xl/workbook.bin") => "xlsb",
        () if under(b"word/") || under(b"ppt/") => "document",
        () if under(b"xl/") || has(b"workbook.xml") => "xlsx",
        () => "zip",
    }
}

/// The names in the directory of an archive, when its members are apart from each other, once each, and not too large.
///
/// The sizes are those that the directory announces. A member that lies about its size meets the limits of the process.
fn directory<F: Read + Seek>(file: &mut F, size: u64, unpacked: Unpacked) -> Result<HashSet<Vec<u8>>, CellFault> {
    let (count, start, length) = end_of_directory(file, size)?;
    if count > MAX_MEMBERS as u64 || length > MAX_DIRECTORY {
        return Err(CellFault::Bomb { limit: MAX_DIRECTORY });
    }
    let bytes = read_at(file, start, usize::try_from(length).unwrap_or_default())?;
    let limit = FREE.saturating_add(size.saturating_mul(unpacked.ratio)).min(unpacked.bytes);
    let mut names = HashSet::new();
    let mut places = Vec::new();
    let mut total = 0_u64;
    let mut rest = bytes.as_slice();
    while !rest.is_empty() {
        let member = Member::parse(&mut rest).ok_or_else(|| broken("the ZIP directory"))?;
        total = total.saturating_add(member.unpacked);
        if total > limit {
            return Err(CellFault::Bomb { limit });
        }
        if member.encrypted {
            return Err(CellFault::Encrypted);
        }
        let upwards = member.name.split(|byte| matches!(byte, b'/' | b'\\')).any(|part| part == b"..");
        if upwards || member.name.starts_with(b"/") || member.name.contains(&0) {
            return Err(broken("the name of a ZIP member"));
        }
        places.push((member.at, member.packed));
        if !names.insert(member.name.to_vec()) {
            return Err(broken("a ZIP member that is there twice"));
        }
    }
    places.sort_unstable();
    let apart = places.windows(2).all(
        |pair| matches!(pair, [(at, packed), (next, _)] if at.saturating_add(30).saturating_add(*packed) <= *next),
    );
    if names.len() as u64 != count
        || !apart
        || places.last().is_some_and(|(at, packed)| at.saturating_add(*packed) > start)
    {
        return Err(broken("ZIP members that overlap"));
    }
    Ok(names)
}

fn broken(what: &str) -> CellFault {
    CellFault::Damaged { why: what.to_owned() }
}

fn read_at<F: Read + Seek>(file: &mut F, at: u64, length: usize) -> Result<Vec<u8>, CellFault> {
    let mut bytes = vec![0; length];
    let read = file.seek(SeekFrom::Start(at)).and_then(|_| file.read_exact(&mut bytes));
    read.map(|()| bytes).map_err(|_| broken("the end of the ZIP archive"))
}

fn number<const N: usize>(bytes: &[u8], at: usize) -> Option<u64> {
    let bytes: [u8; N] = bytes.get(at..at + N)?.try_into().ok()?;
    Some(bytes.iter().rev().fold(0, |number, byte| number << 8 | u64::from(*byte)))
}

/// Members, place and length of the directory (APPNOTE 4.3.16, and 4.3.14 where that says so).
fn end_of_directory<F: Read + Seek>(file: &mut F, size: u64) -> Result<(u64, u64, u64), CellFault> {
    const RECORD: usize = 22;
    let fault = || broken("the end of the ZIP archive");
    let tail_start = size.saturating_sub(65_557);
    let tail = read_at(file, tail_start, usize::try_from(size - tail_start).unwrap_or_default())?;
    let found = (0..=tail.len().checked_sub(RECORD).ok_or_else(fault)?).rev().find(|at| {
        let record = tail.get(*at..).unwrap_or_default();
        record.starts_with(b"PK\x05\x06") && number::<2>(record, 20) == Some((record.len() - RECORD) as u64)
    });
    let at = found.ok_or_else(fault)?;
    let record = tail.get(at..).unwrap_or_default();
    let fields = || Some((number::<2>(record, 10)?, number::<4>(record, 16)?, number::<4>(record, 12)?));
    let (count, start, length) = fields().ok_or_else(fault)?;
    if count != 0xffff && start != 0xffff_ffff && length != 0xffff_ffff {
        return Ok((count, start, length));
    }
    let locator = at.checked_sub(20).and_then(|at| tail.get(at..)).filter(|locator| locator.starts_with(b"PK\x06\x07"));
    let place = locator.and_then(|locator| number::<8>(locator, 8)).ok_or_else(fault)?;
    let record = read_at(file, place, 56)?;
    let fields = || Some((number::<8>(&record, 32)?, number::<8>(&record, 48)?, number::<8>(&record, 40)?));
    fields().filter(|_| record.starts_with(b"PK\x06\x06")).ok_or_else(fault)
}

/// One entry of the directory (APPNOTE 4.3.12).
struct Member<'a> {
    name: &'a [u8],
    packed: u64,
    unpacked: u64,
    at: u64,
    encrypted: bool,
}

impl<'a> Member<'a> {
    fn parse(rest: &mut &'a [u8]) -> Option<Self> {
        const FIXED: usize = 46;
        let entry = *rest;
        if !entry.starts_with(b"PK\x01\x02") {
            return None;
        }
        let [name, extra, comment] =
            [28, 30, 32].map(|at| number::<2>(entry, at).and_then(|n| usize::try_from(n).ok()));
        let (name_end, extra_end) = (FIXED + name?, FIXED + name? + extra?);
        let mut member = Self {
            name: entry.get(FIXED..name_end)?,
            packed: number::<4>(entry, 20)?,
            unpacked: number::<4>(entry, 24)?,
            at: number::<4>(entry, 42)?,
            encrypted: number::<2>(entry, 8)? & 1 == 1,
        };
        member.widen(entry.get(name_end..extra_end)?);
        *rest = entry.get(extra_end + comment?..)?;
        Some(member)
    }

    /// Takes the sizes that 32 bits do not hold from the extra field (APPNOTE 4.5.3).
    fn widen(&mut self, mut extra: &[u8]) {
        while let (Some(id), Some(length)) = (number::<2>(extra, 0), number::<2>(extra, 2)) {
            let length = usize::try_from(length).unwrap_or_default();
            let Some(content) = extra.get(4..4 + length) else { return };
            if id == 1 {
                let mut wide = content.chunks_exact(8).filter_map(|bytes| number::<8>(bytes, 0));
                for field in [&mut self.unpacked, &mut self.packed, &mut self.at] {
                    if *field == 0xffff_ffff {
                        *field = wide.next().unwrap_or(u64::MAX);
                    }
                }
            }
            extra = extra.get(4 + length..).unwrap_or_default();
        }
    }
}

#[cfg(test)]
mod tests {
    use std::io::Cursor;

    use super::*;

    const LIMITS: Unpacked = Unpacked { bytes: 8 << 30, ratio: 200 };

    fn workbook() -> Vec<u8> {
        let mut workbook = rust_xlsxwriter::Workbook::new();
        workbook.add_worksheet().write(0, 0, "id").unwrap();
        workbook.save_to_buffer().unwrap()
    }

    fn is(bytes: &[u8], format: Foreign) -> Result<(), String> {
        check(&mut Cursor::new(bytes), format, LIMITS).map_err(|fault| match fault {
            CellFault::Other { is } => is,
            other => format!("{other:?}"),
        })
    }

    #[test]
    fn a_file_under_another_name_is_called_what_it_is() {
        assert_eq!(is(&workbook(), Foreign::Xlsx), Ok(()));
        assert_eq!(is(&workbook(), Foreign::Xls), Err("xlsx".to_owned()));
        for (bytes, word) in [
            (&b"<html><table><tr><td>1"[..], "html"),
            (b"\xef\xbb\xbf <!DOCTYPE HTML>", "html"),
            (b"kode;nama\n1;a\n", "text"),
            (b"kode;nama\n1;Caf\xe9\n", "text"),
            (b"\xff\xfek\x00o\x00", "text"),
            (b"<?xml version=\"1.0\"?><Workbook xmlns=\"urn:schemas-microsoft-com:office:spreadsheet\">", "xml"),
            (b"[{\"a\":1}]", "json"),
            (b"%PDF-1.7", "pdf"),
            (b"", "empty"),
            (b"PAR1....PAR1", "parquet"),
        ] {
            for format in [Foreign::Xlsx, Foreign::Xls, Foreign::Ods] {
                assert_eq!(is(bytes, format), Err(word.to_owned()), "{format:?}");
            }
        }
    }

    #[test]
    fn an_archive_that_lies_or_overlaps_is_not_opened() {
        let good = workbook();
        let end = good.len() - 22;
        let start = usize::try_from(number::<4>(&good, end + 16).unwrap()).unwrap();
        let with = |at: usize, bytes: &[u8]| {
            let mut changed = good.clone();
            changed[at..at + bytes.len()].copy_from_slice(bytes);
            is(&changed, Foreign::Xlsx).unwrap_err()
        };
        assert!(with(start + 24, &[0xf0, 0xff, 0xff, 0xff]).contains("Bomb"));
        assert!(with(start + 8, &[1]).contains("Encrypted"));
        assert!(with(start + 46, b"../").contains("name"));
        assert!(with(start + 20, &[0, 0, 0xff, 0]).contains("overlap"));
        assert!(with(end + 10, &[0xff]).contains("overlap"));
        for cut in [1, 10, 30, good.len() / 2] {
            assert!(is(&good[..good.len() - cut], Foreign::Xlsx).is_err());
        }
    }

    #[test]
    fn no_change_of_a_directory_panics() {
        let good = workbook();
        let end = good.len() - 22;
        let start = usize::try_from(number::<4>(&good, end + 16).unwrap()).unwrap();
        for at in start..good.len() {
            for value in [0, 1, 0x7f, 0xff] {
                let mut changed = good.clone();
                changed[at] = value;
                let _ = is(&changed, Foreign::Xlsx);
            }
        }
    }
}
