"""A group of settings about one subject, which pydantic reads from the environment; and how values are shown."""

import re

from pydantic import SecretStr, ValidationInfo, field_validator
from pydantic_settings import BaseSettings, PydanticBaseSettingsSource, SettingsConfigDict

from webhookd.configuration.environment import EnvironmentSource
from webhookd.configuration.forms import written
from webhookd.configuration.texts import value_of

_PASSWORD = re.compile(r"(://[^:/@]*:).+(?=@)|([?&]\w*password=)[^&]*", re.IGNORECASE)

MASK = "****"


class Subject(BaseSettings):
    """The settings of one subject; the first line of a subclass is the subject's title."""

    model_config = SettingsConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        *_: PydanticBaseSettingsSource,
        **_others: PydanticBaseSettingsSource,
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        """Return where values come from: the arguments, then the environment."""
        return init_settings, EnvironmentSource(settings_cls)

    @field_validator("*", mode="before")
    @classmethod
    def read_text(cls, value: object, info: ValidationInfo) -> object:
        """Return the value that a text stands for, by the type of the setting."""
        annotation = cls.model_fields[str(info.field_name)].annotation
        return value_of(value, annotation) if isinstance(value, str) else value

    @classmethod
    def title(cls) -> str:
        """Return the title of the subject, for a heading."""
        return (cls.__doc__ or cls.__name__).splitlines()[0].rstrip(".")


def shown(value: object) -> str:
    """Return a value as text, with passwords masked, for logs and people."""
    if isinstance(value, SecretStr):
        return MASK if value.get_secret_value() else ""
    return _PASSWORD.sub(_masked, written(value))


def _masked(found: re.Match[str]) -> str:
    return f"{found[1] or found[2]}{MASK}"
