"""The Celery application, its tasks, the ingest loop and the commands that start them."""
