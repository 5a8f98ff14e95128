//! The `connections` function as a Lambda binary.

fn main() {}
