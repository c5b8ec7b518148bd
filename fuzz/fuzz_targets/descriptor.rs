//! Any JSON as a descriptor: it compiles or says why not, and what compiles checks a file.
#![no_main]

use libfuzzer_sys::fuzz_target;
use serde_json::Value;
use simpul_schemas::{Lang, Limits, validate_package};

fuzz_target!(|data: &[u8]| {
    // Behind the first NUL stands a file; before it the descriptor.
    let (descriptor, mut file) = match data.iter().position(|byte| *byte == 0) {
        Some(at) => (&data[..at], &data[at + 1..]),
        None => (data, &b"id,nama\n1,a\n2,2024-01-05\n"[..]),
    };
    let Ok(descriptor) = serde_json::from_slice::<Value>(descriptor) else { return };
    let load = |_: &str| Some(b"id,nama\n1,a\n".to_vec());
    let outcome = validate_package(&descriptor, Ok(&mut file), &load, Limits::default());
    assert!(outcome.exit <= 3);
    assert_eq!(outcome.exit == 2, !outcome.descriptor_errors.is_empty());
    let _ = outcome.to_json(Lang::Id);
});
