//! A contract: a Data Package descriptor, compiled once, immutable and shared.

use std::sync::Arc;

use arrow_schema::{Schema, SchemaRef};
use serde_json::{Map, Value};
use simpul_core::delivery::Mode;
use simpul_core::receipt::CodeListEdition;

use crate::across::{self, AcrossRule, RuleEngine};
use crate::compile_field::{Around, field as compile_field, missing_values};
use crate::descriptor::{DescriptorError, Props};
use crate::field::Field;
use crate::reader::cells::Sheet;
use crate::reader::csv::Dialect;
use crate::reader::decode::encoding_for;
use crate::reference::{KeySet, ReferenceTable, References, Wanted};

/// The kind of error for a list that is not there.
pub(crate) const REFERENCE_ERROR: &str = "reference-error";
/// The kind of error for an encoding that is not known.
pub(crate) const ENCODING_ERROR: &str = "encoding-error";

/// The most fields that a contract may have.
pub const MAX_FIELDS: usize = 4096;

/// How the columns of a file have to fit the fields.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum FieldsMatch {
    #[default]
    Exact,
    Equal,
    Subset,
    Superset,
    Partial,
}

/// What becomes of a delivery that has bad rows.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Policy {
    /// The whole delivery is refused.
    #[default]
    Refuse,
    /// The good rows are accepted, the bad ones set aside.
    Quarantine,
}

/// Who may read the dataset.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Sifat {
    /// Anyone.
    Open,
    /// Whoever an agreement names. The default, since what is not said to be open is not.
    #[default]
    Restricted,
    /// Nobody outside the producer.
    Closed,
}

/// How the file is laid out: which of it is header, data, or neither.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Layout {
    pub(crate) dialect: Dialect,
    /// The dialect names its delimiter; else it is detected.
    pub(crate) delimiter_declared: bool,
    pub(crate) header: bool,
    /// Header records by number; empty means the first that is no comment.
    pub(crate) header_rows: Vec<u64>,
    pub(crate) header_join: String,
    pub(crate) comment_rows: Vec<u64>,
    /// Labels that differ from a name only in the case of letters are that name: `caseSensitiveHeader`
    /// of version 1 when it says so.
    pub(crate) ignore_case: bool,
    /// JSON: where the rows are.
    pub(crate) property: Option<String>,
    pub(crate) item_keys: Option<Vec<String>>,
    /// Workbooks: which sheet.
    pub(crate) sheet: Sheet,
}

impl Default for Layout {
    fn default() -> Self {
        Self {
            dialect: Dialect::default(),
            delimiter_declared: false,
            header: true,
            header_rows: Vec::new(),
            header_join: " ".to_owned(),
            comment_rows: Vec::new(),
            ignore_case: false,
            property: None,
            item_keys: None,
            sheet: Sheet::default(),
        }
    }
}

/// A reference from fields of this table to a list, or to the table itself.
#[derive(Debug)]
pub(crate) struct ForeignKey {
    pub(crate) columns: Vec<usize>,
    pub(crate) target: Target,
    /// What a person calls the list.
    pub(crate) list: String,
}

#[derive(Debug)]
pub(crate) enum Target {
    Itself(Vec<usize>),
    List { keys: Arc<KeySet>, table: Arc<ReferenceTable>, fields: Vec<String> },
}

/// A compiled contract. Cheap to share between threads, never changes.
#[derive(Debug)]
pub struct Contract {
    descriptor: Value,
    name: String,
    version: String,
    title: Option<String>,
    pub(crate) resource: String,
    pub(crate) fields: Vec<Field>,
    pub(crate) fields_match: FieldsMatch,
    pub(crate) layout: Layout,
    pub(crate) encoding: Option<&'static encoding_rs::Encoding>,
    pub(crate) format: Option<String>,
    pub(crate) primary_key: Vec<usize>,
    pub(crate) unique_keys: Vec<Vec<usize>>,
    pub(crate) foreign_keys: Vec<ForeignKey>,
    pub(crate) rules: Vec<AcrossRule>,
    schema: SchemaRef,
    mode: Mode,
    period: Option<usize>,
    policy: Policy,
    sifat: Sifat,
}

