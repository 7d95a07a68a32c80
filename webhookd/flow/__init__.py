"""What is decided: no socket, thread, clock, database or Celery in here; time is an argument."""
