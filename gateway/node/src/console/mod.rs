//! What a person or a supervisor looks at.

pub mod health;
