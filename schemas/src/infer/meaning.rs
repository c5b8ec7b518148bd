//! What a column may mean: codes, areas, persons. Everything here is a suspicion.

use std::sync::{Arc, LazyLock};

use hashbrown::HashSet;

use crate::code_list::CodeList;
use crate::standard;

/// Cells of a column that are looked at for names of areas; the other signals look at all.
const NAMES_LOOKED_AT: u64 = 5_000;

/// The area codes and names that ship with the product.
pub(super) struct Areas {
    list: Option<Arc<CodeList>>,
    names: Arc<HashSet<String>>,
}

type Loaded = (Option<Arc<CodeList>>, Arc<HashSet<String>>);

static LOADED: LazyLock<Loaded> = LazyLock::new(|| {
    let list = standard::code_lists().find(|list| list.name == "wilayah").and_then(|list| list.load().ok());
    let codes = list.as_ref().and_then(|list| list.values(list.key()).map(|codes| codes.collect::<Vec<_>>()));
    let names = codes.into_iter().flatten().filter_map(|code| list.as_ref()?.name(code)).map(plain_name).collect();
    (list.map(Arc::new), Arc::new(names))
});

impl Default for Areas {
    fn default() -> Self {
        Self { list: LOADED.0.clone(), names: LOADED.1.clone() }
    }
}

/// The URN of the list of areas that ships, the resource in it and its key.
pub(super) fn area_list() -> Option<(String, String, String)> {
    let list = LOADED.0.as_ref()?;
    Some((list.urn(), list.resource().to_owned(), list.key().to_owned()))
}

/// A name without what offices put before it.
fn plain_name(name: &str) -> String {
    let mut name = name.trim().to_lowercase();
    for prefix in [
        "kabupaten ",
        "kab. ",
        "kab ",
        "kota administrasi ",
        "kota adm. ",
        "kota ",
        "kecamatan ",
        "kec. ",
        "provinsi ",
        "prov. ",
        "desa ",
        "kelurahan ",
        "kel. ",
    ] {
        if let Some(rest) = name.strip_prefix(prefix) {
            name = rest.to_owned();
        }
    }
    name
}

/// Counts that hint at a meaning.
#[derive(Clone, Debug, Default)]
pub(super) struct Signals {
    /// Cells of digits alone.
    pub(super) digits: u64,
    /// Of those, the shortest and longest.
    pub(super) shortest: usize,
    pub(super) longest: usize,
    /// Digits that begin with 0 and are more than one.
    pub(super) leading_zero: u64,
    /// The first row with such digits.
    pub(super) leading_zero_row: u64,
    /// Whole numbers that end in `.0`, as spreadsheets and pandas write codes with gaps.
    pub(super) point_zero: u64,
    /// 16 digits with a province, a day and a month where a NIK has them.
    pub(super) nik: u64,
    pub(super) phone: u64,
    pub(super) email: u64,
    /// Codes with dots, of the form that Kemendagri uses.
    pub(super) dotted: u64,
    /// Codes that the list has, without or with dots.
    pub(super) area: u64,
    /// Villages whose kecamatan the list has.
    pub(super) village: u64,
    /// The first cells of area form that the list does not have.
    pub(super) unknown_area: Vec<(u64, String)>,
    /// Names of areas among the first cells.
    pub(super) area_name: u64,
    /// Two to four words of letters, as names of persons have.
    pub(super) person_like: u64,
    /// An Indonesian month with a day before and a year behind.
    pub(super) month_name: u64,
    looked: u64,
}

