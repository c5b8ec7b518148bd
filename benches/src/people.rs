//! A register of persons that nobody is in: the shape of a government's data, from a seed.

use std::collections::BTreeSet;
use std::io::{self, Write};
use std::sync::Arc;

use anyhow::{Context as _, Result};
use serde_json::Value;
use simpul_schemas::code_list::{CodeList, parse_urn};
use simpul_schemas::{ReferenceTable, References, Wanted, standard};

/// The dataset's name.
pub const DATASET: &str = "penduduk-uji";
/// One row in so many is bad.
const BAD_EVERY: u64 = 1000;
/// The kinds of bad rows, in turn.
pub const BAD_KINDS: [&str; 10] = [
    "identifier of 15 digits",
    "area code that does not exist",
    "31 February",
    "value outside the list",
    "words where a number belongs",
    "fraction where an integer belongs",
    "required cell empty",
    "key of the row before",
    "integer out of bounds",
    "last cell missing",
];
/// That of [`BAD_KINDS`] that only the primary key finds.
const KEY_KIND: u64 = 7;
const COLUMNS: &str =
    "nik,nama,kode_kecamatan,tanggal_lahir,jenis_kelamin,status_kawin,alamat,pendapatan,jumlah_anggota,tahun_data";
/// The first of the columns that are numbers.
const FIRST_NUMBER: usize = 7;
const FIRST: [&str; 16] = [
    "Siti", "Budi", "Agus", "Dewi", "Sri", "Eko", "Ni Made", "Muhammad", "Nur", "Andi", "Rina", "Yohanes", "Fitri",
    "I Wayan", "Maria", "Hendra",
];
const LAST: [&str; 16] = [
    "Aminah",
    "Santoso",
    "Wibowo",
    "Lestari",
    "Wahyuni",
    "Prasetyo",
    "Suartini",
    "Rizki",
    "Hidayah",
    "Baso",
    "Kusuma",
    "Lumban Tobing",
    "Handayani",
    "Sudarma",
    "Goreti",
    "Saputra",
];
const MIDDLE: [&str; 8] = ["Nur", "Dwi", "Tri", "Ayu", "Putra", "Kurnia", "Indah", "Adi"];
const STREETS: [&str; 8] =
    ["Mawar", "Melati", "Pahlawan", "Merdeka", "Diponegoro", "Kartini", "Pelabuhan", "Gajah Mada"];
const MARITAL: [&str; 5] = ["belum kawin", "kawin", "cerai hidup", "cerai mati", ""];

/// The contract; without its primary key when `primary_key` is false.
///
/// # Errors
/// When the file that is compiled in is no JSON.
pub fn descriptor(primary_key: bool) -> Result<Value> {
    let mut descriptor: Value = serde_json::from_str(include_str!("../penduduk-uji.json"))?;
    if !primary_key && let Some(schema) = descriptor.pointer_mut("/resources/0/schema").and_then(Value::as_object_mut) {
        schema.remove("primaryKey");
    }
    Ok(descriptor)
}

/// The code lists that ship with the product.
pub struct Lists(Vec<(CodeList, Arc<ReferenceTable>)>);

impl Lists {
    /// Reads them.
    ///
    /// # Errors
    /// When one of them is broken.
    pub fn load() -> Result<Self> {
        let load = |list: CodeList| (Arc::new(ReferenceTable::from_code_list(&list)), list);
        let lists = standard::code_lists().map(|list| list.load().map(load).map(|(table, list)| (list, table)));
        Ok(Self(lists.collect::<Result<_, _>>()?))
    }

    /// The codes of every kecamatan, in order.
    ///
    /// # Errors
    /// When there is no such list.
    pub fn areas(&self) -> Result<Vec<String>> {
        let (list, _) = self.0.iter().find(|(list, _)| list.id() == "wilayah").context("the list wilayah")?;
        let codes: BTreeSet<&str> = list.values(list.key()).context("the codes")?.collect();
        Ok(codes.into_iter().filter(|code| list.level(code) == Some("kecamatan")).map(str::to_owned).collect())
    }
}

impl References for Lists {
    fn table(&self, wanted: &Wanted<'_>) -> Option<Arc<ReferenceTable>> {
        let (id, version) = parse_urn(wanted.package?)?;
        let found = self.0.iter().find(|(list, _)| list.id() == id && list.version() == version);
        found.map(|(_, table)| Arc::clone(table))
    }
}

/// What a check of the rows must come to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Expected {
    /// Bad rows with the primary key checked.
    pub bad: u64,
    /// Bad rows without.
    pub bad_without_key: u64,
}

/// The register: the same rows for the same area codes, always.
pub struct People {
    areas: Vec<String>,
}

impl People {
    /// Persons in these areas.
    #[must_use]
    pub const fn new(areas: Vec<String>) -> Self {
        Self { areas }
    }

    /// Writes `rows` rows below a header, one in a thousand bad if `bad`.
    ///
    /// # Errors
    /// When they cannot be written.
    pub fn write(&self, rows: u64, bad: bool, out: &mut impl Write) -> io::Result<Expected> {
        writeln!(out, "{COLUMNS}")?;
        let mut expected = Expected { bad: 0, bad_without_key: 0 };
        for row in 0..rows {
            let kind = (bad && row % BAD_EVERY == BAD_EVERY - 1).then_some(row / BAD_EVERY % BAD_KINDS.len() as u64);
            expected.bad += u64::from(kind.is_some());
            expected.bad_without_key += u64::from(kind.is_some_and(|kind| kind != KEY_KIND));
            out.write_all(self.row(row, kind).as_bytes())?;
        }
        Ok(expected)
    }

