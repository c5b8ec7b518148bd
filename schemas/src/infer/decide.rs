//! From counts to guesses.

use serde_json::{Map, Value, json};

use super::candidates::{CANDIDATES, Candidate, Kind, Locale};
use super::layout::Layout;
use super::meaning::{labels_area, labels_code, labels_coordinate, labels_person, labels_sequence, labels_year, words};
use super::profile::{Column, Distinct, Example, Profile};
use crate::report::Text;

/// Cells against a type that is guessed all the same: one, or one in fifty.
const TOLERATED: u64 = 50;
/// Cells from which a type is guessed although some cells are against it.
const ENOUGH: u64 = 20;
/// Rows from which "always filled" says anything.
const FEWEST: u64 = 5;
/// Values of a closed list.
const MAX_CHOICES: usize = 20;
/// Characters of a value of a closed list.
const CHOICE_CHARS: usize = 40;

/// One guessed property.
pub(super) struct Guess {
    /// The property, such as `type` or `constraints.required`.
    pub(super) property: &'static str,
    pub(super) why: Text,
    /// 0 to 1.
    pub(super) confidence: f64,
    /// Cells against it.
    pub(super) against: u64,
    pub(super) examples: Vec<Example>,
}

/// What is guessed about one column.
#[derive(Default)]
pub(super) struct Decision {
    /// Type with its format.
    pub(super) properties: Map<String, Value>,
    pub(super) missing: Vec<String>,
    pub(super) required: bool,
    pub(super) unique: bool,
    pub(super) choices: Vec<String>,
    /// `umum` or `spesifik`.
    pub(super) personal: Option<&'static str>,
    /// The column holds area codes of the list that ships.
    pub(super) areas: bool,
    /// It is text because it is a code.
    code: bool,
    pub(super) sequence: bool,
    pub(super) guesses: Vec<Guess>,
}

impl Decision {
    pub(super) fn kind(&self) -> &str {
        self.properties.get("type").and_then(Value::as_str).unwrap_or("string")
    }

    fn guess(&mut self, property: &'static str, confidence: f64, id: impl Into<String>, en: impl Into<String>) {
        let why = Text::new(id, en);
        self.guesses.push(Guess { property, why, confidence, against: 0, examples: Vec::new() });
    }

    fn against(&mut self, count: u64, examples: Vec<Example>) {
        if let Some(guess) = self.guesses.last_mut() {
            (guess.against, guess.examples) = (count, examples);
        }
    }
}

/// How sure one can be of a rule without exception in so many cells: the rule of succession.
fn sure(cells: u64) -> f64 {
    (cells as f64 + 1.0) / (cells as f64 + 2.0)
}

/// How the file as a whole writes numbers, by the columns that leave no doubt.
pub(super) struct Habit {
    indonesian: usize,
    plain: usize,
    semicolon: bool,
}

impl Habit {
    pub(super) fn of(profile: &Profile, layout: &Layout) -> Self {
        let mut habit = Self { indonesian: 0, plain: 0, semicolon: layout.delimiter == ";" };
        for column in profile.columns.iter().filter(|column| column.seen > 0) {
            let fits = |wanted: Locale, kind: Kind| {
                let tried = column.trials.iter().zip(CANDIDATES.iter());
                tried
                    .filter(|(_, c)| c.locale == wanted && c.kind == kind && !c.dressed)
                    .any(|(t, _)| t.misses == 0 && !t.out)
            };
            let whole = fits(Locale::Plain, Kind::Whole);
            let (plain, indonesian) = (fits(Locale::Plain, Kind::Decimal), fits(Locale::Indonesian, Kind::Decimal));
            if !whole && column.signals.dotted < column.seen {
                habit.indonesian += usize::from(indonesian && !plain);
                habit.plain += usize::from(plain && !indonesian);
            }
        }
        habit
    }

    fn prefers_indonesian(&self) -> bool {
        self.indonesian > self.plain || self.indonesian == self.plain && self.semicolon
    }

