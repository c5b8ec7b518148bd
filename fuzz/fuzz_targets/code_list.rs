//! Any bytes as the file of a code list, and any text looked up in it: an error or an answer.
#![no_main]

use libfuzzer_sys::fuzz_target;
use simpul_schemas::code_list::CodeList;

const DESCRIPTOR: &str = r#"{"name": "uji", "id": "urn:satudata:ref:uji", "version": "1",
    "resources": [{"name": "kode", "path": "kode.csv", "encoding": "utf-8"}, {"name": "ganti", "path": "ganti.csv", "encoding": "utf-8"}],
    "satudata": {"kodeReferensi": {"sumberdaya": "kode", "kunci": "kode", "nama": "nama", "induk": "induk",
        "pengganti": {"sumberdaya": "ganti", "lama": "lama", "baru": "baru"}}}}"#;

fuzz_target!(|data: &[u8]| {
    let cut = data.iter().position(|byte| *byte == 0xff).unwrap_or(data.len());
    let (codes, rest) = data.split_at(cut);
    let Ok(list) = CodeList::load(DESCRIPTOR, |path| Some(if path == "kode.csv" { codes } else { rest.get(1..).unwrap_or_default() }))
    else {
        return;
    };
    for text in [codes, rest].into_iter().filter_map(|bytes| std::str::from_utf8(bytes).ok()) {
        for word in text.split([',', '\n']).take(20) {
            let _ = (list.successor(word), list.nearest(word, 3));
        }
    }
});
