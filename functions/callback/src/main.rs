//! The `callback` function as a Lambda binary.

fn main() {}
