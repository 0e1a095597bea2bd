"""Values of a recipe, checked against the type that a section declares for them."""

from __future__ import annotations

import difflib
import math
import numbers
from collections.abc import Collection, Mapping, Sequence
from dataclasses import Field, dataclass, field, fields
from types import NoneType, UnionType
from typing import Any, Literal, Self, Union, get_args, get_origin, get_type_hints

from refold.errors import RecipeError

_PLAIN_WORDS = {
    bool: "true or false",
    int: "a whole number",
    float: "a number",
    str: "text",
    NoneType: "nothing",
    Any: "a plain value",
}


class MismatchError(TypeError):
    """A value does not have the declared type. Never leaves this room: `check` tells it as a RecipeError."""


def nearest(name: str, known: Collection[str]) -> str:
    """Say which known name was probably meant, as the remedy of an error.

    Examples
    --------
    >>> nearest("n_component", ["n_components", "center"])
    "write 'n_components'"
    """
    close = difflib.get_close_matches(name, sorted(known), n=1, cutoff=0.5)
    return f"write {close[0]!r}" if close else f"leave out {name!r}"


def in_words(hint: Any) -> str:
    """Say what a declared type wants, for people.

    Examples
    --------
    >>> in_words(int | float), in_words(dict[str, int])
    ('a whole number or a number', 'a table of whole numbers')
    """
    origin, args = get_origin(hint), get_args(hint)
    if origin in (UnionType, Union):
        return " or ".join(in_words(arg) for arg in args if arg is not NoneType)
    if origin is Literal:
        return f"one of {', '.join(map(repr, args))}"
    if origin is dict:
        return f"a table of {_plural(in_words(args[1]))}"
    if origin is tuple:
        number = "" if args[-1] is Ellipsis else f"{len(args)} "
        return f"a list of {number}{_plural(in_words(args[0]))}"
    return _PLAIN_WORDS[hint]


def _plural(words: str) -> str:
    return words.removeprefix("a ") + ("" if words.endswith("text") or words == "true or false" else "s")


def convert(hint: Any, value: Any) -> Any:
    """Give a value the declared type where nothing is lost by it.

    Parameters
    ----------
    hint : type
        bool, int, float, str, None, Any, a Literal, and tuple, dict and unions of these.
    value : object
        What was given: from TOML, from a caller, from numpy.

    Returns
    -------
    object
        The same value, as plain Python: whole numbers as int, lists as tuples.

    Raises
    ------
    MismatchError
        If the value is of another type.

    Examples
    --------
    >>> convert(tuple[float, float], [0, 2.5])
    (0.0, 2.5)
    """
    origin, args = get_origin(hint), get_args(hint)
    if origin in (UnionType, Union):
        return _convert_any_of(args, value)
    if origin is tuple:
        return _convert_list(args, value)
    if origin is dict:
        return _convert_table(args[1], value)
    if origin is Literal:
        if not isinstance(value, str) or value not in args:
            raise MismatchError
        return value
    return _convert_plain(hint, value)


def _convert_any_of(hints: tuple[Any, ...], value: Any) -> Any:
    for hint in hints:
        try:
            return convert(hint, value)
        except MismatchError:
            continue
    raise MismatchError


def _convert_list(hints: tuple[Any, ...], value: Any) -> tuple[Any, ...]:
    if isinstance(value, str | Mapping):
        raise MismatchError
    try:
        items = list(value)
    except TypeError:
        raise MismatchError from None
    if hints[-1] is Ellipsis:
        return tuple(convert(hints[0], item) for item in items)
    if len(items) != len(hints):
        raise MismatchError
    return tuple(convert(hint, item) for hint, item in zip(hints, items, strict=True))


def _convert_table(hint: Any, value: Any) -> dict[str, Any]:
    if not isinstance(value, Mapping) or not all(isinstance(key, str) for key in value):
        raise MismatchError
    return {key: convert(hint, item) for key, item in value.items()}


def _convert_plain(hint: Any, value: Any) -> Any:
    if hint is Any:
        return _convert_unknown(value)
    if hint in (bool, str, NoneType):
        if isinstance(value, hint):
            return value
    elif isinstance(value, bool):
        raise MismatchError
    elif hint is int and isinstance(value, numbers.Integral):
        return int(value)
    elif hint is float and isinstance(value, numbers.Real) and math.isfinite(value):
        return float(value)
    raise MismatchError


def _convert_unknown(value: Any) -> Any:
    """Keep anything that TOML can hold."""
    if isinstance(value, Mapping):
        return {str(key): _convert_unknown(item) for key, item in value.items()}
    if isinstance(value, Sequence) and not isinstance(value, str):
        return tuple(_convert_unknown(item) for item in value)
    return _convert_any_of((bool, int, float, str), value)


