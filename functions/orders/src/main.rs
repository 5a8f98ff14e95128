//! The `orders` function as a Lambda binary.

fn main() {}
