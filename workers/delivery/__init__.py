"""The delivery worker: a Celery worker that posts deliveries and reports their results."""
