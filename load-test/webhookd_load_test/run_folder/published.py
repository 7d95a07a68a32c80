"""What a run has published: a row for each record of the CSV file that Kafka has acknowledged.

`number` is the record's place in the file, from 0. It is published as the record's header HEADER, by which the receiver
recognises the record, whatever its value is. Times are nanoseconds since the epoch.
"""

HEADER = "load-test-record"
"""The name of the header with the record's number, in decimal digits."""

SCHEMA = """
CREATE TABLE IF NOT EXISTS published (
    number INTEGER PRIMARY KEY,
    topic TEXT NOT NULL,
    partition INTEGER NOT NULL,
    "offset" INTEGER,           -- NULL when Kafka returned none: it had the batch already
    key TEXT,
    due_ns INTEGER NOT NULL,    -- when the file wanted it
    sent_ns INTEGER NOT NULL,   -- when it was handed to the producer
    acknowledged_ns INTEGER NOT NULL
);
CREATE TABLE IF NOT EXISTS source (         -- one row: the CSV file that this is about
    digest TEXT NOT NULL,       -- SHA-256 of its bytes
    rows INTEGER NOT NULL
);
"""