impl Contract {
    /// Compiles the first resource of a Data Package. References to lists are looked up in `refs`.
    ///
    /// # Errors
    /// Every fault found in the descriptor. `reference-error` stands for a list that `refs` does not
    /// have, `encoding-error` for an encoding that is not known.
    pub fn compile(descriptor: &Value, refs: &dyn References) -> Result<Self, Vec<DescriptorError>> {
        Self::compile_resource(descriptor, 0, refs)
    }

    /// Compiles the resource at that place of the package.
    ///
    /// # Errors
    /// As [`Contract::compile`].
    pub fn compile_resource(
        descriptor: &Value,
        index: usize,
        refs: &dyn References,
    ) -> Result<Self, Vec<DescriptorError>> {
        let mut errors = Vec::new();
        match package(descriptor, index, refs, &mut errors) {
            Some(contract) if errors.is_empty() => Ok(contract),
            _ => Err(errors),
        }
    }

    /// Compiles the rules across columns (`satudata.aturan`) with an expression language. Until that is done a contract
    /// that has such rules lets nothing land.
    ///
    /// # Errors
    /// Every rule that cannot be used, with its place in the descriptor.
    pub fn with_rules(mut self, engine: &dyn RuleEngine) -> Result<Self, Vec<DescriptorError>> {
        let mut errors = Vec::new();
        across::compile(&mut self.rules, engine, &self.schema, &mut errors);
        if errors.is_empty() { Ok(self) } else { Err(errors) }
    }

    /// Whether the contract has rules that were not compiled.
    pub(crate) fn lacks_rules(&self) -> bool {
        self.rules.iter().any(|rule| rule.compiled.is_none())
    }

    /// The name of the package, or of the resource where the package has none.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The editions of the code lists that its columns are checked against, each once.
    #[must_use]
    pub fn code_lists(&self) -> Vec<CodeListEdition> {
        let mut editions: Vec<CodeListEdition> = Vec::new();
        for key in &self.foreign_keys {
            if let Target::List { table, .. } = &key.target
                && let Some(edition) = table.code_list().map(|list| list.edition())
                && !editions.contains(&edition)
            {
                editions.push(edition);
            }
        }
        editions
    }

    /// The version of the package, or the empty text.
    #[must_use]
    pub fn version(&self) -> &str {
        &self.version
    }

    /// What people call it.
    #[must_use]
    pub fn title(&self) -> Option<&str> {
        self.title.as_deref()
    }

    /// The fields in the order of the contract.
    #[must_use]
    pub fn fields(&self) -> &[Field] {
        &self.fields
    }

    /// The schema of the accepted rows: all fields, in order, all nullable.
    #[must_use]
    pub const fn arrow_schema(&self) -> &SchemaRef {
        &self.schema
    }

    /// How deliveries join the dataset (`satudata.moda`; append where nothing is said).
    #[must_use]
    pub const fn mode(&self) -> Mode {
        self.mode
    }

    /// The field whose value is the period that a delivery replaces (`satudata.periode`).
    #[must_use]
    pub fn period_field(&self) -> Option<&str> {
        self.period.and_then(|index| self.fields.get(index)).map(Field::name)
    }

    /// What becomes of deliveries with bad rows (`satudata.kebijakan`).
    #[must_use]
    pub const fn policy(&self) -> Policy {
        self.policy
    }

    /// Who may read (`satudata.sifat`).
    #[must_use]
    pub const fn sifat(&self) -> Sifat {
        self.sifat
    }

    /// Which sheet of a workbook holds the table (the dialect's `sheetName` and `sheetNumber`).
    #[must_use]
    pub const fn sheet(&self) -> &Sheet {
        &self.layout.sheet
    }

    /// The descriptor as it was given.
    #[must_use]
    pub const fn descriptor(&self) -> &Value {
        &self.descriptor
    }

