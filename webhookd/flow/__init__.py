"""The decisions of webhookd. Code in here uses no socket, thread, clock, database or Celery; time is an argument."""
