//! The rules of the exchange, as plain values and functions.
//!
//! Nothing here reads a clock, a random number, a file or a socket: whatever a rule needs to know
//! arrives as an argument. That is what makes the access decision, the delivery states and the
//! audit log testable by exhaustion, and the same on every tier.

pub mod access;
pub mod agreement;
pub mod audit;
pub mod delivery;
pub mod digest;
pub mod filter;
pub mod id;
pub mod receipt;
pub mod time;
