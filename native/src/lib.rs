//! The engine of pg-berth: a PostgreSQL client whose hot path never touches the JS thread more than it must.
//!
//! ```text
//! addon      exports, handles, mailbox        the only folder that says `neon`
//! pool       who gets which connection
//! conn       one socket around one conversation
//! wire  frame  config  lease                  protocol, rows, settings, leases: no I/O
//! error  sqlstate  field  metrics  json       what all of them use
//! ```
//!
//! Imports point down only (`scripts/check-layers.js`).
#![forbid(unsafe_code)]

pub mod addon;
pub mod config;
pub mod conn;
pub mod error;
pub mod field;
pub mod frame;
pub mod json;
pub mod lease;
pub mod metrics;
pub mod pool;
pub mod sqlstate;
pub mod wire;
