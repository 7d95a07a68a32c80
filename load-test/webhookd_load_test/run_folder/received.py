"""What one process of the receiver got, in SQLite: every request with its answer, and every record in it.

A record counts as delivered when its request was answered with 2xx. Times are nanoseconds since the epoch, from one
clock for all processes of a machine.
"""

SCHEMA = """
CREATE TABLE IF NOT EXISTS requests (
    id INTEGER PRIMARY KEY,     -- in the order of arrival at this process
    received_ns INTEGER NOT NULL,
    path TEXT NOT NULL,
    status INTEGER NOT NULL,    -- of the answer; 0 when there was none
    webhook_id TEXT,
    bytes INTEGER NOT NULL,     -- of the body
    signature TEXT NOT NULL     -- valid, invalid, or none
);
CREATE TABLE IF NOT EXISTS records (
    request INTEGER NOT NULL REFERENCES requests,
    position INTEGER NOT NULL,  -- in the request, from 0
    topic TEXT NOT NULL,
    partition INTEGER NOT NULL,
    "offset" INTEGER NOT NULL,
    timestamp_ms INTEGER NOT NULL,
    key TEXT,                   -- JSON, as it arrived
    number INTEGER,             -- of the header published.HEADER; NULL without one
    value TEXT,                 -- JSON, as it arrived; NULL if values are not kept
    PRIMARY KEY (request, position)
) WITHOUT ROWID;
"""
