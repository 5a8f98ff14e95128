//! The `apply` function.
