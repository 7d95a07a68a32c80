"""Publishes deliveries as Celery tasks, as far as workers have free threads."""
