"""The endpoint of a run: keeps everything that it gets in SQLite, and fails on request."""