    fn is_known(&self) -> bool {
        self.indonesian != self.plain
    }
}

/// Decides about one column.
pub(super) fn column(column: &Column, habit: &Habit) -> Decision {
    let mut decision = Decision::default();
    let label = words(&column.label);
    decision.sequence = labels_sequence(&label);
    if column.seen == 0 {
        decision.properties.insert("type".to_owned(), "string".into());
        decision.guess("type", 0.1, "Kolom tidak berisi apa pun.", "The column holds nothing.");
    } else {
        decision.code = code(column, &label, &mut decision);
        if !decision.code {
            typed(column, &label, habit, &mut decision);
        }
    }
    missing(column, &mut decision);
    person(column, &label, &mut decision);
    areas(column, &mut decision);
    closed_list(column, &label, &mut decision);
    occupied(column, &mut decision);
    decision
}

/// Codes and identifiers are text, whatever their digits would allow.
fn code(column: &Column, label: &[String], decision: &mut Decision) -> bool {
    let (signals, seen) = (&column.signals, column.seen);
    let mostly = |count: u64| count * 10 >= seen * 9;
    let digits = mostly(signals.digits) || mostly(signals.digits + signals.point_zero);
    let text = |decision: &mut Decision, sure: f64, id: String, en: String| {
        decision.properties.insert("type".to_owned(), "string".into());
        decision.guess("type", sure, id, en);
        true
    };
    match () {
        () if signals.dotted > 0 && mostly(signals.area + signals.village) => text(
            decision,
            0.95,
            "Kode wilayah bertitik: teks, bukan pecahan.".to_owned(),
            "Area codes with dots: text, no fractions.".to_owned(),
        ),
        () if digits && signals.leading_zero > 0 => text(
            decision,
            0.95,
            format!(
                "{} sel angka berawalan 0 (pertama di baris {}): kode, disimpan sebagai teks.",
                signals.leading_zero, signals.leading_zero_row
            ),
            format!(
                "{} cells of digits begin with 0 (first in row {}): a code, kept as text.",
                signals.leading_zero, signals.leading_zero_row
            ),
        ),
        () if digits && signals.longest >= 15 => text(
            decision,
            0.95,
            "Angka 15 digit atau lebih adalah pengenal, bukan bilangan.".to_owned(),
            "Digits in such numbers, 15 or more, are an identifier, no number.".to_owned(),
        ),
        () if digits && labels_code(label) && signals.point_zero > 0 => text(
            decision,
            0.7,
            format!(
                "Kode yang tertulis sebagai pecahan di {} sel (….0): berkas asal pernah dibuka sebagai bilangan; perbaiki di sumbernya.",
                signals.point_zero
            ),
            format!(
                "A code written as a fraction in {} cells (….0): the source was once read as numbers; correct it there.",
                signals.point_zero
            ),
        ),
        () if digits && (labels_code(label) || labels_area(label)) => text(
            decision,
            0.9,
            "Judul kolom menyebut kode, nomor, atau wilayah: disimpan sebagai teks.".to_owned(),
            "The label speaks of a code, a number of something, or an area: kept as text.".to_owned(),
        ),
        () => false,
    }
}

