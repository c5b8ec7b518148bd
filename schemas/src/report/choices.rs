//! The words for values outside a set or a form, with the value that is meant where that can be known.

use serde_json::Value;

use super::fits::Asked;
use super::words::Words;
use super::{Lang, Text, near, numbers, satudata, shown, speech};
use crate::field::{Field, Rule};
use crate::form::Form;
use crate::lexical::text::TextFormat;
use crate::reader::rows::Tag;

/// Values of a list that a sentence names.
const NAMED_VALUES: usize = 8;
/// Zeros that a spreadsheet may have taken from the front of a code.
const LOST_ZEROS: usize = 3;
/// Digits of a NIK or an NKK.
const IDENTITY: usize = 16;

fn text_of(value: &Value) -> String {
    value.as_str().map_or_else(|| value.to_string(), str::to_owned)
}

/// What may stand in a field, and what each of it is called.
struct Choices<'a> {
    texts: Vec<String>,
    labels: Vec<&'a str>,
}

impl<'a> Choices<'a> {
    /// Those of the enumeration, else the categories. A choice of an enumeration is called what the category of the same
    /// value is called.
    fn of(field: &'a Field) -> Self {
        let listed = |parent: Option<&'a Value>, name| parent.and_then(|parent| parent.get(name)?.as_array());
        let categories = listed(Some(&field.source), "categories").map(Vec::as_slice).unwrap_or_default();
        let choices = listed(field.source.get("constraints"), "enum").filter(|choices| !choices.is_empty());
        let value_of = |choice: &Value| text_of(choice.get("value").unwrap_or(choice));
        let texts: Vec<String> = choices.map_or(categories, Vec::as_slice).iter().map(value_of).collect();
        let label = |text: &String| {
            let category = categories.iter().find(|category| value_of(category) == *text);
            category.and_then(|category| category.get("label")).and_then(Value::as_str).unwrap_or_default()
        };
        Self { labels: texts.iter().map(label).collect(), texts }
    }

    /// The first of them as a sentence lists them: `L (Laki-laki), P (Perempuan)`.
    fn named(&self) -> String {
        let named = self.texts.iter().zip(&self.labels).take(NAMED_VALUES).map(|(text, label)| match *label {
            label if label.is_empty() || label == text => shown(text),
            label => format!("{} ({})", shown(text), shown(label)),
        });
        let more = if self.texts.len() > NAMED_VALUES { ", …" } else { "" };
        named.collect::<Vec<_>>().join(", ") + more
    }

    /// The choice whose label was written in its place.
    fn by_label(&self, value: &str) -> Option<&str> {
        let labels = self.labels.iter().copied().filter(|label| !label.is_empty());
        let (label, _) = near::word(labels, value)?;
        let index = self.labels.iter().position(|known| *known == label)?;
        self.texts.get(index).map(String::as_str)
    }
}

/// The words for a value that is not of its type where the field has a few choices: they say more than the type does.
pub(super) fn label_words(field: &Field, value: &str) -> Option<Words> {
    field.constraints.allowed.as_ref()?;
    let choices = Choices::of(field);
    let other = numbers::is_nothing(value) || numbers::spoilt_by_excel(value).is_some();
    if other || choices.texts.is_empty() || value.bytes().any(|byte| byte.is_ascii_digit()) {
        return None;
    }
    let named = choices.named();
    let words =
        Words::new(format!("«{{value}}» bukan salah satu dari {named}."), format!("“{{value}}” is none of {named}."));
    Some(match choices.by_label(value) {
        Some(text) => words.hint("Tulis «{fixed}».", "Write “{fixed}”.").fix(text),
        None => words.hint("Pilih salah satu dan tulis persis seperti itu.", "Choose one and write it exactly so."),
    })
}

