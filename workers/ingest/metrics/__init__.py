"""The metrics of an ingest process that are read from the state of its loop and of its threads."""
