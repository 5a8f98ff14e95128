//! Every answer of the function, with ports in memory.