/// The words for a value that is none of the choices.
pub(super) fn choice_words(field: &Field, value: &str) -> Words {
    let choices = Choices::of(field);
    let texts = &choices.texts;
    let named = choices.named();
    let words =
        Words::new(format!("«{{value}}» bukan salah satu dari {named}."), format!("“{{value}}” is none of {named}."));
    if let Some((id, en)) = numbers::spoilt_by_excel(value) {
        return words.hint(id, en);
    }
    let plain = value.trim().trim_end_matches(".0");
    if let Some(same) = texts.iter().find(|text| *text == plain) {
        return words.hint("Tulis «{fixed}».", "Write “{fixed}”.").fix(same);
    }
    match near::word(texts.iter().map(String::as_str), value) {
        Some((same, true)) => return words.hint("Tulis «{fixed}».", "Write “{fixed}”.").fix(same),
        Some((near, false)) => return words.guess("Maksud Anda «{fixed}»?", "Did you mean “{fixed}”?").fix(near),
        None => {}
    }
    // A label of a category is often written in place of its value, and a choice cut to its beginning.
    if let Some(text) = choices.by_label(value) {
        return words.hint("Tulis «{fixed}».", "Write “{fixed}”.").fix(text);
    }
    let wanted = near::folded(value);
    if let Some(sex) = sex(texts, &wanted) {
        return words.guess("Maksud Anda «{fixed}»?", "Did you mean “{fixed}”?").fix(sex);
    }
    let mut begun = texts.iter().filter(|text| !wanted.is_empty() && near::folded(text).starts_with(&wanted));
    match (begun.next(), begun.next()) {
        (Some(only), None) => words.guess("Maksud Anda «{fixed}»?", "Did you mean “{fixed}”?").fix(only),
        _ => words.hint("Pilih salah satu dan tulis persis seperti itu.", "Choose one and write it exactly so."),
    }
}

/// The choice among L and P that a word for a sex means; `Pria` begins with the wrong letter.
fn sex<'c>(choices: &'c [String], word: &str) -> Option<&'c str> {
    let letter = match word {
        "laki laki" | "laki" | "lelaki" | "pria" | "lk" => "L",
        "perempuan" | "wanita" | "pr" => "P",
        _ => return None,
    };
    let both = choices.len() == 2 && ["L", "P"].iter().all(|one| choices.iter().any(|choice| choice == one));
    choices.iter().find(|choice| both && *choice == letter).map(String::as_str)
}

/// The words for a text that does not have its form.
pub(super) fn pattern_words(asked: Asked<'_>, value: &str) -> Words {
    let field = asked.field;
    let example = field.source.get("example").and_then(Value::as_str).map(shown);
    let pattern = field.constraints.pattern.as_ref();
    let words = match &example {
        Some(example) => Words::new(
            format!("«{{value}}» tidak sesuai bentuk, misalnya {example}."),
            format!("“{{value}}” does not have the form of, for example, {example}."),
        ),
        None => Words::new(
            "«{value}» tidak sesuai bentuk yang diminta.",
            "“{value}” does not have the form that is asked for.",
        ),
    };
    if let Some((id, en)) = numbers::spoilt_by_excel(value) {
        return words.hint(id, en);
    }
    let fits = |text: &str| pattern.is_some_and(|pattern| pattern.accepts(text));
    if let Some(fixed) = tidied(value).into_iter().find(|text| fits(text)) {
        return words.hint("Tulis {fixed}.", "Write {fixed}.").fix(fixed);
    }
    if let Some(Text { id, en }) = miscounted(value, fits) {
        return words.telling(id, en);
    }
    if !value.is_empty() && value.bytes().all(|byte| byte.is_ascii_digit()) {
        let padded = (1..=LOST_ZEROS).map(|zeros| format!("{}{value}", "0".repeat(zeros)));
        if let Some(fixed) = padded.into_iter().find(|text| asked.accepts(text)) {
            return words
                .guess(
                    "Nol di depan mungkin dihapus Excel. Maksud Anda {fixed}? Beri kolomnya format Teks.",
                    "Excel may have taken the leading zero. Did you mean {fixed}? Make the column Text.",
                )
                .fix(fixed);
        }
    }
    let pattern = shown(pattern.map(|pattern| pattern.source()).unwrap_or_default());
    match example {
        Some(example) => words.hint(
            format!("Tulis seperti {example}. Rincian teknis: pola {pattern}"),
            format!("Write it like {example}. Technical detail: the pattern {pattern}"),
        ),
        None => words.hint(
            format!("Periksa panjang, huruf dan tandanya. Rincian teknis: pola {pattern}"),
            format!("Check its length, letters and marks. Technical detail: the pattern {pattern}"),
        ),
    }
}

