"""Who runs what: the offline switch, change notifications, and which ingest process runs which subscription."""
