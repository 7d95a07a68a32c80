"""The ingest process: reads Kafka, matches, batches, dispatches, settles and commits."""