/// A number of a person or a family that has not its 16 digits: none of them can be guessed.
pub(super) fn miscounted(value: &str, fits: impl Fn(&str) -> bool) -> Option<Text> {
    let digits = value.len();
    if digits == IDENTITY || !(10..=22).contains(&digits) || !value.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    let whole: String = value.chars().chain("1".repeat(IDENTITY).chars()).take(IDENTITY).collect();
    fits(&whole).then(|| {
        let (one, one_en) = if digits < IDENTITY { ("hilang", "missing") } else { ("berlebih", "too many") };
        let (id, en) = match digits.abs_diff(IDENTITY) {
            1 => ("satu".to_owned(), "one digit is".to_owned()),
            off => (off.to_string(), format!("{off} digits are")),
        };
        Text::new(
            format!("{digits} angka, seharusnya {IDENTITY}: {id} angka {one}; lihat sumbernya."),
            format!("{digits} digits where {IDENTITY} belong: {en} {one_en}; see the source."),
        )
    })
}

/// The same text without what a spreadsheet or a hurried hand adds to it.
fn tidied(value: &str) -> Vec<String> {
    let seen: String = value.chars().filter(|c| !near::is_invisible(*c)).collect();
    let trimmed = seen.trim().trim_start_matches(['\'', '’', '`']).to_owned();
    let close: String = trimmed.chars().filter(|c| !c.is_whitespace()).collect();
    let whole = close.strip_suffix(".0").unwrap_or(&close).to_owned();
    let single = trimmed.split_whitespace().collect::<Vec<_>>().join(" ");
    let dotted = close.replace(',', ".");
    let mut texts = vec![trimmed, single, close, whole, dotted];
    let cased: Vec<String> = texts.iter().flat_map(|text| [text.to_uppercase(), text.to_lowercase()]).collect();
    texts.extend(cased);
    texts.retain(|text| text != value);
    texts
}

/// The words for a text or list that is too short or too long.
pub(super) fn length_words(rule: Rule, field: &Field, value: &str) -> Words {
    let length = |text: &str| field.form.read(text, Tag::Text).and_then(|value| value.length());
    let short = rule == Rule::MinLength;
    let bound = if short { field.constraints.min_length } else { field.constraints.max_length }.unwrap_or_default();
    let count = length(value).unwrap_or_default();
    let text = matches!(field.form, Form::Text(_));
    let said = |lang: Lang| {
        let counted = |number| match text {
            true => speech::counted(number, lang, "karakter", "character", "characters"),
            false => speech::counted(number, lang, "butir", "item", "items"),
        };
        (counted(count), counted(bound))
    };
    let ((id, id_bound), (en, en_bound)) = (said(Lang::Id), said(Lang::En));
    let (least_id, least_en) = if short { ("paling sedikit", "at least") } else { ("paling banyak", "at most") };
    let words = Words::new(
        format!("«{{value}}» punya {id}; harus {least_id} {id_bound}."),
        format!("“{{value}}” has {en}; it has to have {least_en} {en_bound}."),
    );
    let trimmed = value.trim();
    if !short && text && trimmed.len() < value.len() && length(trimmed).is_some_and(|length| length <= bound) {
        return words.hint("Hapus spasi di tepinya: {fixed}", "Delete the spaces around it: {fixed}").fix(trimmed);
    }
    if short {
        words.hint("Lengkapi isinya; mungkin ada bagian yang terpotong.", "Complete it; a part may be cut off.")
    } else {
        words.hint("Singkat isinya; mungkin dua isian tergabung.", "Shorten it; two values may have run together.")
    }
}

