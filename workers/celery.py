"""The application that `celery -A workers …` finds, so that operators can use `inspect`, `control` and `events`.

It reads the environment at import, as no other module does, because Celery's command line offers no other way. It
connects to nothing and starts nothing.
"""

import sys

from webhookd.errors import UnusableSetting
from webhookd.settings import Settings
from workers.celery_app import build_celery

try:
    app = build_celery(Settings())
except UnusableSetting as error:
    sys.stderr.write(f"Error: {error}\n")  # Celery would show a traceback
    sys.exit(2)