    /// Writes `rows` good rows as one JSON object each, the last three members as numbers, missing values as null.
    ///
    /// # Errors
    /// When they cannot be written.
    pub fn write_ndjson(&self, rows: u64, out: &mut impl Write) -> io::Result<()> {
        for row in 0..rows {
            let line = self.row(row, None);
            let cells = COLUMNS.split(',').zip(line.trim_end().split(',')).enumerate().map(|(column, (name, cell))| {
                // No cell needs an escape.
                match cell {
                    "" | "-" => format!("\"{name}\":null"),
                    number if column >= FIRST_NUMBER => format!("\"{name}\":{number}"),
                    text => format!("\"{name}\":\"{text}\""),
                }
            });
            writeln!(out, "{{{}}}", cells.collect::<Vec<_>>().join(","))?;
        }
        Ok(())
    }

    /// The identifier of person `row`: no two of the first ten thousand million are the same, and they are in no order.
    #[must_use]
    pub fn nik(&self, row: u64) -> String {
        let area = self.area(row).replace('.', "");
        format!("{area}{:010}", u128::from(row) * 7_368_787_321 % 10_000_000_000)
    }

    fn area(&self, row: u64) -> &str {
        let index = mix(row) % self.areas.len().max(1) as u64;
        usize::try_from(index).ok().and_then(|index| self.areas.get(index)).map_or("64.02.05", String::as_str)
    }

    /// One row with its line end; `kind` is an index of [`BAD_KINDS`].
    fn row(&self, row: u64, kind: Option<u64>) -> String {
        let mut dice = mix(row ^ 0x5eed);
        let mut roll = |sides: u64| {
            dice = mix(dice);
            dice % sides
        };
        let mut nik = self.nik(row);
        let mut name = format!("{} {} {}", pick(&FIRST, roll(16)), pick(&MIDDLE, roll(8)), pick(&LAST, roll(16)));
        let mut area = self.area(row).to_owned();
        let mut born = format!("{}-{:02}-{:02}", 1930 + roll(95), 1 + roll(12), 1 + roll(28));
        let sex = if kind == Some(3) { "X" } else { pick(&["L", "P"], roll(2)) };
        let marital = pick(&MARITAL, roll(5));
        let address = match roll(20) {
            0 => "-".to_owned(),
            _ => {
                let street = pick(&STREETS, roll(8));
                format!("Jalan {street} No. {} RT {:03} RW {:03}", 1 + roll(400), 1 + roll(30), 1 + roll(15))
            }
        };
        let mut income = if roll(5) == 0 { String::new() } else { format!("{}.{:02}", roll(25_000_000), roll(100)) };
        let mut members = if roll(10) == 0 { String::new() } else { (1 + roll(9)).to_string() };
        let mut year = format!(",{}", 2020 + roll(7));
        match kind {
            Some(0) => drop(nik.pop()),
            Some(1) => "99.99.99".clone_into(&mut area),
            Some(2) => "1990-02-31".clone_into(&mut born),
            Some(4) => "dua juta".clone_into(&mut income),
            Some(5) => "3.5".clone_into(&mut members),
            Some(6) => name.clear(),
            Some(7) => nik = self.nik(row - 1),
            Some(8) => "99".clone_into(&mut members),
            Some(9) => year.clear(),
            _ => {}
        }
        format!("{nik},{name},{area},{born},{sex},{marital},{address},{income},{members}{year}\n")
    }
}

fn pick<'a>(words: &[&'a str], index: u64) -> &'a str {
    usize::try_from(index).ok().and_then(|index| words.get(index)).copied().unwrap_or_default()
}

/// The finaliser of SplitMix64: numbers that look random, the same everywhere.
const fn mix(number: u64) -> u64 {
    let mut z = number.wrapping_add(0x9e37_79b9_7f4a_7c15);
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}

#[cfg(test)]
mod tests {
    use simpul_schemas::{Contract, Format, Limits, Validator};

    use super::*;

    fn refused(primary_key: bool) -> (Expected, u64) {
        let lists = Lists::load().unwrap();
        let mut file = Vec::new();
        let expected = People::new(lists.areas().unwrap()).write(20_000, true, &mut file).unwrap();
        let contract = Contract::compile(&descriptor(primary_key).unwrap(), &lists).unwrap();
        let mut validator = Validator::new(Arc::new(contract), Format::Csv, Limits::default());
        validator.push(&file).unwrap();
        validator.finish().unwrap();
        (expected, validator.into_report().rows_refused)
    }

    #[test]
    fn every_bad_row_is_found_and_no_other() {
        let (expected, found) = refused(true);
        assert_eq!((expected.bad, expected.bad), (20, found));
    }

    #[test]
    fn a_row_is_as_long_as_those_of_the_goal() {
        // 588 MB for 5,000,000 rows.
        let mut file = Vec::new();
        People::new(Lists::load().unwrap().areas().unwrap()).write(20_000, true, &mut file).unwrap();
        let each = file.len() as f64 / 20_000.0;
        assert!((each - 117.6).abs() < 2.0, "{each} bytes a row");
    }

    #[test]
    fn the_same_rows_are_good_as_ndjson() {
        let lists = Lists::load().unwrap();
        let mut file = Vec::new();
        People::new(lists.areas().unwrap()).write_ndjson(2000, &mut file).unwrap();
        let contract = Contract::compile(&descriptor(true).unwrap(), &lists).unwrap();
        let mut validator = Validator::new(Arc::new(contract), Format::Ndjson, Limits::default());
        validator.push(&file).unwrap();
        validator.finish().unwrap();
        let report = validator.into_report();
        assert_eq!((report.rows_accepted, report.stats.errors), (2000, 0));
    }

    #[test]
    fn without_the_key_one_kind_passes() {
        let (expected, found) = refused(false);
        assert_eq!((expected.bad_without_key, expected.bad_without_key), (18, found));
    }
}