fn typed(column: &Column, label: &[String], habit: &Habit, decision: &mut Decision) {
    let signals = &column.signals;
    let years = column.choices.as_ref().is_some_and(|values| {
        values.keys().all(|value| value.len() == 4 && value.parse().is_ok_and(|year| (1900..2101).contains(&year)))
    });
    if labels_year(label) && years {
        decision.properties.insert("type".to_owned(), "year".into());
        return decision.guess(
            "type",
            sure(column.seen),
            "Judul menyebut tahun dan isinya empat digit.",
            "The label says year and the cells are four digits.",
        );
    }
    let real = column.seen - column.doubtful.iter().map(|(_, count)| count).sum::<u64>();
    let mut best: Option<(u64, usize, usize)> = None;
    for (index, (trial, candidate)) in column.trials.iter().zip(CANDIDATES.iter()).enumerate() {
        let rank = (trial.misses, preference(candidate, habit), index);
        if !trial.out && real > 0 && best.is_none_or(|known| rank < known) {
            best = Some(rank);
        }
    }
    let tolerated = |misses: u64| misses == 0 || real >= ENOUGH && misses <= (real / TOLERATED).max(1);
    match best {
        Some((misses, _, index)) if tolerated(misses) => chosen(column, index, real, habit, decision),
        _ => {
            decision.properties.insert("type".to_owned(), "string".into());
            let (id, en) = if signals.month_name * 10 >= column.seen * 9 {
                (
                    "Tanggal dengan nama bulan Indonesia: teks dulu; pola tanggalnya perlu diputuskan.",
                    "Dates with Indonesian month names: text for now; their pattern has to be decided.",
                )
            } else {
                ("Tidak ada tipe lain yang cocok dengan isinya.", "No other type fits the cells.")
            };
            decision.guess("type", 0.8, id, en);
        }
    }
}

/// Lower is better, among candidates that fit equally well.
fn preference(candidate: &Candidate, habit: &Habit) -> usize {
    match (candidate.kind, candidate.locale) {
        (Kind::Whole, Locale::Plain) => 0,
        (Kind::Whole, Locale::Indonesian) if habit.prefers_indonesian() => 1,
        (Kind::Decimal, Locale::Indonesian) if habit.prefers_indonesian() => 2,
        (Kind::Decimal, Locale::Plain) => 3,
        (Kind::Whole, Locale::English) => 4,
        (Kind::Decimal, Locale::English) => 5,
        (Kind::Whole, Locale::Indonesian) => 6,
        (Kind::Decimal, Locale::Indonesian) => 7,
        (Kind::Moment | Kind::Truth, _) => 8,
    }
}

fn chosen(column: &Column, index: usize, real: u64, habit: &Habit, decision: &mut Decision) {
    let (Some(candidate), Some(trial)) = (CANDIDATES.get(index), column.trials.get(index)) else { return };
    decision.properties = candidate.properties.clone();
    let rivals: Vec<&Candidate> = CANDIDATES
        .iter()
        .zip(&column.trials)
        .filter(|(rival, other)| !other.out && other.misses == trial.misses && differs(candidate, rival))
        .map(|(rival, _)| rival)
        .collect();
    let (name, fits) = (candidate.name(), real - trial.misses);
    let shape = ["groupChar", "decimalChar", "format"]
        .iter()
        .filter(|key| !candidate.text(key).is_empty())
        .map(|key| format!("{key} «{}»", candidate.text(key)))
        .collect::<Vec<_>>()
        .join(", ");
    let mut id = format!(
        "{fits} dari {real} sel terbaca sebagai {name}{}{shape}.",
        if shape.is_empty() { "" } else { " dengan " }
    );
    let mut en =
        format!("{fits} of {real} cells read as {name}{}{shape}.", if shape.is_empty() { "" } else { " with " });
    let mut confidence = sure(real) * (fits as f64 / real.max(1) as f64);
    if let Some(rival) = rivals.first() {
        confidence = if habit.is_known() && candidate.kind != Kind::Moment { 0.75 } else { 0.5 };
        let other = rival.properties.iter().map(|(key, value)| format!("{key} {value}")).collect::<Vec<_>>().join(", ");
        id.push_str(&format!(" Isinya juga cocok dengan {other}: pastikan dengan produsen data."));
        en.push_str(&format!(" The cells fit {other} as well: ask the producer."));
    }
    if name == "number" && column.signals.point_zero * 10 >= real * 9 {
        confidence = confidence.min(0.6);
        id.push_str(
            " Hampir semua berakhir «.0»: mungkin bilangan bulat atau kode yang pernah dibuka sebagai pecahan.",
        );
        en.push_str(" Nearly all end in “.0”: perhaps whole numbers or codes that were once read as fractions.");
    }
    decision.guess("type", confidence, id, en);
    decision.against(trial.misses, trial.examples.clone());
}

