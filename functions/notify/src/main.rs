//! The `notify` function as a Lambda binary.

fn main() {}
