//! The `callback` function.
