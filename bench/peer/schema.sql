-- The peer's table: the columns and indexes that autocom's event table needs for the same promises.
-- Needs PostgreSQL 18 (uuidv7: keys that grow with time, so that inserts touch the right edge of the index).

CREATE TABLE IF NOT EXISTS peer_event (
    id           uuid        PRIMARY KEY DEFAULT uuidv7(),
    message_id   text        NOT NULL,
    event_type   text        NOT NULL,
    ordering_key text        NOT NULL,
    request_id   uuid        NOT NULL,
    payload      jsonb       NOT NULL,
    received_at  timestamptz NOT NULL,
    committed_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    CONSTRAINT peer_event_identity UNIQUE (message_id, event_type)
);

CREATE INDEX IF NOT EXISTS peer_event_ordering ON peer_event (ordering_key, id);
