"""Flags made from classes of options, so that an option is written once: name, type, limits, help and default."""

import inspect
import types
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from typing import Annotated, Any, TypeVar, Union, get_args, get_origin

from cyclopts import Group, Parameter
from pydantic.fields import FieldInfo
from pydantic_core import PydanticUndefined

from malmoi.settings import Settings

SomeFunction = TypeVar("SomeFunction", bound=Callable[..., Any])


def flags_of(
    settings: type[Settings],
    group: Group | None = None,
    *,
    left_out: Mapping[str, str] | None = None,
    without: Collection[str] = (),
    prefix: str = "",
) -> Iterator[inspect.Parameter]:
    """One keyword for each field; those of nested settings have dotted flags, as --schedule.warmup.

    Args:
        settings: The class.
        group: The heading of the help that they stand under.
        left_out: What happens without a flag, in words, where the class cannot know it.
        without: Fields that get no flag.
        prefix: Of the names, for settings within settings.
    """
    for name, field in settings.model_fields.items():
        kind = bare(field.annotation)
        if isinstance(kind, type) and issubclass(kind, Settings):
            yield from flags_of(kind, group, prefix=f"{prefix}{name}.")
        elif name not in without:
            shown = (left_out or {}).get(name) or _if_left_out(field)
            flag = f"--{prefix}{name}".replace("_", "-")
            about = Parameter(
                name=flag,
                negative=f"--no-{flag[2:]}" if kind is bool else (),
                help=sentence(field.description or name),
                show_default=False if shown is None else shown,
            )
            annotation: Any = Annotated[kind | None, about]
            if group is not None:  # a group of None would hide it
                annotation = Annotated[annotation, Parameter(group=group)]
            keyword = f"{prefix}{name}".replace(".", "__")
            yield inspect.Parameter(keyword, inspect.Parameter.KEYWORD_ONLY, default=None, annotation=annotation)


def given(options: Mapping[str, Any]) -> dict[str, Any]:
    """The options that were typed, under the names of the fields; those of settings within settings in a dict of their own."""
    found: dict[str, Any] = {}
    for name, value in options.items():
        outer, _, inner = name.partition("__")
        if value is not None and inner:
            found.setdefault(outer, {})[inner] = value
        elif value is not None:
            found[name] = value
    return found


def taking(flags: Iterable[inspect.Parameter], before: str) -> Callable[[SomeFunction], SomeFunction]:
    """A decorator: cyclopts sees these flags in the place of **options, before the parameter of that name."""

    def shown(function: SomeFunction) -> SomeFunction:
        *named, _ = inspect.signature(function).parameters.values()
        place = next(place for place, parameter in enumerate(named) if parameter.name == before)
        return with_parameters(function, [*named[:place], *flags, *named[place:]])

    return shown


def with_parameters(function: SomeFunction, parameters: list[inspect.Parameter]) -> SomeFunction:
    """The function as one that has these parameters, for cyclopts."""
    function.__signature__ = inspect.Signature(parameters)  # type: ignore[attr-defined]
    function.__annotations__ = {parameter.name: parameter.annotation for parameter in parameters}
    return function


def bare(annotation: Any) -> Any:
    """The type that a person types: limits and "or None" taken off, the first of several; text where anything may be given."""
    if annotation is Any:
        return str
    if get_origin(annotation) is Annotated:
        return bare(get_args(annotation)[0])
    if get_origin(annotation) in (Union, types.UnionType):
        return bare(next(part for part in get_args(annotation) if part is not type(None)))
    return annotation


def sentence(description: str) -> str:
    """A description as help shows it."""
    return f"{description[:1].upper()}{description[1:]}."


def _if_left_out(field: FieldInfo) -> str | None:
    """The default, or what the class says of it."""
    extra = field.json_schema_extra
    if isinstance(extra, dict) and "if_left_out" in extra:
        return str(extra["if_left_out"])
    return None if field.default in (None, PydanticUndefined) else str(field.default)
