"""The offline switch, change notifications, and which ingest process runs which subscription."""
