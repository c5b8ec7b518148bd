//! The rules by name, and what each says to a person.

use serde::{Serialize, Serializer};
use serde_json::Value;

use super::Approval;

/// Characters of a value shown in a message.
const MAX_SHOWN: usize = 60;

/// A change in words, for the people of an agency.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Message {
    /// Indonesian.
    pub id: String,
    /// English.
    pub en: String,
}

macro_rules! rules {
    ($($(#[$doc:meta])* $variant:ident $name:literal $id:literal $en:literal;)+) => {
        /// What kind of difference a [`super::Change`] is. The name in JSON is that of [`Rule::name`].
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
        pub enum Rule {
            $($(#[$doc])* $variant,)+
        }

        impl Rule {
            /// The stable name of the rule, such as `FIELD_ADD_OPTIONAL`.
            pub fn name(self) -> &'static str {
                match self { $(Rule::$variant => $name,)+ }
            }

            fn templates(self) -> (&'static str, &'static str) {
                match self { $(Rule::$variant => ($id, $en),)+ }
            }
        }
    };
}

rules! {
    /// A rule across columns that refuses rows came, or one that warned now refuses.
    AcrossAdd "ROW_RULE_ADD" "Aturan antarkolom {field} ditambahkan: {to}." "The rule across columns {field} was added: {to}.";
    /// A rule across columns that refused rows went, or only warns now.
    AcrossRemove "ROW_RULE_REMOVE" "Aturan antarkolom {field} dihapus: {from}." "The rule across columns {field} was removed: {from}.";
    /// A rule across columns says something else.
    AcrossChange "ROW_RULE_CHANGE" "Aturan antarkolom {field} berubah dari {from} menjadi {to}." "The rule across columns {field} changed from {from} to {to}.";
    /// A rule across columns leaves more room.
    AcrossLoosen "ROW_RULE_LOOSEN" "Aturan antarkolom {field} dilonggarkan." "The rule across columns {field} was loosened.";
    /// A rule across columns that only warns is new, other or gone, or its words are.
    AcrossWarning "ROW_RULE_WARNING" "Peringatan atau pesan aturan antarkolom {field} berubah." "The warning or message of the rule across columns {field} changed.";
    /// Words for people changed.
    MetaText "META_TEXT" "Keterangan {field} berubah." "The description of {field} changed.";
    /// A column that may be empty came.
    FieldAddOptional "FIELD_ADD_OPTIONAL" "Kolom {field} ditambahkan; boleh kosong." "Column {field} was added; it may be empty.";
    /// A column that must be filled came.
    FieldAddRequired "FIELD_ADD_REQUIRED" "Kolom {field} ditambahkan dan wajib diisi; data lama tidak memilikinya." "Column {field} was added and is required; older data lack it.";
    /// A column that could be empty went.
    FieldRemoveOptional "FIELD_REMOVE_OPTIONAL" "Kolom {field} dihapus." "Column {field} was removed.";
    /// A column that had to be filled went.
    FieldRemoveRequired "FIELD_REMOVE_REQUIRED" "Kolom wajib {field} dihapus; pembaca lama membutuhkannya." "Required column {field} was removed; readers of the old version need it.";
    /// A column has another name.
    FieldRename "FIELD_RENAME" "Kolom {from} berganti nama menjadi {to}." "Column {from} is now called {to}.";
    /// A column has another name and the old one is still accepted in files.
    FieldRenameAlias "FIELD_RENAME_ALIAS" "Kolom {from} berganti nama menjadi {to}; nama lama masih diterima." "Column {from} is now called {to}; files may keep the old name.";
    /// One column went and one of the same type came: perhaps a new name without an element id.
    RenameSuspected "RENAME_SUSPECTED" "Kolom {from} hilang dan {to} muncul: bila itu berganti nama, beri idElemen yang sama." "Column {from} went and {to} came: if it is a new name, give both the same idElemen.";
    /// The columns stand in another order.
    FieldReorder "FIELD_REORDER" "Urutan kolom berubah." "The order of the columns changed.";
    /// Whole numbers became numbers.
    TypeWiden "TYPE_WIDEN" "Kolom {field} kini menerima pecahan." "Column {field} now accepts fractions.";
    /// Numbers became whole numbers.
    TypeNarrow "TYPE_NARROW" "Kolom {field} kini hanya menerima bilangan bulat." "Column {field} now accepts whole numbers only.";
    /// Any other change of type.
    TypeChange "TYPE_CHANGE" "Jenis kolom {field} berubah dari {from} menjadi {to}." "The type of column {field} changed from {from} to {to}.";
    /// Values are written differently in files.
    FormatChange "FORMAT_CHANGE" "Cara menulis {field} berubah dari {from} menjadi {to}." "The way {field} is written changed from {from} to {to}.";
    /// A text must now be, or no longer be, an e-mail address, a URI and so on.
    StringFormat "STRING_FORMAT" "Bentuk teks kolom {field} berubah dari {from} menjadi {to}." "The text format of column {field} changed from {from} to {to}.";
    /// A column must now be filled.
    RequiredAdd "REQUIRED_ADD" "Kolom {field} kini wajib diisi." "Column {field} is now required.";
    /// A column may now be empty.
    RequiredRemove "REQUIRED_REMOVE" "Kolom {field} kini boleh kosong." "Column {field} may now be empty.";
    /// The bounds of a value are narrower.
    BoundTighten "BOUND_TIGHTEN" "Batas nilai kolom {field} menyempit: {from} menjadi {to}." "The bounds of column {field} are narrower: {from} became {to}.";
    /// The bounds of a value are wider.
    BoundLoosen "BOUND_LOOSEN" "Batas nilai kolom {field} melonggar: {from} menjadi {to}." "The bounds of column {field} are wider: {from} became {to}.";
    /// The bounds are written differently and mean the same.
    BoundEqual "BOUND_EQUAL" "Batas nilai kolom {field} ditulis lain, artinya sama." "The bounds of column {field} are written differently and mean the same.";
    /// The bounds changed and cannot be compared.
    BoundChange "BOUND_CHANGE" "Batas nilai kolom {field} berubah dan tidak dapat dibandingkan: {from} menjadi {to}." "The bounds of column {field} changed and cannot be compared: {from} became {to}.";
    /// Fewer lengths are allowed.
    LengthTighten "LENGTH_TIGHTEN" "Panjang teks kolom {field} menyempit: {from} menjadi {to}." "The allowed length of column {field} is narrower: {from} became {to}.";
    /// More lengths are allowed.
    LengthLoosen "LENGTH_LOOSEN" "Panjang teks kolom {field} melonggar: {from} menjadi {to}." "The allowed length of column {field} is wider: {from} became {to}.";
    /// Choices went.
    EnumNarrow "ENUM_NARROW" "Pilihan kolom {field} berkurang: {from} menjadi {to}." "Column {field} has fewer choices: {from} became {to}.";
    /// Choices came.
    EnumWiden "ENUM_WIDEN" "Pilihan kolom {field} bertambah: {from} menjadi {to}." "Column {field} has more choices: {from} became {to}.";
    /// Choices went and others came.
    EnumChange "ENUM_CHANGE" "Pilihan kolom {field} berubah: {from} menjadi {to}." "Column {field} has other choices: {from} became {to}.";
    /// The same choices in another order or with other labels.
    EnumEqual "ENUM_EQUAL" "Urutan atau label pilihan kolom {field} berubah." "The order or labels of the choices of column {field} changed.";
    /// A pattern came.
    PatternAdd "PATTERN_ADD" "Kolom {field} kini harus berbentuk {to}." "Column {field} must now match {to}.";
    /// A pattern went.
    PatternRemove "PATTERN_REMOVE" "Kolom {field} tidak lagi harus berbentuk {from}." "Column {field} need no longer match {from}.";
    /// A pattern changed.
    PatternChange "PATTERN_CHANGE" "Bentuk kolom {field} berubah dari {from} menjadi {to}." "The pattern of column {field} changed from {from} to {to}.";
    /// A JSON Schema came.
    JsonSchemaAdd "JSONSCHEMA_ADD" "Isi kolom {field} kini diperiksa dengan JSON Schema." "Column {field} is now checked with a JSON Schema.";
    /// A JSON Schema went.
    JsonSchemaRemove "JSONSCHEMA_REMOVE" "Isi kolom {field} tidak lagi diperiksa dengan JSON Schema." "Column {field} is no longer checked with a JSON Schema.";
    /// A JSON Schema changed.
    JsonSchemaChange "JSONSCHEMA_CHANGE" "JSON Schema kolom {field} berubah." "The JSON Schema of column {field} changed.";
    /// Rows must differ in these columns.
    UniqueAdd "UNIQUE_ADD" "Nilai {to} kini tidak boleh kembar." "Values of {to} may no longer repeat.";
    /// Rows may repeat in these columns.
    UniqueRemove "UNIQUE_REMOVE" "Nilai {from} kini boleh kembar." "Values of {from} may now repeat.";
    /// A primary key came.
    KeyAdd "KEY_ADD" "Kunci utama {to} ditambahkan." "The primary key {to} was added.";
    /// The primary key has more columns.
    KeyExtend "KEY_EXTEND" "Kunci utama bertambah kolom: {from} menjadi {to}." "The primary key has more columns: {from} became {to}.";
    /// The primary key has fewer columns.
    KeyReduce "KEY_REDUCE" "Kunci utama berkurang kolom: {from} menjadi {to}." "The primary key has fewer columns: {from} became {to}.";
    /// The primary key has other columns.
    KeyChange "KEY_CHANGE" "Kunci utama berubah: {from} menjadi {to}." "The primary key changed: {from} became {to}.";
    /// The primary key went.
    KeyRemove "KEY_REMOVE" "Kunci utama {from} dihapus." "The primary key {from} was removed.";
    /// Values must now be in a list.
    FkAdd "FK_ADD" "Kolom {field} kini harus memakai daftar {to}." "Column {field} must now use the list {to}.";
    /// Values need no longer be in a list.
    FkRemove "FK_REMOVE" "Kolom {field} tidak lagi harus memakai daftar {from}." "Column {field} need no longer use the list {from}.";
    /// Another version of the code list.
    RefVersion "REF_VERSION" "Daftar kode kolom {field} berganti edisi: {from} menjadi {to}." "The code list of column {field} has another version: {from} became {to}.";
    /// More texts mean "no value".
    MissingAdd "MISSING_ADD" "Tulisan yang berarti kosong bertambah: {from} menjadi {to}." "More texts mean no value: {from} became {to}.";
    /// Fewer texts mean "no value".
    MissingRemove "MISSING_REMOVE" "Tulisan yang berarti kosong berkurang: {from} menjadi {to}." "Fewer texts mean no value: {from} became {to}.";
    /// Files may have more or fewer columns than before.
    FieldsMatchLoosen "FIELDSMATCH_LOOSEN" "Pencocokan kolom berkas melonggar: {from} menjadi {to}." "Matching of file columns is looser: {from} became {to}.";
    /// Files must agree with the columns more closely than before.
    FieldsMatchTighten "FIELDSMATCH_TIGHTEN" "Pencocokan kolom berkas mengetat: {from} menjadi {to}." "Matching of file columns is stricter: {from} became {to}.";
    /// Numbers mean another quantity.
    UnitChange "UNIT_CHANGE" "Satuan atau ukuran kolom {field} berubah: {from} menjadi {to}. Angka lama dan baru tidak sebanding." "The unit or measure of column {field} changed: {from} became {to}. Old and new figures do not compare.";
    /// The concept, definition or classification is worded differently.
    ConceptChange "CONCEPT_CHANGE" "Konsep, definisi, atau klasifikasi {field} berubah; walidata perlu menyetujui." "The concept, definition or classification of {field} changed; the custodian has to approve.";
    /// Fewer people may see it.
    AccessNarrow "ACCESS_NARROW" "Akses {field} menyempit dari {from} menjadi {to}." "Access to {field} is narrower: {from} became {to}.";
    /// More people may see it.
    AccessWiden "ACCESS_WIDEN" "Akses {field} meluas dari {from} menjadi {to}; produsen data perlu menyetujui." "Access to {field} is wider: {from} became {to}; the producer has to approve.";
    /// It is now marked as personal data.
    PiiMarkAdd "PII_MARK_ADD" "{field} ditandai sebagai data pribadi; pembaca menerima isi yang berbeda." "{field} is marked as personal data; readers get other content.";
    /// It is no longer marked as personal data.
    PiiMarkRemove "PII_MARK_REMOVE" "Tanda data pribadi pada {field} dihapus; pejabat pelindungan data perlu menyetujui." "{field} is no longer marked as personal data; the data protection officer has to approve.";
    /// Personal data are treated in another way.
    PiiMarkChange "PII_MARK_CHANGE" "Perlakuan data pribadi pada {field} berubah; pejabat pelindungan data perlu menyetujui." "Personal data in {field} are treated differently; the data protection officer has to approve.";
    /// Deliveries add, replace or update in another way.
    ModeChange "MODE_CHANGE" "Cara kiriman diterapkan berubah dari {from} menjadi {to}." "The way deliveries take effect changed from {from} to {to}.";
    /// What becomes of a delivery with bad rows changed.
    PolicyChange "POLICY_CHANGE" "Kebijakan atas baris salah berubah dari {from} menjadi {to}." "The policy for bad rows changed from {from} to {to}.";
}

impl Rule {
    /// Whose consent the change needs.
    pub fn approval(self) -> Option<Approval> {
        match self {
            Rule::ConceptChange | Rule::ModeChange => Some(Approval::Walidata),
            Rule::AccessWiden => Some(Approval::Produsen),
            Rule::PiiMarkRemove | Rule::PiiMarkChange => Some(Approval::Ppdp),
            _ => None,
        }
    }

    pub(super) fn message(self, field: Option<&str>, from: &Value, to: &Value) -> Message {
        let fill = |template: &str, whole: &str, nothing: &str| {
            let field = field.unwrap_or(whole);
            let (from, to) = (show(from, nothing), show(to, nothing));
            // The values go in last: what stands inside them is not a placeholder.
            let parts = template.split_inclusive('}').map(|part| match part.split_once('{') {
                Some((text, "field}")) => format!("{text}{field}"),
                Some((text, "from}")) => format!("{text}{from}"),
                Some((text, "to}")) => format!("{text}{to}"),
                _ => part.to_owned(),
            });
            parts.collect::<String>()
        };
        let (id, en) = self.templates();
        Message { id: fill(id, "tabel", "(tidak ada)"), en: fill(en, "the table", "(nothing)") }
    }
}

impl Serialize for Rule {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.name())
    }
}

fn show(value: &Value, nothing: &str) -> String {
    let text = match value {
        Value::Null => nothing.to_owned(),
        Value::String(text) => format!("«{text}»"),
        other => other.to_string(),
    };
    match text.char_indices().nth(MAX_SHOWN) {
        Some((end, _)) => format!("{}…", &text[..end]),
        None => text,
    }
}