    /// The names of the primary key's fields, in order.
    #[must_use]
    pub fn primary_key(&self) -> Vec<&str> {
        self.primary_key.iter().filter_map(|index| self.fields.get(*index)).map(Field::name).collect()
    }
}

/// Whether a package says, or by its silence means, version 1. A profile of somebody's own is taken
/// for an extension of version 2.
fn is_version1(package: &Map<String, Value>, schema: &Map<String, Value>) -> bool {
    let profile = |object: &Map<String, Value>| {
        let profile = object.get("$schema")?.as_str()?;
        Some(profile.contains("datapackage.org/profiles/1.") || profile.contains("specs.frictionlessdata.io"))
    };
    profile(package).or_else(|| profile(schema)).unwrap_or(true)
}

fn package(
    descriptor: &Value,
    index: usize,
    refs: &dyn References,
    errors: &mut Vec<DescriptorError>,
) -> Option<Contract> {
    let empty = Map::new();
    let Value::Object(object) = descriptor else {
        Props::new(&empty, "package-error", String::new(), errors).fault(
            "",
            "deskriptor harus berupa objek",
            "a descriptor has to be an object",
        );
        return None;
    };
    let mut props = Props::new(object, "package-error", String::new(), errors);
    if object.get("resources").is_some_and(|resources| !resources.is_array()) {
        props.list("resources");
        return None;
    }
    let resources = props.list("resources").unwrap_or_default();
    let Some(Value::Object(resource)) = resources.get(index) else {
        props.fault("resources", "paket tidak memuat sumber daya itu", "the package does not hold that resource");
        return None;
    };
    let name = props.string("name").map(str::to_owned);
    let version = props.string("version").unwrap_or_default().to_owned();
    let title = props.string("title").map(str::to_owned);
    let extension = props.object("satudata").unwrap_or(&empty);
    let mut contract = resource_part(object, resource, index, refs, errors)?;
    contract.name = name.unwrap_or_else(|| contract.resource.clone());
    contract.version = version;
    contract.title = title;
    contract.descriptor = descriptor.clone();
    satudata(&mut Props::new(extension, "package-error", "/satudata".to_owned(), errors), &mut contract);
    Some(contract)
}

fn resource_part(
    package: &Map<String, Value>,
    resource: &Map<String, Value>,
    index: usize,
    refs: &dyn References,
    errors: &mut Vec<DescriptorError>,
) -> Option<Contract> {
    let empty = Map::new();
    let path = format!("/resources/{index}");
    let mut props = Props::new(resource, "resource-error", path.clone(), errors);
    let name = props.string("name").unwrap_or_default().to_owned();
    let format = props.string("format").map(str::to_ascii_lowercase);
    let Some(schema) = props.object("schema") else {
        Props::new(resource, "schema-error", path, errors).fault(
            "schema",
            "«schema» tidak ada",
            "there is no “schema”",
        );
        return None;
    };
    let dialect = if props.raw("dialect").is_some() { props.object("dialect")? } else { &empty };
    let encoding = encoding(&mut props);
    let mut around = Around {
        version1: is_version1(package, schema),
        missing: vec!["".into()],
        null_sequence: dialect.get("nullSequence").and_then(Value::as_str).map(Into::into),
    };
    let mut props = Props::new(dialect, "dialect-error", format!("{path}/dialect"), errors);
    let mut layout = layout(&mut props, around.version1);
    if format.as_deref() == Some("tsv") && !layout.delimiter_declared {
        layout.dialect.delimiter = "\t".to_owned();
        layout.delimiter_declared = true;
    }
    let mut props = Props::new(schema, "schema-error", format!("{path}/schema"), errors);
    let fields_match = fields_match(&mut props);
    if props.raw("missingValues").is_some() {
        around.missing = missing_values(&mut props, around.version1);
    }
    let fields = fields(&mut props, &around);
    let primary_key = props.names("primaryKey").filter(|names| !names.is_empty());
    let primary_key = primary_key.map(|names| columns(&mut props, "primaryKey", &names, &fields));
    let unique_keys = unique_keys(&mut props, &fields);
    let foreign_keys = foreign_keys(&mut props, &fields, &name, refs);
    let rules = across::rules(&mut props);
    let arrow: Vec<arrow_schema::Field> =
        fields.iter().map(|field| arrow_schema::Field::new(field.name.clone(), field.form.data_type(), true)).collect();
    Some(Contract {
        descriptor: Value::Null,
        name: String::new(),
        version: String::new(),
        title: None,
        resource: name,
        fields,
        fields_match,
        layout,
        encoding,
        format,
        primary_key: primary_key.unwrap_or_default(),
        unique_keys,
        foreign_keys,
        rules,
        schema: Arc::new(Schema::new(arrow)),
        mode: Mode::Append,
        period: None,
        policy: Policy::default(),
        sifat: Sifat::default(),
    })
}