/// Whether two candidates read the same cells as other values: `1.234` is a thousand in Indonesian and one and a bit
/// elsewhere, 3/4 is a day in April or in March.
fn differs(one: &Candidate, other: &Candidate) -> bool {
    let digits_only = |c: &Candidate| c.kind == Kind::Whole && c.locale == Locale::Plain;
    let indonesian = |c: &Candidate| c.locale == Locale::Indonesian;
    match (one.kind, other.kind) {
        (Kind::Whole | Kind::Decimal, Kind::Whole | Kind::Decimal) => {
            indonesian(one) != indonesian(other) && !digits_only(one) && !digits_only(other)
        }
        (Kind::Moment, Kind::Moment) => one.name() == other.name() && one.text("format") != other.text("format"),
        _ => false,
    }
}

fn missing(column: &Column, decision: &mut Decision) {
    let mut texts: Vec<String> =
        column.missing.iter().map(|(text, _)| text.clone()).filter(|text| !text.is_empty()).collect();
    if decision.kind() != "string" {
        texts.extend(column.doubtful.iter().map(|(text, _)| text.clone()));
    }
    if texts.is_empty() {
        return;
    }
    let shown = texts.iter().map(|text| format!("«{text}»")).collect::<Vec<_>>().join(", ");
    let count: u64 = column.missing.iter().filter(|(text, _)| !text.is_empty()).map(|(_, count)| count).sum();
    decision.guess(
        "missingValues",
        0.85,
        format!("{shown} berdiri sendiri di {count} sel: tampaknya berarti tidak ada nilai."),
        format!("{shown} stands alone in {count} cells: it seems to mean no value."),
    );
    texts.insert(0, String::new());
    decision.missing = texts;
}

/// Personal data are marked on suspicion, so that they are masked until a person decides.
fn person(column: &Column, label: &[String], decision: &mut Decision) {
    let (signals, seen) = (&column.signals, column.seen.max(1));
    let share = |count: u64| count as f64 / seen as f64;
    let areas = signals.share_of_names(signals.area_name) >= 0.4;
    let said = labels_person(label);
    let names = label.iter().any(|word| word == "nama" || word == "name");
    let (kind, confidence, id, en) = match () {
        () if share(signals.nik) >= 0.8 => {
            ("umum", 0.95, "16 digit dengan susunan NIK", "16 digits composed like a NIK")
        }
        () if share(signals.phone) >= 0.8 => {
            ("umum", 0.9, "bentuk nomor telepon seluler", "the form of mobile numbers")
        }
        () if share(signals.email) >= 0.8 => ("umum", 0.95, "bentuk alamat surel", "the form of e-mail addresses"),
        () if names && areas => return,
        () if said.is_some() && names && signals.share_of_names(signals.person_like) >= 0.5 => (
            "umum",
            0.7,
            "judul menyebut nama dan isinya seperti nama orang",
            "the label says name and the cells look like persons' names",
        ),
        () if said.is_some() && names => ("umum", 0.4, "judul menyebut nama", "the label says name"),
        () => match said {
            Some(kind) => (kind, 0.6, "judul kolom menyebut data perorangan", "the label speaks of a person's data"),
            None => return,
        },
    };
    decision.personal = Some(kind);
    decision.guess(
        "dataPribadi",
        confidence,
        format!("Mungkin data pribadi: {id}. Disamarkan sampai diputuskan orang (UU 27/2022)."),
        format!("Perhaps personal data: {en}. Masked until a person decides (Undang-Undang 27/2022)."),
    );
    // The draft is passed around: what speaks against a guess is counted, not repeated.
    decision
        .guesses
        .iter_mut()
        .flat_map(|guess| &mut guess.examples)
        .for_each(|example| example.value = crate::report::MASK.to_owned());
}

