//! Laws and tables of the order fold.
