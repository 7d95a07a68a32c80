"""What `celery -A workers …` finds: `inspect`, `control` and `events` for operators.

The one module that reads the environment at import, because Celery's command line knows no other way. It connects to
nothing and starts nothing.
"""

from webhookd.settings import Settings
from workers.celery_app import build_celery

app = build_celery(Settings())
