"""A frozen set of named options: what recipe files, run folders, checkpoints and command-line flags are read into."""

import difflib
from collections.abc import Mapping
from typing import Any, TypeVar

from pydantic import BaseModel, ConfigDict, ValidationError

from malmoi.errors import ConfigError

SomeSettings = TypeVar("SomeSettings", bound="Settings")


class Settings(BaseModel):
    """A frozen set of named options that refuses names it does not know."""

    # Validators are built when they are first used: a command needs those of one rung.
    model_config = ConfigDict(frozen=True, extra="forbid", validate_default=True, defer_build=True)

    @classmethod
    def parse(cls: type[SomeSettings], values: Mapping[str, Any], where: str = "option") -> SomeSettings:
        """Build from plain values.

        Raises:
            ConfigError: Naming the first unknown key (with the nearest known one) or the first value that does not fit.
        """
        for key in values:
            if key not in cls.model_fields:
                near = difflib.get_close_matches(key, cls.model_fields, n=1)
                hint = f"Did you mean {near[0]!r}?" if near else f"Known are: {', '.join(cls.model_fields)}."
                raise ConfigError(f"Unknown {where} {key!r} for {cls.__name__}. {hint}")
        try:
            return cls(**values)
        except ValidationError as error:
            first = error.errors()[0]
            name = ".".join(str(part) for part in first["loc"])
            raise ConfigError(f"{where} {name}={first.get('input')!r} does not fit: {first['msg']}.") from None
