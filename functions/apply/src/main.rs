//! The `apply` function as a Lambda binary.

fn main() {}