fn areas(column: &Column, decision: &mut Decision) {
    let (signals, seen) = (&column.signals, column.seen);
    let label = words(&column.label);
    if decision.kind() != "string" || seen == 0 || decision.personal.is_some() {
        return;
    }
    let examples: Vec<Example> =
        signals.unknown_area.iter().map(|(row, value)| Example { row: *row, value: value.clone() }).collect();
    if signals.dotted > 0 && (signals.area + signals.village) * 10 >= seen * 9 {
        let (all, listed) = (signals.area + signals.village, signals.area);
        decision.areas = listed * 50 >= seen * 49;
        let (id, en) = if decision.areas {
            (
                format!(
                    "{listed} dari {seen} sel ada dalam daftar wilayah Kemendagri. Sistem kode ini dugaan; nyatakan dengan tegas."
                ),
                format!(
                    "{listed} of {seen} cells are in the Kemendagri list of areas. The code system is a guess; declare it."
                ),
            )
        } else {
            (
                format!(
                    "{all} dari {seen} sel berbentuk kode Kemendagri, {listed} ada dalam daftar yang dibawa (yang tidak memuat semua desa dan kode yang sudah diganti), jadi tidak diikat ke daftar."
                ),
                format!(
                    "{all} of {seen} cells have the form of Kemendagri codes, {listed} are in the list that ships (which holds neither every village nor replaced codes), so they are not bound to it."
                ),
            )
        };
        decision.guess("kodeReferensi", if decision.areas { 0.9 } else { 0.6 }, id, en);
        decision.against(seen - all, examples);
        return;
    }
    let area_word = |word: &String| {
        [
            "provinsi",
            "prov",
            "kabupaten",
            "kab",
            "kota",
            "kecamatan",
            "kec",
            "desa",
            "kelurahan",
            "kel",
            "wilayah",
            "bps",
            "kemendagri",
        ]
        .contains(&word.as_str())
    };
    if labels_code(&label) && label.iter().any(area_word) && (signals.digits + signals.point_zero) * 10 >= seen * 9 {
        decision.guess(
            "kodeReferensi",
            0.3,
            "Kode wilayah tanpa titik: BPS dan Kemendagri memakai angka yang sama untuk tempat berbeda, jadi sistemnya tidak diduga dari digit. Tanyakan dan nyatakan.",
            "Area codes without dots: BPS and Kemendagri use the same digits for different places, so the system is not guessed from digits. Ask and declare it.",
        );
    }
}

fn closed_list(column: &Column, label: &[String], decision: &mut Decision) {
    let Some(choices) = &column.choices else { return };
    let named =
        label.iter().any(|word| word == "nama") || column.signals.share_of_names(column.signals.area_name) >= 0.4;
    let few =
        (2..=MAX_CHOICES).contains(&choices.len()) && column.seen >= ENOUGH && column.seen >= choices.len() as u64 * 5;
    let short = choices.keys().all(|value| value.chars().count() <= CHOICE_CHARS);
    if decision.kind() != "string" || !few || !short || named || decision.personal.is_some() || decision.code {
        return;
    }
    let mut values: Vec<(&String, &u64)> = choices.iter().collect();
    values.sort();
    let rare: Vec<Example> = values
        .iter()
        .filter(|(_, count)| **count == 1)
        .take(3)
        .map(|(value, _)| Example { row: 0, value: (*value).clone() })
        .collect();
    decision.choices = values.iter().map(|(value, _)| (*value).clone()).collect();
    let confidence = if choices.len() <= 8 { 0.8 } else { 0.6 };
    decision.guess(
        "categories",
        confidence,
        format!(
            "Hanya {} nilai berbeda di {} sel. Nilai yang jarang mungkin salah ketik; nilai lain mungkin belum muncul.",
            choices.len(),
            column.seen
        ),
        format!(
            "Only {} different values in {} cells. Rare ones may be typing errors; others may not have come yet.",
            choices.len(),
            column.seen
        ),
    );
    decision.against(rare.len() as u64, rare);
}