fn encoding(props: &mut Props<'_, '_>) -> Option<&'static encoding_rs::Encoding> {
    let name = props.string("encoding")?;
    let found = encoding_for(name);
    if found.is_none() {
        let path = format!("{}/encoding", props.path);
        let message = crate::report::Text::new(
            format!("pengodean «{name}» tidak dikenal"),
            format!("the encoding “{name}” is not known"),
        );
        props.errors.push(DescriptorError { kind: ENCODING_ERROR.to_owned(), path, message });
    }
    found
}

fn layout(props: &mut Props<'_, '_>, version1: bool) -> Layout {
    let mut layout = Layout::default();
    if let Some(delimiter) = props.string("delimiter") {
        if delimiter.is_empty() || delimiter.contains(['\n', '\r', '\0']) {
            props.fault("delimiter", "«delimiter» tidak dapat dipakai", "“delimiter” cannot be used");
        } else {
            layout.dialect.delimiter = delimiter.to_owned();
            layout.delimiter_declared = true;
        }
    }
    layout.dialect.terminator =
        props.string("lineTerminator").filter(|end| !matches!(*end, "" | "\n" | "\r" | "\r\n")).map(str::to_owned);
    if props.raw("quoteChar").and_then(Value::as_str) == Some("") {
        props.fault(
            "quoteChar",
            "«quoteChar» kosong; tanpa kutip ditulis null",
            "“quoteChar” is empty; write null for none",
        );
    }
    if let Some(quote) = props.byte("quoteChar") {
        layout.dialect.quote = quote;
    }
    layout.dialect.escape = props.byte("escapeChar").flatten();
    layout.dialect.double_quote = props.flag("doubleQuote").unwrap_or(true);
    layout.dialect.skip_initial_space = props.flag("skipInitialSpace").unwrap_or(false);
    layout.dialect.comment = props.string("commentChar").filter(|mark| !mark.is_empty()).map(str::to_owned);
    props.string("nullSequence");
    layout.header = props.flag("header").unwrap_or(true);
    let header_rows = props.rows("headerRows");
    // No row is header: there is none.
    layout.header &= header_rows.as_ref().is_none_or(|rows| !rows.is_empty());
    layout.header_rows = header_rows.unwrap_or_default();
    // A word of version 1 that version 2 took away.
    layout.ignore_case = version1 && props.flag("caseSensitiveHeader") == Some(false);
    layout.header_join = props.string("headerJoin").unwrap_or(" ").to_owned();
    layout.comment_rows = props.rows("commentRows").unwrap_or_default();
    layout.property = props.string("property").map(str::to_owned);
    if let Some(other) = props.string("itemType").filter(|kind| !matches!(*kind, "array" | "object")) {
        props.fault(
            "itemType",
            format!("«{other}» bukan array atau object"),
            format!("“{other}” is neither array nor object"),
        );
    }
    layout.item_keys = props.strings("itemKeys").map(|keys| keys.into_iter().map(str::to_owned).collect());
    layout.sheet = sheet(props, &layout.header_rows);
    layout
}

