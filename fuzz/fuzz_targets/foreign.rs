//! Any bytes as a workbook or a columnar file, decoded as `simpul worker` does and checked as a delivery is. A decoder of
//! others may panic, which costs the worker's life and is a refusal; what must not be is time and memory without bound, and a
//! panic of the check.
#![no_main]

use std::fs::File;
use std::io::{Read as _, Seek as _, Write as _};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::LazyLock;

use clap::Parser;
use libfuzzer_sys::fuzz_target;
use simpul_schemas::Foreign;
use worker::child::{Options, Output, Stop, decode};

mod worker {
    #![allow(dead_code)]
    #[path = "../../../gateway/node/src/worker/child.rs"]
    pub mod child;
    #[path = "../../../gateway/node/src/worker/confine.rs"]
    mod confine;
    #[path = "../../../gateway/node/src/worker/sheets.rs"]
    mod sheets;
    #[path = "../../../gateway/node/src/worker/sniff.rs"]
    mod sniff;
    #[path = "../../../gateway/node/src/worker/tables.rs"]
    mod tables;
}

#[derive(Parser)]
struct Told {
    #[command(flatten)]
    options: Options,
}

static TOLD: LazyLock<Told> = LazyLock::new(|| {
    // A decoder's panic is contained as in the worker, so it must not end the run.
    std::panic::set_hook(Box::new(|_| {}));
    let words = "worker xlsx --memory 1 --cpu-s 1 --unpacked 16777216 --ratio 100 --merged-rows 3";
    Told::parse_from(words.split(' '))
});

fn in_memory(bytes: &[u8]) -> File {
    let mut file = File::from(rustix::fs::memfd_create("f", rustix::fs::MemfdFlags::CLOEXEC).expect("memory"));
    file.write_all(bytes).and_then(|()| file.rewind()).expect("memory");
    file
}

fuzz_target!(|data: &[u8]| {
    let Some((first, bytes)) = data.split_first() else { return };
    let formats = [Foreign::Xlsx, Foreign::Xls, Foreign::Ods, Foreign::Parquet, Foreign::Arrow];
    let format = formats[usize::from(*first) % formats.len()];
    let options = &TOLD.options;
    let mut cells = in_memory(&[]);
    let mut out = Output::to(cells.try_clone().expect("memory"));
    let decoded = catch_unwind(AssertUnwindSafe(|| decode(in_memory(bytes), format, options, &mut out)));
    if let Ok(Err(Stop::Fault(fault))) = &decoded {
        out.writer.fault(fault);
        let _ = out.end();
    }
    let mut written = Vec::new();
    cells.rewind().and_then(|()| cells.read_to_end(&mut written)).expect("memory");
    let checked = catch_unwind(|| simpul_fuzz::check_cells(format, &written));
    if checked.is_err() {
        std::process::abort();
    }
});