impl Signals {
    pub(super) fn take(&mut self, row: u64, text: &str, areas: &mut Areas) {
        let text = text.trim();
        let bytes = text.as_bytes();
        self.looked += 1;
        if !bytes.is_empty() && bytes.iter().all(u8::is_ascii_digit) {
            self.shortest = if self.digits == 0 { bytes.len() } else { self.shortest.min(bytes.len()) };
            self.longest = self.longest.max(bytes.len());
            self.digits += 1;
            if bytes.len() > 1 && bytes.first() == Some(&b'0') {
                self.leading_zero += 1;
                if self.leading_zero == 1 {
                    self.leading_zero_row = row;
                }
            }
            self.nik += u64::from(is_nik(text));
        }
        let whole =
            text.strip_suffix(".0").is_some_and(|rest| !rest.is_empty() && rest.bytes().all(|b| b.is_ascii_digit()));
        self.point_zero += u64::from(whole);
        self.phone += u64::from(is_phone(text));
        self.email += u64::from(is_email(text));
        self.month_name += u64::from(has_month_name(text));
        if is_area_form(text) {
            self.area(row, text, areas);
        }
        if self.looked <= NAMES_LOOKED_AT && text.chars().any(char::is_alphabetic) && text.len() < 100 {
            self.area_name += u64::from(areas.names.contains(&plain_name(text)));
            let words = text.split_whitespace().count();
            let letters = text.chars().all(|c| c.is_alphabetic() || " .,'`-".contains(c));
            self.person_like += u64::from(letters && (2..=4).contains(&words));
        }
    }

    fn area(&mut self, row: u64, text: &str, areas: &Areas) {
        self.dotted += u64::from(text.contains('.'));
        let Some(list) = &areas.list else { return };
        if list.contains(text) {
            self.area += 1;
            return;
        }
        let known = text.len() == 13 && text.get(..8).is_some_and(|kecamatan| list.contains(kecamatan));
        self.village += u64::from(known);
        if !known && self.unknown_area.len() < 3 {
            self.unknown_area.push((row, text.to_owned()));
        }
    }

    /// Of the cells that were looked at for names, the share that counts.
    pub(super) fn share_of_names(&self, count: u64) -> f64 {
        count as f64 / self.looked.clamp(1, NAMES_LOOKED_AT) as f64
    }
}

/// `11`, `11.01`, `11.01.02` or `11.01.02.2001`.
fn is_area_form(text: &str) -> bool {
    let mut parts = text.split('.');
    let widths = [2, 2, 2, 4];
    matches!(text.len(), 2 | 5 | 8 | 13)
        && widths
            .iter()
            .zip(&mut parts)
            .all(|(width, part)| part.len() == *width && part.bytes().all(|b| b.is_ascii_digit()))
        && parts.next().is_none()
}

fn number_at(text: &str, from: usize) -> Option<u32> {
    text.get(from..from + 2)?.parse().ok()
}

/// Whether 16 digits have a province, a day (women add 40) and a month where a NIK has them.
fn is_nik(text: &str) -> bool {
    let part = |from| number_at(text, from).unwrap_or_default();
    text.len() == 16
        && (11..=97).contains(&part(0))
        && matches!(part(6), 1..=31 | 41..=71)
        && (1..=12).contains(&part(8))
}

fn is_phone(text: &str) -> bool {
    let rest = text.strip_prefix("+62").or_else(|| text.strip_prefix("62")).or_else(|| text.strip_prefix('0'));
    let Some(rest) = rest else { return false };
    let digits: String = rest.chars().filter(char::is_ascii_digit).collect();
    rest.chars().all(|c| c.is_ascii_digit() || " -".contains(c))
        && digits.starts_with('8')
        && (9..=12).contains(&digits.len())
}

fn is_email(text: &str) -> bool {
    text.split_once('@').is_some_and(|(local, domain)| {
        !local.is_empty() && domain.contains('.') && !text.contains(char::is_whitespace) && !domain.contains('@')
    })
}

const MONTHS: [&str; 12] = [
    "januari",
    "februari",
    "maret",
    "april",
    "mei",
    "juni",
    "juli",
    "agustus",
    "september",
    "oktober",
    "november",
    "desember",
];

fn has_month_name(text: &str) -> bool {
    let mut words = text.split_whitespace();
    let day = words.next().and_then(|word| word.parse::<u32>().ok()).is_some_and(|day| (1..=31).contains(&day));
    let month = words.next().is_some_and(|word| MONTHS.contains(&word.to_lowercase().as_str()));
    let year = words.next().is_some_and(|word| word.len() == 4 && word.bytes().all(|b| b.is_ascii_digit()));
    day && month && year
}

/// The words of a label.
pub(super) fn words(label: &str) -> Vec<String> {
    slug(label).split('_').map(str::to_owned).collect()
}

