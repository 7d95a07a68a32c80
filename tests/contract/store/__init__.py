"""One suite for the store, against SQLite and a real Postgres."""