/// The dialect's choice among the sheets of a workbook; `excel` is how version 1 wrote it.
fn sheet(props: &mut Props<'_, '_>, header_rows: &[u64]) -> Sheet {
    let mut sheet = Sheet {
        name: props.string("sheetName").map(str::to_owned),
        number: props.count("sheetNumber").and_then(|number| u32::try_from(number).ok()),
        merged_rows: 0,
    };
    if sheet.number == Some(0) {
        props.fault("sheetNumber", "lembar dihitung mulai 1", "sheets are counted from 1");
    }
    // A cell merged over several columns is the upper line of each of their labels.
    if let [_, .., last] = header_rows {
        sheet.merged_rows = u32::try_from(*last).unwrap_or(u32::MAX);
    }
    if let Some(Value::Object(excel)) = props.raw("excel") {
        match excel.get("sheet") {
            Some(Value::String(name)) if sheet.name.is_none() => sheet.name = Some(name.clone()),
            Some(Value::Number(number)) if sheet.number.is_none() => {
                sheet.number = number.as_u64().and_then(|number| u32::try_from(number).ok());
            }
            _ => {}
        }
        if excel.get("fillMergedCells") == Some(&Value::Bool(true)) {
            sheet.merged_rows = u32::MAX;
        }
    }
    sheet
}

fn fields_match(props: &mut Props<'_, '_>) -> FieldsMatch {
    // The published profile of version 2.0 has an array here; one word in it means that word.
    let word = match props.raw("fieldsMatch") {
        Some(Value::Array(words)) if words.len() == 1 => words.first().and_then(Value::as_str),
        _ => props.string("fieldsMatch"),
    };
    match word {
        None | Some("exact") => FieldsMatch::Exact,
        Some("equal") => FieldsMatch::Equal,
        Some("subset") => FieldsMatch::Subset,
        Some("superset") => FieldsMatch::Superset,
        Some("partial") => FieldsMatch::Partial,
        Some(other) => {
            props.fault(
                "fieldsMatch",
                format!("«{other}» bukan exact, equal, subset, superset atau partial"),
                format!("“{other}” is none of exact, equal, subset, superset, partial"),
            );
            FieldsMatch::Exact
        }
    }
}

fn fields(props: &mut Props<'_, '_>, around: &Around) -> Vec<Field> {
    let Some(items) = props.list("fields") else {
        if props.raw("fields").is_none() {
            props.fault("fields", "«fields» tidak ada", "there is no “fields”");
        }
        return Vec::new();
    };
    if items.is_empty() || items.len() > MAX_FIELDS {
        props.fault(
            "fields",
            format!("banyaknya kolom harus 1 sampai {MAX_FIELDS}"),
            format!("there have to be 1 to {MAX_FIELDS} fields"),
        );
        return Vec::new();
    }
    let mut fields: Vec<Field> = Vec::with_capacity(items.len());
    for (index, item) in items.iter().enumerate() {
        let path = format!("{}/fields/{index}", props.path);
        let Some(field) = compile_field(item, &path, around, props.errors) else { continue };
        if fields.iter().any(|known| known.name == field.name) {
            let name = &field.name;
            props.fault("fields", format!("kolom «{name}» dua kali"), format!("the field “{name}” stands twice"));
        }
        fields.push(field);
    }
    fields
}

/// The places of the named fields; a name that no field has is a fault.
fn columns(props: &mut Props<'_, '_>, property: &str, names: &[&str], fields: &[Field]) -> Vec<usize> {
    if names.is_empty() {
        props.fault(property, format!("«{property}» kosong"), format!("“{property}” is empty"));
    }
    let mut columns = Vec::with_capacity(names.len());
    for name in names {
        match fields.iter().position(|field| field.name == *name) {
            Some(index) if columns.contains(&index) => {
                props.fault(property, format!("kolom «{name}» dua kali"), format!("the field “{name}” stands twice"));
            }
            Some(index) => columns.push(index),
            None => props.fault(property, format!("tidak ada kolom «{name}»"), format!("there is no field “{name}”")),
        }
    }
    columns
}

