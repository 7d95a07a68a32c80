"""Settings of the keys that encrypt the secrets of subscriptions."""

from pathlib import Path

from pydantic import Field, SecretStr

from webhookd.configuration.subject import Subject
from webhookd.configuration.value_types import FernetKeys


class SecretSettings(Subject):
    """Secrets of subscriptions."""

    secret_keys: FernetKeys = Field(
        default=SecretStr(""),
        description="Fernet keys, separated by commas, that encrypt the secrets of subscriptions in the database: the "
        "first one encrypts, all of them decrypt. API and workers need the same ones, ingest needs none. "
        "`webhookd secrets generate-key` makes one. Without a key the API refuses subscriptions with secrets, and "
        "workers send nothing for them.",
    )
    secret_keys_file: Path | None = Field(
        default=None,
        description="A file with these keys instead, one a line. A process reads it when it starts.",
    )
