//! What becomes of every message of a batch, with ports in memory.
