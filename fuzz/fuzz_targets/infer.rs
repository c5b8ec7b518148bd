//! Any bytes as the file that a contract is drafted from: a draft that compiles, or a reason.
#![no_main]

use libfuzzer_sys::fuzz_target;
use simpul_schemas::Lang;
use simpul_schemas::infer::{Drafter, Request, Shape};

fuzz_target!(|data: &[u8]| {
    let Some((first, bytes)) = data.split_first() else { return };
    let shape = if first & 1 == 1 { Shape::Ndjson } else { Shape::Csv };
    let request = Request { file: "uji".to_owned(), shape, encoding: None, sheet: Default::default(), lang: Lang::Id };
    let Ok(mut drafter) = Drafter::new(request) else { return };
    for chunk in bytes.chunks(usize::from(*first) + 1) {
        if drafter.push(chunk).is_err() {
            return;
        }
    }
    let _ = drafter.finish();
});
