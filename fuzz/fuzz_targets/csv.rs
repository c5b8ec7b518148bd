//! Any bytes as a file of this format: no panic, and the same report however the bytes arrive.
#![no_main]

use libfuzzer_sys::fuzz_target;
use simpul_schemas::Format;

fuzz_target!(|data: &[u8]| simpul_fuzz::same_in_pieces(Format::Csv, data));
