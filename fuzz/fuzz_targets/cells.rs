//! Any bytes as what a decoder of foreign files writes: no panic, and the same report however the bytes arrive.
#![no_main]

use libfuzzer_sys::fuzz_target;
use simpul_schemas::{Foreign, Format};

fuzz_target!(|data: &[u8]| simpul_fuzz::same_in_pieces(Format::Cells(Foreign::Xlsx), data));