def option(default: Any, *, example: str | None = None, **rule: Any) -> Any:
    """Declare a field of a section with its default, what is allowed, and an example for its errors.

    Parameters
    ----------
    default : object
        Its default.
    example : str, optional
        How it is written, as the remedy of errors.
    **rule
        What `check` knows: ``keys``, ``least``, ``fraction``, ``share``.

    Returns
    -------
    dataclasses.Field
        The field.
    """
    rule = {**rule, **({"example": example} if example else {})}
    if isinstance(default, dict):
        return field(default_factory=dict, metadata=rule)
    return field(default=default, metadata=rule)


@dataclass(frozen=True)
class Section:
    """Base of the sections of a recipe: every field is checked when a section is made."""

    def __post_init__(self) -> None:
        """Check each field, and keep it as plain Python."""
        hints = get_type_hints(type(self))
        for item in fields(self):
            value = check(self.title(), item, hints[item.name], getattr(self, item.name))
            object.__setattr__(self, item.name, value)

    @classmethod
    def title(cls) -> str:
        """Name of the section in a recipe."""
        return cls.__name__.lower()

    @classmethod
    def from_mapping(cls, values: Mapping[str, Any]) -> Self:
        """Make a section of a table; a key that it does not know is an error."""
        known = [field.name for field in fields(cls)]
        for key in values:
            if key not in known:
                raise RecipeError(
                    f"key {key!r} in [{cls.title()}]", f"one of {', '.join(known)}", nearest(str(key), known)
                )
        return cls(**values)

    def arguments(self) -> dict[str, Any]:
        """Values as arguments for the model that the section is about: no ``method``, and ``parameters`` unpacked."""
        values = {item.name: getattr(self, item.name) for item in fields(self) if item.name != "method"}
        passed_through = values.pop("parameters", {})
        return {**values, **passed_through}

    def to_dict(self) -> dict[str, Any]:
        """Values as plain Python that TOML and JSON can hold: lists for tuples, nothing for what is not set."""
        values = {field.name: plain(getattr(self, field.name)) for field in fields(self)}
        return {name: value for name, value in values.items() if value is not None and value != {}}


def plain(value: Any) -> Any:
    """Turn tuples into lists, all the way down.

    Examples
    --------
    >>> plain({"clip": (0.0, 2.0)})
    {'clip': [0.0, 2.0]}
    """
    if isinstance(value, Mapping):
        return {key: plain(item) for key, item in value.items()}
    if isinstance(value, tuple | list):
        return [plain(item) for item in value]
    return value


def check(section: str, field: Field[Any], hint: Any, value: Any) -> Any:
    """Check one value of a section: its type, then the rule that the field declares (keys, least, fraction, share).

    Raises
    ------
    RecipeError
        If the value is of the wrong type, or outside what the field allows.
    """
    where = f"{section}.{field.name} = {_shown(value)}"
    choices = [name for part in (hint, *get_args(hint)) if get_origin(part) is Literal for name in get_args(part)]
    try:
        value = convert(hint, value)
    except MismatchError:
        remedy = nearest(value, choices) if choices and isinstance(value, str) else _example(section, field)
        raise RecipeError(where, in_words(hint), remedy) from None
    rule = field.metadata
    if value is None:
        return None
    for key in value if "keys" in rule else ():
        if key not in rule["keys"]:
            raise RecipeError(where, f"keys among {', '.join(rule['keys'])}", nearest(key, rule["keys"]))
    items = value.values() if isinstance(value, dict) else (value,)
    if "least" in rule and any(item < rule["least"] for item in items):
        raise RecipeError(where, f"{rule['least']} or more", _example(section, field))
    _check_share(where, rule, value, _example(section, field))
    return value


def _check_share(where: str, rule: Mapping[str, Any], value: Any, example: str) -> None:
    """A number of things, or a share of them; a ``fraction`` is never the whole, a ``share`` may be."""
    whole = "share" in rule
    if not (whole or "fraction" in rule):
        return
    if isinstance(value, float):
        fits = 0 < value <= 1 if whole else 0 < value < 1
    else:
        fits = value >= 1
    if not fits:
        raise RecipeError(where, "a whole number of 1 or more, or a fraction between 0 and 1", example)


def _shown(value: Any) -> str:
    text = repr(plain(value))
    return text if len(text) <= 60 else text[:57] + "…"


def _example(section: str, field: Field[Any]) -> str:
    example = field.metadata.get("example")
    if example is None:
        return f"leave {field.name} out for its default"
    return f"write it as in [{section}] {field.name} = {example}"
