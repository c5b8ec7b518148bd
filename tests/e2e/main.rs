//! End-to-end tests: real nodes, spoken to over TLS.
