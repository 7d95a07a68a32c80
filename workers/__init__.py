"""The ingest process, the delivery workers, and the Celery application between them."""