fn occupied(column: &Column, decision: &mut Decision) {
    let (seen, absent) = (column.seen, column.absent());
    let doubtful: u64 =
        if decision.kind() == "string" { 0 } else { column.doubtful.iter().map(|(_, count)| count).sum() };
    if seen >= FEWEST && absent + doubtful == 0 {
        decision.required = true;
        decision.guess(
            "constraints.required",
            sure(seen) * 0.9,
            format!("Terisi di semua {seen} baris."),
            format!("Filled in all {seen} rows."),
        );
    }
    let label = words(&column.label);
    let identifying =
        matches!(decision.kind(), "string" | "integer") && !labels_coordinate(&label) && !decision.sequence;
    if seen >= 10 && column.distinct.holds() && identifying && super::meaning::labels_key(&label) {
        decision.unique = true;
        decision.guess(
            "constraints.unique",
            0.7,
            format!("Tidak ada yang kembar di {seen} sel."),
            format!("None repeats in {seen} cells."),
        );
    }
}

/// Names beside codes of areas that never repeat are names of those areas, not of persons.
pub(super) fn names_of_areas(profile: &Profile, decisions: &mut [Decision]) {
    let coded = decisions
        .iter()
        .zip(&profile.columns)
        .any(|(decision, column)| column.distinct.holds() && decision.code && column.signals.dotted > 0);
    for (decision, column) in decisions.iter_mut().zip(&profile.columns) {
        if coded && words(&column.label) == ["nama"] {
            decision.personal = None;
            decision.guesses.retain(|guess| guess.property != "dataPribadi");
        }
    }
}

/// The columns of the primary key that is guessed, and why.
pub(super) fn primary_key(profile: &Profile, decisions: &[Decision]) -> Option<(Vec<usize>, Text, f64)> {
    let usable = |index: &usize| {
        decisions
            .get(*index)
            .is_some_and(|d| d.required && !d.sequence && matches!(d.kind(), "string" | "integer" | "date" | "year"))
    };
    let single = |index: &usize| decisions.get(*index).is_some_and(|d| d.unique) && usable(index);
    if let Some(index) = (0..decisions.len()).find(single) {
        let why = Text::fixed(
            "Terisi di semua baris, tidak pernah kembar, dan judulnya menyebut pengenal.",
            "Filled in every row, never repeated, and the label speaks of an identifier.",
        );
        return Some((vec![index], why, 0.6));
    }
    let repeats =
        |index: usize| profile.columns.get(index).is_some_and(|column| matches!(column.distinct, Distinct::Repeats));
    let text = |index: usize| decisions.get(index).is_some_and(|d| matches!(d.kind(), "string" | "date" | "year"));
    let pair = profile.pairs.iter().find(|(left, right, distinct)| {
        distinct.holds()
            && usable(left)
            && usable(right)
            && repeats(*left)
            && repeats(*right)
            && text(*left)
            && text(*right)
    });
    let why = Text::fixed(
        "Keduanya bersama tidak pernah kembar, masing-masing kembar.",
        "Together they never repeat, each by itself does.",
    );
    pair.map(|(left, right, _)| (vec![*left, *right], why, 0.4))
}

/// The guess as it stands in the descriptor.
pub(super) fn told(guess: &Guess, lang: crate::report::Lang) -> Value {
    let mut told = json!({"alasan": guess.why.get(lang), "keyakinan": (guess.confidence * 100.0).round() / 100.0});
    if guess.against > 0 {
        told["menyimpang"] = guess.against.into();
        let example = |example: &Example| match example.row {
            0 => json!({"nilai": example.value}),
            row => json!({"baris": row, "nilai": example.value}),
        };
        told["contohMenyimpang"] = guess.examples.iter().map(example).collect();
    }
    told
}