/// The words for a boolean.
pub(super) fn boolean_words(yes: &[Box<str>], no: &[Box<str>], value: &str) -> Words {
    const YES: [&str; 9] = ["ya", "y", "yes", "true", "t", "benar", "ada", "1", "v"];
    const NO: [&str; 9] = ["tidak", "tdk", "no", "false", "f", "salah", "tidak ada", "0", "n"];
    let words = Words::new("«{value}» bukan ya/tidak.", "“{value}” is neither true nor false.");
    let plain = near::folded(value);
    let declared = yes.iter().chain(no).map(AsRef::as_ref);
    let said = near::word(declared.clone(), value).filter(|(_, same)| *same).map(|(word, _)| word);
    let meant = match () {
        () if YES.contains(&plain.as_str()) => yes.first(),
        () if NO.contains(&plain.as_str()) => no.first(),
        () => None,
    };
    if let Some(fixed) = said.or_else(|| meant.map(AsRef::as_ref)) {
        return words.hint("Tulis «{fixed}».", "Write “{fixed}”.").fix(fixed);
    }
    let quoted = |open: char, close: char| {
        declared
            .clone()
            .take(NAMED_VALUES)
            .map(|word| format!("{open}{}{close}", shown(word)))
            .collect::<Vec<_>>()
            .join(", ")
    };
    words.hint(format!("Tulis salah satu dari {}.", quoted('«', '»')), format!("Write one of {}.", quoted('“', '”')))
}

/// The words for a text of a named format, or of a type with a structure.
pub(super) fn other_words(form: &Form, value: &str) -> Words {
    match form {
        Form::Text(format) => format_words(*format, value),
        Form::Duration => Words::new("«{value}» bukan lama waktu.", "“{value}” is not a duration.")
            .hint("Tulis seperti P1Y2M3DT4H.", "Write it like P1Y2M3DT4H."),
        Form::GeoPoint(_) => point_words(value),
        Form::Object => Words::new("«{value}» bukan objek JSON.", "“{value}” is not a JSON object.")
            .hint("Tulis seperti {\"nama\": \"nilai\"}.", "Write it like {\"name\": \"value\"}."),
        Form::Array => Words::new("«{value}» bukan larik JSON.", "“{value}” is not a JSON array.")
            .hint("Tulis seperti [1, 2, 3].", "Write it like [1, 2, 3]."),
        Form::GeoJson | Form::TopoJson => Words::new("«{value}» bukan GeoJSON.", "“{value}” is not GeoJSON.").hint(
            "Salin objek «geometry» dari aplikasi peta, misalnya {\"type\": \"Point\", \"coordinates\": [117.15, -0.5]}.",
            "Copy the “geometry” object from the map application, such as {\"type\": \"Point\", \"coordinates\": [117.15, -0.5]}.",
        ),
        Form::List { delimiter, item } => {
            let mark = if delimiter == "\t" { "tab".to_owned() } else { shown(delimiter) };
            let item = item_name(item);
            Words::new("«{value}» bukan daftar yang sah.", "“{value}” is not a proper list.").hint(
                format!("Pisahkan butirnya dengan «{mark}»; tiap butir harus {}.", item.0),
                format!("Divide the items by “{mark}”; each has to be {}.", item.1),
            )
        }
        _ => Words::new("«{value}» tidak dapat dibaca.", "“{value}” cannot be read.")
            .hint("Ketik ulang isi sel ini.", "Type this cell again."),
    }
}

const fn item_name(form: &Form) -> (&'static str, &'static str) {
    match form {
        Form::Integer(_) => ("bilangan bulat", "a whole number"),
        Form::Number(_) => ("angka", "a number"),
        Form::Boolean { .. } => ("ya/tidak", "true or false"),
        Form::Date(_) => ("tanggal", "a date"),
        Form::DateTime { .. } => ("tanggal dengan jam", "a date with a time"),
        Form::Time(_) => ("jam", "a time"),
        _ => ("teks", "text"),
    }
}

fn format_words(format: TextFormat, value: &str) -> Words {
    let (words, example) = match format {
        TextFormat::Identity(identity) => return satudata::identity_words(identity, value),
        TextFormat::Email => {
            (Words::new("«{value}» bukan alamat surel.", "“{value}” is not an e-mail address."), "nama@dinas.go.id")
        }
        TextFormat::Uri => {
            (Words::new("«{value}» bukan alamat web.", "“{value}” is not a web address."), "https://dinas.go.id/data")
        }
        TextFormat::Uuid => {
            (Words::new("«{value}» bukan UUID.", "“{value}” is not a UUID."), "123e4567-e89b-12d3-a456-426614174000")
        }
        TextFormat::Binary => (Words::new("«{value}» bukan teks base64.", "“{value}” is not base64."), "U2ltcHVs"),
        TextFormat::Any => {
            return Words::new("«{value}» bukan teks.", "“{value}” is not text.")
                .hint("Tulis di antara tanda kutip ganda.", "Write it in double quotes.");
        }
    };
    if let Some(fixed) = tidied(value).into_iter().find(|text| format.accepts(text)) {
        return words.hint("Tulis {fixed}.", "Write {fixed}.").fix(fixed);
    }
    let web = format!("https://{}", value.trim());
    if format == TextFormat::Uri && value.trim().contains('.') && format.accepts(&web) {
        return words.guess("Maksud Anda {fixed}?", "Did you mean {fixed}?").fix(web);
    }
    words.hint(format!("Tulis seperti {example}."), format!("Write it like {example}."))
}

