//! What the fuzz targets share: a contract, a check in pieces, and what must hold of any report.

use std::sync::{Arc, LazyLock};

use serde_json::{Value, json};
use simpul_schemas::{Contract, Foreign, Format, Lang, Limits, NoReferences, Report, Validator};

/// A contract over these fields.
pub fn contract(fields: Value, dialect: Value) -> Option<Arc<Contract>> {
    let descriptor = json!({
        "$schema": "https://datapackage.org/profiles/2.0/datapackage.json", "name": "uji",
        "resources": [{
            "name": "data", "path": "data.csv", "dialect": dialect,
            "schema": {"fieldsMatch": "partial", "fields": fields},
        }],
    });
    Contract::compile(&descriptor, &NoReferences).ok().map(Arc::new)
}

/// A contract with every type, keys, and a reference of the table to itself. Compiled once.
static EVERY_TYPE: LazyLock<Arc<Contract>> = LazyLock::new(|| {
    let descriptor = json!({
        "$schema": "https://datapackage.org/profiles/2.0/datapackage.json", "name": "uji",
        "resources": [{
            "name": "data", "path": "data.csv",
            "schema": {
                "fieldsMatch": "partial", "missingValues": ["", "-"],
                "fields": [
                    {"name": "a", "type": "string", "constraints": {"maxLength": 3, "pattern": "[a-z-[b]]*", "unique": true}},
                    {"name": "b", "type": "number", "decimalChar": ",", "groupChar": ".", "bareNumber": false, "constraints": {"minimum": "1,5"}},
                    {"name": "c", "type": "integer"},
                    {"name": "d", "type": "date", "format": "any"},
                    {"name": "e", "type": "datetime"},
                    {"name": "f", "type": "duration", "constraints": {"maximum": "P1M"}},
                    {"name": "g", "type": "geopoint"},
                    {"name": "h", "type": "geojson"},
                    {"name": "i", "type": "list", "itemType": "integer"},
                    {"name": "j", "type": "object"},
                    {"name": "k", "type": "boolean"},
                    {"name": "l", "type": "time", "format": "%H.%M"},
                    {"name": "m"},
                ],
                "primaryKey": ["c"], "uniqueKeys": [["a", "d"]],
                "foreignKeys": [{"fields": ["m"], "reference": {"fields": ["a"]}}],
            },
        }],
    });
    Arc::new(Contract::compile(&descriptor, &NoReferences).expect("the contract of the fuzz targets compiles"))
});

/// Checks `bytes` in pieces of that size.
pub fn check(contract: &Arc<Contract>, format: Format, bytes: &[u8], piece: usize, land: bool) -> Report {
    let limits = Limits {
        cell_bytes: 1 << 12,
        row_bytes: 1 << 14,
        batch_rows: 3,
        batch_bytes: 256,
        document_bytes: 1 << 16,
        errors: 50,
        ..Limits::default()
    };
    let make = if land { Validator::new } else { Validator::for_check };
    let mut validator = make(Arc::clone(contract), format, limits);
    for chunk in bytes.chunks(piece.max(1)) {
        if validator.push(chunk).is_err() {
            break;
        }
    }
    let _ = validator.finish();
    let report = validator.into_report();
    assert_eq!(report.rows_accepted + report.rows_refused, report.stats.rows);
    assert_eq!(report.valid, report.stats.errors == 0);
    let _ = (report.to_text(Lang::Id), report.to_json(Lang::En), report.errors_csv(Lang::En));
    report
}

/// What a decoder of foreign files wrote, checked as a delivery is.
pub fn check_cells(format: Foreign, cells: &[u8]) {
    check(&EVERY_TYPE, Format::Cells(format), cells, usize::MAX, true);
}

/// Checks a file whole and in pieces: the report is the same. The first byte chooses the pieces.
pub fn same_in_pieces(format: Format, data: &[u8]) {
    let Some((first, bytes)) = data.split_first() else { return };
    let land = first & 1 == 1;
    let whole = check(&EVERY_TYPE, format, bytes, usize::MAX, land);
    let pieces = check(&EVERY_TYPE, format, bytes, usize::from(first >> 1) + 1, land);
    // Where a limit is passed depends on how much text waits; that it is passed does not.
    if whole.fatal.is_none() || pieces.fatal.is_none() {
        assert_eq!(whole, pieces);
    }
}
