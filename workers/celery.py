"""The application that `celery -A workers …` finds, so that operators can use `inspect`, `control` and `events`.

It reads the environment at import, as no other module does, because Celery's command line offers no other way. It
connects to nothing and starts nothing. Settings that cannot be used are lines on stderr and exit code 2.
"""

import sys

from celery import Celery

from webhookd.errors import UnusableSetting
from webhookd.settings_loader import load_settings
from workers.celery_app import build_celery


def _app() -> Celery:
    try:
        return build_celery(load_settings())
    except UnusableSetting as error:
        sys.stderr.write(f"{error}\n")
        sys.exit(2)


app = _app()
