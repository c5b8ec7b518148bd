//! The binary `simpul`.

fn main() {}