/// A name for a field: small letters, digits and underscores.
pub(super) fn slug(label: &str) -> String {
    let mut name = String::new();
    for c in label.trim().chars() {
        match c {
            '²' => name.push('2'),
            '³' => name.push('3'),
            'é' | 'è' | 'É' | 'È' => name.push('e'),
            '%' => name.push_str("_persen_"),
            c if c.is_ascii_alphanumeric() => name.push(c.to_ascii_lowercase()),
            _ => name.push('_'),
        }
    }
    let parts: Vec<&str> = name.split('_').filter(|part| !part.is_empty()).collect();
    let mut name = parts.join("_");
    name.truncate(60);
    name.trim_end_matches('_').to_owned()
}

/// Whether the label says that its values are codes or numbers of something, which are text.
pub(super) fn labels_code(words: &[String]) -> bool {
    const CODES: [&str; 19] = [
        "kode", "kd", "code", "nik", "nkk", "kk", "npwp", "npsn", "nisn", "nip", "nuptk", "nib", "kodepos", "telepon",
        "telp", "hp", "wa", "nopol", "imei",
    ];
    words.iter().any(|word| CODES.contains(&word.as_str()))
}

/// Whether the label is that of an area: what stands below it names one, even in digits.
pub(super) fn labels_area(words: &[String]) -> bool {
    const AREAS: [&str; 11] =
        ["provinsi", "prov", "kabupaten", "kab", "kecamatan", "kec", "desa", "kelurahan", "kel", "rt", "rw"];
    words.first().is_some_and(|word| AREAS.contains(&word.as_str()))
}

/// Whether the label is that of a running number.
pub(super) fn labels_sequence(words: &[String]) -> bool {
    let joined = words.join("_");
    matches!(joined.as_str(), "no" | "nomor" | "no_urut" | "nomor_urut" | "nourut" | "urut")
}

/// Whether the label names a key.
pub(super) fn labels_key(words: &[String]) -> bool {
    labels_code(words) || words.iter().any(|word| matches!(word.as_str(), "id" | "uuid" | "nomor" | "no"))
}

/// Whether the label is about a year.
pub(super) fn labels_year(words: &[String]) -> bool {
    words.iter().any(|word| matches!(word.as_str(), "tahun" | "thn" | "year"))
}

/// Whether a label says `lat` or `lon`.
pub(super) fn labels_coordinate(words: &[String]) -> bool {
    const NAMES: [&str; 10] = ["lat", "latitude", "lintang", "lon", "long", "lng", "longitude", "bujur", "x", "y"];
    words.iter().any(|word| NAMES.contains(&word.as_str()))
}

/// What kind of personal data the label speaks of: the words of Undang-Undang 27/2022, article 4.
pub(super) fn labels_person(words: &[String]) -> Option<&'static str> {
    const OF_THINGS: [&str; 42] = [
        "desa",
        "kelurahan",
        "kel",
        "kecamatan",
        "kec",
        "kabupaten",
        "kab",
        "kota",
        "provinsi",
        "prov",
        "wilayah",
        "daerah",
        "sekolah",
        "instansi",
        "opd",
        "skpd",
        "dinas",
        "barang",
        "produk",
        "kegiatan",
        "program",
        "usaha",
        "perusahaan",
        "jalan",
        "pasar",
        "puskesmas",
        "rs",
        "rumah",
        "sakit",
        "faskes",
        "lembaga",
        "organisasi",
        "variabel",
        "indikator",
        "kolom",
        "negara",
        "bank",
        "satuan",
        "dataset",
        "file",
        "kapal",
        "dusun",
    ];
    let has = |list: &[&str]| words.iter().any(|word| list.contains(&word.as_str()));
    match () {
        () if has(&["diagnosa", "diagnosis", "penyakit", "disabilitas", "hiv", "gaji"]) => Some("spesifik"),
        () if has(&["nik", "nkk", "npwp", "ktp", "kk", "alamat", "email", "telepon", "telp", "hp", "wa", "lahir"]) => {
            Some("umum")
        }
        () if has(&["pelapor", "korban", "pasien", "pemilik", "penerima", "kepala", "ibu", "ayah"])
            && has(&["nama"]) =>
        {
            Some("umum")
        }
        () if has(&["nama", "name"]) && !has(&OF_THINGS) => Some("umum"),
        () => None,
    }
}
