//! The transport against a local server.
