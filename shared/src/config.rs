//! What a deployment configures.
