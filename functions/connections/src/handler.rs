//! The `connections` function.
