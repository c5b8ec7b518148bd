//! Any text as an XML Schema pattern, any other as a value.
#![no_main]

use libfuzzer_sys::fuzz_target;
use serde_json::json;
use simpul_schemas::Format;

fuzz_target!(|data: &str| {
    let (pattern, value) = data.split_once('\n').unwrap_or((data, "a"));
    let fields = json!([{"name": "a", "type": "string", "constraints": {"pattern": pattern}}]);
    let Some(contract) = simpul_fuzz::contract(fields, json!({})) else { return };
    simpul_fuzz::check(&contract, Format::Csv, format!("a\n{value}\n").as_bytes(), usize::MAX, true);
});
