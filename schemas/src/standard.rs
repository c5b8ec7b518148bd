//! The contracts and code lists that ship with the product, compiled into the binary so that a fresh node can work
//! without any file beside it. Their sources are the folders of `schemas/standard`.

use crate::code_list::{CodeList, CodeListError, document};

/// A file that belongs to a standard, by the name that its descriptor uses.
#[derive(Debug, Clone, Copy)]
pub struct File {
    /// The name inside the standard's folder, such as `contoh.csv`.
    pub path: &'static str,
    /// The content, byte for byte.
    pub bytes: &'static [u8],
}

/// A contract that ships with the product.
#[derive(Debug, Clone, Copy)]
pub struct Standard {
    /// The name of the dataset, such as `penduduk-wilayah`.
    pub name: &'static str,
    /// The Data Package descriptor, JSON.
    pub descriptor: &'static str,
    /// Sample files; the first is `contoh.csv`, which is valid under the contract.
    pub samples: &'static [File],
}

/// A code list that ships with the product.
#[derive(Debug, Clone, Copy)]
pub struct StandardCodeList {
    /// The name without version, such as `wilayah`.
    pub name: &'static str,
    /// The Data Package descriptor, JSON.
    pub descriptor: &'static str,
    /// The files that the descriptor names.
    pub files: &'static [File],
}

impl Standard {
    /// The sample called `path`.
    pub fn sample(&self, path: &str) -> Option<&'static [u8]> {
        find(self.samples, path)
    }
}

impl StandardCodeList {
    /// Reads the list into memory: a few milliseconds of work, to be done once and shared.
    pub fn load(&self) -> Result<CodeList, CodeListError> {
        CodeList::load(self.descriptor, |path| find(self.files, path))
    }

    /// The list as one document.
    pub fn document(&self) -> Result<String, CodeListError> {
        document(self.descriptor, |path| find(self.files, path))
    }
}