fn unique_keys(props: &mut Props<'_, '_>, fields: &[Field]) -> Vec<Vec<usize>> {
    let mut keys = Vec::new();
    if props.raw("uniqueKeys").and_then(Value::as_array).is_some_and(Vec::is_empty) {
        props.fault("uniqueKeys", "«uniqueKeys» kosong", "“uniqueKeys” is empty");
    }
    for key in props.list("uniqueKeys").unwrap_or_default() {
        let names: Option<Vec<&str>> = match key {
            Value::String(name) => Some(vec![name]),
            Value::Array(names) => names.iter().map(Value::as_str).collect(),
            _ => None,
        };
        match names {
            Some(names) => keys.push(columns(props, "uniqueKeys", &names, fields)),
            None => props.fault(
                "uniqueKeys",
                "«uniqueKeys» harus larik nama kolom",
                "“uniqueKeys” holds arrays of field names",
            ),
        }
    }
    keys
}

fn foreign_keys(props: &mut Props<'_, '_>, fields: &[Field], own: &str, refs: &dyn References) -> Vec<ForeignKey> {
    let mut keys = Vec::new();
    for (index, item) in props.list("foreignKeys").unwrap_or_default().iter().enumerate() {
        let path = format!("{}/foreignKeys/{index}", props.path);
        let Value::Object(object) = item else {
            props.fault("foreignKeys", "kunci asing harus berupa objek", "a foreign key has to be an object");
            continue;
        };
        let mut inner = Props::new(object, "schema-error", path, props.errors);
        if let Some(key) = foreign_key(&mut inner, fields, own, refs) {
            keys.push(key);
        }
    }
    keys
}

fn foreign_key(props: &mut Props<'_, '_>, fields: &[Field], own: &str, refs: &dyn References) -> Option<ForeignKey> {
    let Some(names) = props.names("fields") else {
        if props.raw("fields").is_none() {
            props.fault("fields", "«fields» tidak ada", "there is no “fields”");
        }
        return None;
    };
    let own_columns = columns(props, "fields", &names, fields);
    let reference = props.object("reference").or_else(|| {
        if props.raw("reference").is_none() {
            props.fault("reference", "«reference» tidak ada", "there is no “reference”");
        }
        None
    })?;
    let path = format!("{}/reference", props.path);
    let mut inner = Props::new(reference, "schema-error", path, props.errors);
    let targets = inner.names("fields").or_else(|| {
        inner.fault("fields", "«fields» tidak ada", "there is no “fields”");
        None
    })?;
    if targets.len() != names.len() {
        inner.fault("fields", "banyaknya kolom tidak sama", "the numbers of fields differ");
        return None;
    }
    let package = inner.string("package").filter(|package| !package.is_empty());
    let resource = inner.string("resource").unwrap_or_default();
    if package.is_none() && (resource.is_empty() || resource == own && !own.is_empty()) {
        let itself = columns(&mut inner, "fields", &targets, fields);
        let kind = |column: &usize| fields.get(*column).map(|field| field.form.kind());
        if !own_columns.iter().map(kind).eq(itself.iter().map(kind)) {
            // Values of different kinds are never equal.
            let (keys, table) = (Arc::default(), Arc::default());
            let target = Target::List { keys, table, fields: Vec::new() };
            return Some(ForeignKey { columns: own_columns, target, list: own.to_owned() });
        }
        return Some(ForeignKey { columns: own_columns, target: Target::Itself(itself), list: own.to_owned() });
    }
    let wanted = Wanted { package, resource, fields: &targets };
    let list = list_name(&wanted);
    let Some(table) = refs.table(&wanted) else {
        let message = crate::report::Text::new(
            format!("daftar «{list}» tidak tersedia"),
            format!("the list “{list}” is not available"),
        );
        let path = inner.path.clone();
        inner.errors.push(DescriptorError { kind: REFERENCE_ERROR.to_owned(), path, message });
        return None;
    };
    let own_fields: Vec<&Field> = own_columns.iter().filter_map(|column| fields.get(*column)).collect();
    let comparable = own_fields
        .iter()
        .map(|field| field.form.kind())
        .zip(&targets)
        .all(|(kind, target)| table.may_hold(target, kind));
    let fields: Vec<String> = targets.iter().map(|name| (*name).to_owned()).collect();
    let Some(keys) = table.keys(&fields) else {
        inner.fault(
            "fields",
            format!("daftar «{list}» tidak punya kolom itu"),
            format!("the list “{list}” does not have these fields"),
        );
        return None;
    };
    // Values of different kinds are never equal.
    let keys = if comparable { keys } else { Arc::default() };
    same_system(props, &own_fields, &table, &list);
    Some(ForeignKey { columns: own_columns, target: Target::List { keys, table, fields }, list })
}

