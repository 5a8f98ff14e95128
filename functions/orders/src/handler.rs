//! The `orders` function.