fn find(files: &'static [File], path: &str) -> Option<&'static [u8]> {
    files.iter().find(|file| file.path == path).map(|file| file.bytes)
}

macro_rules! file {
    ($folder:literal, $path:literal) => {
        File { path: $path, bytes: include_bytes!(concat!("../standard/", $folder, "/", $path)) }
    };
}

macro_rules! standard {
    ($kind:ident, $folder:literal, $files:ident: [$($path:literal),+]) => {
        $kind {
            name: $folder,
            descriptor: include_str!(concat!("../standard/", $folder, "/datapackage.json")),
            $files: &[$(file!($folder, $path)),+],
        }
    };
}

const CONTRACTS: [Standard; 4] = [
    standard!(Standard, "penduduk-wilayah", samples: ["contoh.csv", "contoh-kotor.csv", "contoh-bersih.csv"]),
    standard!(Standard, "konektivitas-desa", samples: ["contoh.csv"]),
    standard!(Standard, "sekolah", samples: ["contoh.csv"]),
    standard!(Standard, "kejadian-112", samples: ["contoh.csv"]),
];

const CODE_LISTS: [StandardCodeList; 1] =
    [standard!(StandardCodeList, "wilayah", files: ["wilayah.csv", "pengganti.csv", "pemekaran.csv"])];

/// All contracts that ship with the product.
pub fn contracts() -> impl Iterator<Item = Standard> {
    CONTRACTS.into_iter()
}

/// The contract called `name`.
pub fn contract(name: &str) -> Option<Standard> {
    contracts().find(|standard| standard.name == name)
}

/// All code lists that ship with the product.
pub fn code_lists() -> impl Iterator<Item = StandardCodeList> {
    CODE_LISTS.into_iter()
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;
    use std::sync::LazyLock;

    use serde_json::Value;

    use super::*;
    use crate::code_list::parse_urn;

    static WILAYAH: LazyLock<CodeList> = LazyLock::new(|| CODE_LISTS[0].load().unwrap());

    fn descriptors() -> impl Iterator<Item = (&'static str, Value)> {
        let contracts = contracts().map(|c| (c.name, c.descriptor));
        let all = contracts.chain(code_lists().map(|c| (c.name, c.descriptor)));
        all.map(|(name, text)| (name, serde_json::from_str(text).unwrap()))
    }

    fn fields(package: &Value) -> impl Iterator<Item = &Value> {
        let resources = package["resources"].as_array().unwrap();
        resources.iter().flat_map(|resource| resource["schema"]["fields"].as_array().unwrap())
    }

    #[test]
    fn the_area_codes_are_those_of_the_2025_edition() {
        let level = |level| WILAYAH.values("tingkat").unwrap().filter(|l| *l == level).count();
        assert_eq!(WILAYAH.urn(), "urn:satudata:ref:wilayah@2025-1");
        assert_eq!(level("provinsi"), 38);
        assert_eq!(level("kabupaten_kota"), 514);
        assert_eq!(level("kecamatan"), 7285);
        assert_eq!(level("desa_kelurahan"), 83_762);
        assert_eq!(WILAYAH.name("64.02.05"), Some("Muara Badak"));
        assert_eq!(WILAYAH.level("64.02.05"), Some("kecamatan"));
        assert_eq!(WILAYAH.parent("64.02.05"), Some("64.02"));
        assert_eq!(WILAYAH.parent("64"), None);
    }

    #[test]
    fn every_area_but_a_province_lies_in_an_area_one_level_up() {
        for code in WILAYAH.values("kode").unwrap().filter(|code| code.len() > 2) {
            let (above, _) = code.rsplit_once('.').unwrap();
            assert_eq!(WILAYAH.parent(code), Some(above));
            assert!(WILAYAH.contains(above), "{above}");
        }
    }

    #[test]
    fn a_retired_code_names_its_successor_and_is_not_valid() {
        assert!(!WILAYAH.contains("91.01"));
        assert_eq!(WILAYAH.successor("91.01"), Some("93.01"));
        assert_eq!(WILAYAH.successor("91.01.01"), Some("93.01.01"));
        assert_eq!(WILAYAH.successor("64.02"), None);
    }

    #[test]
    fn a_typing_error_finds_the_code_or_name_that_was_meant() {
        let first = |text| WILAYAH.nearest(text, 3).first().map(|s| (s.code, s.distance));
        assert_eq!(first("64.02.5"), Some(("64.02.05", 1)));
        assert_eq!(first("Muara Bdak"), Some(("64.02.05", 1)));
        assert_eq!(first("SANGA-SANGA"), Some(("64.02.15", 0)));
        assert_eq!(first("tidak ada tempat begini"), None);
    }

    #[test]
    fn bare_digits_are_never_taken_for_an_area_code() {
        assert!(WILAYAH.nearest("6402", 3).is_empty());
        assert!(WILAYAH.nearest("6402052007", 3).is_empty());
    }

    #[test]
    fn every_column_says_what_it_means() {
        for (name, package) in descriptors() {
            let mut ids = BTreeSet::new();
            for field in fields(&package) {
                let place = format!("{name}.{}", field["name"]);
                for key in ["title", "description", "type"] {
                    assert!(field[key].as_str().is_some_and(|text| !text.is_empty()), "{place}: {key}");
                }
                let meaning = &field["satudata"];
                for key in ["idElemen", "konsep", "definisi", "peran"] {
                    assert!(meaning[key].as_str().is_some_and(|text| !text.is_empty()), "{place}: satudata.{key}");
                }
                assert!(ids.insert(meaning["idElemen"].as_str().unwrap()), "{place}: idElemen used twice");
                let measured = meaning["peran"] == "ukuran";
                assert!(!measured || meaning["satuan"].is_string() && meaning["ukuran"].is_string(), "{place}: satuan");
            }
        }
    }

    #[test]
    fn every_package_says_who_answers_for_it_and_how_it_is_delivered() {
        for (name, package) in descriptors() {
            let roles: Vec<&str> =
                package["contributors"].as_array().unwrap().iter().map(|c| c["roles"][0].as_str().unwrap()).collect();
            assert_eq!(roles, ["produsenData", "walidata"], "{name}");
            assert_eq!(package["name"], name);
            assert_eq!(package["$schema"], "https://datapackage.org/profiles/2.0/datapackage.json");
        }
        for standard in contracts() {
            let package: Value = serde_json::from_str(standard.descriptor).unwrap();
            let delivery = &package["satudata"];
            let columns: BTreeSet<&str> = fields(&package).map(|f| f["name"].as_str().unwrap()).collect();
            match delivery["moda"].as_str() {
                Some("ganti") => assert!(columns.contains(delivery["periode"].as_str().unwrap()), "{}", standard.name),
                mode => assert_eq!(mode, Some("tambah"), "{}", standard.name),
            }
            assert!(["tolak", "karantina"].contains(&delivery["kebijakan"].as_str().unwrap()), "{}", standard.name);
        }
    }

    #[test]
    fn every_foreign_key_points_to_a_list_and_column_that_ship_too() {
        for standard in contracts() {
            let package: Value = serde_json::from_str(standard.descriptor).unwrap();
            for key in package["resources"][0]["schema"]["foreignKeys"].as_array().unwrap() {
                let reference = &key["reference"];
                assert_eq!(parse_urn(reference["package"].as_str().unwrap()), Some((WILAYAH.id(), WILAYAH.version())));
                assert_eq!(reference["resource"], WILAYAH.resource());
                assert_eq!(reference["fields"][0], WILAYAH.key());
            }
        }
    }

    /// The cells of a sample's column. Only good for samples whose earlier cells hold no quotes.
    fn column(standard: &str, sample: &str, header: usize, delimiter: char, name: &str) -> Vec<String> {
        let bytes = contract(standard).unwrap().sample(sample).unwrap();
        let lines: Vec<&str> = std::str::from_utf8(bytes).unwrap().lines().skip(header).collect();
        let at = lines[0].split(delimiter).position(|label| label == name).unwrap();
        lines[1..].iter().map(|line| line.split(delimiter).nth(at).unwrap().to_owned()).collect()
    }

    #[test]
    fn the_samples_use_valid_area_codes_and_the_dirty_one_does_not() {
        let samples = [
            ("penduduk-wilayah", "contoh.csv", 2, ';', "kode_wilayah", 48),
            ("penduduk-wilayah", "contoh-bersih.csv", 2, ';', "kode_wilayah", 14),
            ("konektivitas-desa", "contoh.csv", 0, ',', "kode_desa", 51),
            ("sekolah", "contoh.csv", 0, ',', "kode_kecamatan", 40),
            ("kejadian-112", "contoh.csv", 0, ',', "kode_kecamatan", 40),
        ];
        for (standard, sample, header, delimiter, name, rows) in samples {
            let codes = column(standard, sample, header, delimiter, name);
            assert_eq!(codes.len(), rows, "{standard}/{sample}");
            let unknown: Vec<&String> = codes.iter().filter(|code| !WILAYAH.contains(code)).collect();
            assert!(unknown.is_empty(), "{standard}/{sample}: {unknown:?}");
        }
        let dirty = column("penduduk-wilayah", "contoh-kotor.csv", 2, ';', "kode_wilayah");
        let unknown: Vec<&String> = dirty.iter().filter(|code| !WILAYAH.contains(code)).collect();
        assert_eq!(unknown, ["64.02.05.2055", "6402052007"]);
    }
}