/// A column that declares a system of codes may not point to a list of another one: the same digits mean other places there.
fn same_system(props: &mut Props<'_, '_>, columns: &[&Field], table: &ReferenceTable, list: &str) {
    let Some(theirs) = table.code_list().and_then(|list| list.system()) else { return };
    for field in columns {
        let own = field.satudata("kodeReferensi").and_then(|part| part.get("sistem")).and_then(Value::as_str);
        if let Some(own) = own.filter(|own| *own != theirs) {
            let name = &field.name;
            props.fault(
                "reference",
                format!("kolom «{name}» menyatakan sistem kode «{own}», daftar «{list}» memakai «{theirs}»"),
                format!("the field “{name}” declares the code system “{own}”, the list “{list}” uses “{theirs}”"),
            );
        }
    }
}

/// `urn:satudata:ref:wilayah@2025-1` is «wilayah versi 2025-1» to a person.
fn list_name(wanted: &Wanted<'_>) -> String {
    let last = wanted.package.and_then(|package| package.rsplit(':').next());
    match last.and_then(|last| last.split_once('@')) {
        Some((name, version)) => format!("{name} {version}"),
        None if wanted.resource.is_empty() => wanted.package.unwrap_or_default().to_owned(),
        None => wanted.resource.to_owned(),
    }
}

/// The properties of the package that decide what becomes of deliveries.
fn satudata(props: &mut Props<'_, '_>, contract: &mut Contract) {
    match props.string("moda") {
        None | Some("tambah" | "append") => {}
        Some("ganti" | "replace") => contract.mode = Mode::Replace,
        Some(other) => {
            props.fault("moda", format!("moda «{other}» tidak dikenal"), format!("the mode “{other}” is not known"))
        }
    }
    match props.string("kebijakan") {
        None | Some("tolak") => {}
        Some("karantina") => contract.policy = Policy::Quarantine,
        Some(other) => props.fault(
            "kebijakan",
            format!("kebijakan «{other}» tidak dikenal"),
            format!("the policy “{other}” is not known"),
        ),
    }
    match props.string("sifat") {
        None | Some("terbatas") => {}
        Some("terbuka") => contract.sifat = Sifat::Open,
        Some("tertutup") => contract.sifat = Sifat::Closed,
        Some(other) => {
            props.fault("sifat", format!("sifat «{other}» tidak dikenal"), format!("“{other}” is not known"))
        }
    }
    if let Some(name) = props.string("periode") {
        contract.period = contract.fields.iter().position(|field| field.name == name);
        if contract.period.is_none() {
            props.fault("periode", format!("tidak ada kolom «{name}»"), format!("there is no field “{name}”"));
        }
    }
    if contract.mode == Mode::Replace {
        match contract.period.and_then(|index| contract.fields.get_mut(index)) {
            // A row without a period would belong to no replacement.
            Some(field) => field.required = true,
            None => props.fault("periode", "moda ganti memerlukan «periode»", "the mode replace needs “periode”"),
        }
    }
}
