//! Any text as a strptime pattern, any other as a date, a time and both; the same under `any`.
#![no_main]

use libfuzzer_sys::fuzz_target;
use serde_json::json;
use simpul_schemas::Format;

fuzz_target!(|data: &str| {
    let (pattern, value) = data.split_once('\n').unwrap_or(("any", data));
    let types = ["date", "time", "datetime"];
    let fields: Vec<_> = types
        .iter()
        .flat_map(|kind| [pattern, "any", "default"].map(|format| (*kind, format)))
        .enumerate()
        .map(|(number, (kind, format))| json!({"name": format!("f{number}"), "type": kind, "format": format}))
        .collect();
    let Some(contract) = simpul_fuzz::contract(json!(fields), json!({"delimiter": ","})) else { return };
    let names: Vec<String> = (0..9).map(|number| format!("f{number}")).collect();
    let cell = format!("\"{}\"", value.replace('"', "\"\""));
    let row = vec![cell; 9].join(",");
    simpul_fuzz::check(&contract, Format::Csv, format!("{}\n{row}\n", names.join(",")).as_bytes(), usize::MAX, true);
});