/// Latitude before longitude is the commonest mistake.
fn point_words(value: &str) -> Words {
    let words = Words::new("«{value}» bukan titik koordinat.", "“{value}” is not a geographic point.");
    let parts: Vec<&str> = value.split([',', ';']).map(str::trim).collect();
    let within = |text: &str, limit: f64| text.parse::<f64>().is_ok_and(|number| number.abs() <= limit);
    match parts.as_slice() {
        [first, second] if within(first, 90.0) && within(second, 180.0) && !within(second, 90.0) => words
            .hint("Bujur ditulis lebih dulu: {fixed}", "Longitude comes first: {fixed}")
            .fix(format!("{second}, {first}")),
        _ => words.hint(
            "Tulis bujur lalu lintang, misalnya 117.15, -0.50.",
            "Write longitude, then latitude, such as 117.15, -0.50.",
        ),
    }
}

/// The words for a value beyond a bound.
pub(super) fn bound_words(rule: Rule, field: &Field) -> Words {
    let (name, sign, id, en) = match rule {
        Rule::Minimum => ("minimum", "≥", "Paling sedikit", "At least"),
        Rule::Maximum => ("maximum", "≤", "Paling banyak", "At most"),
        Rule::ExclusiveMinimum => ("exclusiveMinimum", ">", "Harus lebih dari", "It has to be more than"),
        _ => ("exclusiveMaximum", "<", "Harus kurang dari", "It has to be less than"),
    };
    let bound = field.source.get("constraints").and_then(|constraints| constraints.get(name));
    let bound = bound.map(text_of).unwrap_or_default();
    let unit =
        field.satudata("satuan").and_then(Value::as_str).map(|unit| format!(" {}", shown(unit))).unwrap_or_default();
    let numeric = matches!(field.form, Form::Integer(_) | Form::Number(_));
    let said = |lang| if numeric { speech::decimal(&bound, lang) } else { shown(&bound) };
    let (bound_id, bound_en) = (said(Lang::Id), said(Lang::En));
    Words::new(
        format!("«{{value}}» harus {sign} {bound_id}{unit}."),
        format!("“{{value}}” has to be {sign} {bound_en}{unit}."),
    )
    .hint(
        format!("{id} {bound_id}{unit}; periksa nilainya pada sumbernya."),
        format!("{en} {bound_en}{unit}; check the value at its source."),
    )
}

/// The words for JSON whose parts are not as they should be.
pub(super) fn structure_words(field: &Field, value: &str) -> Words {
    let words = Words::new(
        "JSON ini tidak memenuhi susunan yang diminta.",
        "This JSON does not have the structure that is asked for.",
    );
    let schema = field.constraints.json_schema.as_deref();
    let parsed: Option<Value> = serde_json::from_str(value).ok();
    let found = schema.zip(parsed.as_ref()).and_then(|(schema, value)| {
        let error = schema.iter_errors(value).next()?;
        Some((shown(&error.instance_path().to_string()), shown(&error.schema_path().to_string())))
    });
    match found {
        Some((place, rule)) => {
            let (id, en) = match place.as_str() {
                "" => ("Periksa seluruh objeknya".to_owned(), "Check the whole object".to_owned()),
                place => (format!("Periksa bagian «{place}»"), format!("Check the part “{place}”")),
            };
            words.telling(
                format!("{id}. Rincian teknis: aturan {rule}"),
                format!("{en}. Technical detail: the rule {rule}"),
            )
        }
        None => words.hint("Periksa nama dan isi objeknya.", "Check the names and values of the object."),
    }
}
