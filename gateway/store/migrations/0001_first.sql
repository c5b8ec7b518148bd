-- The same text runs on SQLite and on PostgreSQL: TEXT, BIGINT and BYTEA only. Times are milliseconds
-- since 1970-01-01T00:00:00Z, truth values are 0 and 1, JSON is TEXT. SQLite gives a BYTEA column the
-- affinity NUMERIC, which leaves a blob as it is.

CREATE TABLE settings (
    name TEXT NOT NULL PRIMARY KEY,
    content TEXT NOT NULL
);

CREATE TABLE agencies (
    code TEXT NOT NULL PRIMARY KEY,
    name TEXT NOT NULL,
    kind TEXT NOT NULL,
    enabled BIGINT NOT NULL,
    created_at BIGINT NOT NULL
);

CREATE TABLE clients (
    agency TEXT NOT NULL REFERENCES agencies (code),
    client TEXT NOT NULL,
    roles TEXT NOT NULL,
    enabled BIGINT NOT NULL,
    quota TEXT,
    created_at BIGINT NOT NULL,
    PRIMARY KEY (agency, client)
);

-- What is in force is the newest revision; every revision stays in the history.
CREATE TABLE agreements (
    id TEXT NOT NULL PRIMARY KEY,
    revision BIGINT NOT NULL,
    consumer TEXT NOT NULL,
    dataset TEXT NOT NULL,
    body TEXT NOT NULL
);

CREATE INDEX agreements_by_consumer ON agreements (consumer, dataset);

CREATE TABLE agreement_history (
    id TEXT NOT NULL REFERENCES agreements (id),
    revision BIGINT NOT NULL,
    body TEXT NOT NULL,
    changed_at BIGINT NOT NULL,
    changed_by TEXT NOT NULL,
    PRIMARY KEY (id, revision)
);

-- Contracts and code lists: immutable, versioned, in the order of their registration. The content is
-- compressed with zstd.
CREATE TABLE documents (
    kind TEXT NOT NULL,
    name TEXT NOT NULL,
    version TEXT NOT NULL,
    ordinal BIGINT NOT NULL,
    content BYTEA NOT NULL,
    registered_at BIGINT NOT NULL,
    registered_by TEXT NOT NULL,
    PRIMARY KEY (kind, name, version)
);

CREATE UNIQUE INDEX documents_in_order ON documents (kind, name, ordinal);

-- The journal of deliveries. Rows are never deleted: the highest sequence number of a source is the
-- highest of its rows.
CREATE TABLE deliveries (
    id TEXT NOT NULL PRIMARY KEY,
    dataset TEXT NOT NULL,
    contract_version TEXT NOT NULL,
    source TEXT NOT NULL,
    origin TEXT NOT NULL,
    source_sequence BIGINT,
    idempotency_key TEXT NOT NULL,
    mode TEXT NOT NULL,
    base_version BIGINT NOT NULL,
    received_at BIGINT NOT NULL,
    state TEXT NOT NULL,
    state_body TEXT NOT NULL,
    sequence BIGINT,
    table_version BIGINT
);

CREATE UNIQUE INDEX deliveries_by_key ON deliveries (source, dataset, idempotency_key) WHERE state <> 'abandoned';
CREATE UNIQUE INDEX deliveries_by_source_sequence ON deliveries (source, dataset, source_sequence)
    WHERE source_sequence IS NOT NULL AND state <> 'abandoned';
-- A number that was refused after it was taken may come once more, from a sender that counts for itself.
CREATE UNIQUE INDEX deliveries_by_visible_sequence ON deliveries (source, dataset, sequence)
    WHERE state IN ('landing', 'landed');
CREATE INDEX deliveries_by_sequence ON deliveries (source, dataset, sequence);
CREATE INDEX deliveries_by_dataset ON deliveries (dataset, received_at, id);
CREATE INDEX deliveries_by_source ON deliveries (source, received_at, id);
CREATE INDEX deliveries_by_time ON deliveries (received_at, id);
CREATE INDEX deliveries_unfinished ON deliveries (state) WHERE state IN ('receiving', 'staged', 'landing');
CREATE INDEX deliveries_landed ON deliveries (dataset, origin, table_version) WHERE state = 'landed';

-- What validation found, JSON compressed with zstd.
CREATE TABLE reports (
    delivery TEXT NOT NULL PRIMARY KEY REFERENCES deliveries (id),
    content BYTEA NOT NULL
);

-- The outbox. Rows are never deleted: sequence numbers have no gaps.
CREATE TABLE forwards (
    id TEXT NOT NULL PRIMARY KEY,
    link TEXT NOT NULL,
    dataset TEXT NOT NULL,
    sequence BIGINT NOT NULL,
    delivery TEXT NOT NULL REFERENCES deliveries (id),
    origin TEXT NOT NULL,
    content TEXT NOT NULL,
    bytes BIGINT NOT NULL,
    created_at BIGINT NOT NULL,
    state TEXT NOT NULL,
    state_body TEXT NOT NULL,
    not_before BIGINT NOT NULL
);

CREATE UNIQUE INDEX forwards_in_order ON forwards (link, dataset, sequence);
CREATE UNIQUE INDEX forwards_by_delivery ON forwards (delivery, link);
CREATE INDEX forwards_queued ON forwards (link, dataset, sequence) WHERE state = 'queued';
CREATE INDEX forwards_pending ON forwards (link, state, created_at, bytes) WHERE state IN ('queued', 'refused');

CREATE TABLE links (
    link TEXT NOT NULL PRIMARY KEY,
    last_contact_at BIGINT,
    last_attempt_at BIGINT,
    last_ack_at BIGINT,
    last_error TEXT
);

CREATE TABLE connectors (
    id TEXT NOT NULL PRIMARY KEY,
    kind TEXT NOT NULL,
    dataset TEXT NOT NULL,
    config TEXT NOT NULL,
    schedule TEXT,
    enabled BIGINT NOT NULL
);

CREATE TABLE connector_checkpoints (
    connector TEXT NOT NULL PRIMARY KEY REFERENCES connectors (id) ON DELETE CASCADE,
    content TEXT NOT NULL,
    saved_at BIGINT NOT NULL
);

CREATE TABLE connector_runs (
    connector TEXT NOT NULL REFERENCES connectors (id) ON DELETE CASCADE,
    ordinal BIGINT NOT NULL,
    started_at BIGINT NOT NULL,
    finished_at BIGINT NOT NULL,
    outcome TEXT NOT NULL,
    deliveries TEXT NOT NULL,
    message TEXT,
    PRIMARY KEY (connector, ordinal)
);

-- Tokens, nonces, certificates and clients that are not accepted until an instant.
CREATE TABLE denials (
    kind TEXT NOT NULL,
    name TEXT NOT NULL,
    denied_until BIGINT NOT NULL,
    PRIMARY KEY (kind, name)
);

CREATE INDEX denials_by_end ON denials (denied_until);
