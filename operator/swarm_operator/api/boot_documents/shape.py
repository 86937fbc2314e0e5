"""What the models of cloud-config and Ignition share: lenient scalars, values of several types, and problems with the path in the user's document.

User data may hold secrets by mistake, so a problem has a path, what is expected and the type of what is there, and never the value. Pure.
"""

from __future__ import annotations

import datetime
import difflib
import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Annotated, Any, ClassVar, Final, Self, TypeVar

from pydantic import AfterValidator, BaseModel, ConfigDict, Discriminator, ModelWrapValidatorHandler, Tag, ValidationError, ValidationInfo, model_validator
from pydantic_core import ErrorDetails, InitErrorDetails, PydanticCustomError

MOST_VALUES: Final = 30_000
"""More than a text of the longest size can hold, unless YAML aliases multiply it: the models would walk through each copy."""
_VALUE: Final = "swarmops_value"
_KIND_OF: Final = "swarmops_kind"
"""Types of the errors whose text is ours: the value is refused, or what kind of value it is."""

BOOL, NUMBER, TEXT, BYTES, DATE, NULL, LIST, MAP = "<bool>", "<number>", "<text>", "<bytes>", "<date>", "<null>", "<list>", "<map>"
"""Kinds of values. They are tags of unions and so occur in the locations of pydantic's errors, from where `_path` takes them out."""
_KINDS: Final[Sequence[tuple[type | tuple[type, ...], str, str]]] = (
    (bool, BOOL, "true or false"),  # before int, which bool is one of
    ((int, float), NUMBER, "a number"),
    (str, TEXT, "a string"),
    (bytes, BYTES, "binary data"),
    (datetime.date, DATE, "a date"),
    (type(None), NULL, "nothing"),
    (list, LIST, "a list"),
    (dict, MAP, "a mapping"),
)
_TAGS: Final = frozenset(tag for _, tag, _ in _KINDS)


def _kind(value: Any) -> str | None:
    return next((tag for kind, tag, _ in _KINDS if isinstance(value, kind)), None)


def _words(value: Any) -> str:
    return next((words for kind, _, words in _KINDS if isinstance(value, kind)), "something else")


def by_kind(expected: str) -> Discriminator:
    """Chooses the member of a union by the kind of the value, so that a problem within has one path; `expected` is told where no member has that kind."""
    return Discriminator(_kind, custom_error_type=_KIND_OF, custom_error_message=expected)


def refused(expected: str) -> PydanticCustomError:
    """What a validator raises. `expected` must not hold the value."""
    return PydanticCustomError(_VALUE, "{expected}", {"expected": expected})


T = TypeVar("T")


def where(test: Callable[[T], object], expected: str) -> AfterValidator:
    """A value must pass `test`; `expected` says so in words ("must be ...")."""

    def check(value: T) -> T:
        if not test(value):
            raise refused(expected)
        return value

    return AfterValidator(check)


def matching(pattern: str, expected: str) -> AfterValidator:
    """A string must match the whole pattern, whatever the case of its letters."""
    compiled = re.compile(pattern, re.IGNORECASE)
    return where(compiled.fullmatch, expected)


def one_of(*names: str, expected: str = "") -> AfterValidator:
    """A string must be one of the names, whatever its case: cloud-init lowers many of them. `expected` says so in other words."""
    return where(lambda value: str(value).strip().lower() in names, expected or f"must be one of {', '.join(f'`{name}`' for name in names)}")


FLAG_WORDS: Final = ("true", "false", "yes", "no", "on", "off", "1", "0")
Flag = Annotated[
    Annotated[bool, Tag(BOOL)]
    | Annotated[int, where(lambda value: value in (0, 1), "must be true or false"), Tag(NUMBER)]
    | Annotated[str, one_of(*FLAG_WORDS, expected="must be true or false"), Tag(TEXT)],
    by_kind("must be true or false"),
]
"""A switch of cloud-init, which also takes the words for it in quotes."""
Scalar = Annotated[
    Annotated[bool, Tag(BOOL)] | Annotated[int | float, Tag(NUMBER)] | Annotated[str, Tag(TEXT)] | Annotated[datetime.date, Tag(DATE)],
    by_kind("must be a string or a number"),
]
"""What YAML may make of a word without quotes; cloud-init puts it into a text."""
TextOrNumber = Annotated[Annotated[str, Tag(TEXT)] | Annotated[int | float, Tag(NUMBER)], by_kind("must be a string or a number")]
Texts = Annotated[Annotated[str, Tag(TEXT)] | Annotated[list[str], Tag(LIST)], by_kind("must be a list of strings")]
"""A list of strings; one string is a list of itself, as cloud-init reads it."""
Command = Annotated[
    Annotated[str, Tag(TEXT)] | Annotated[list[Scalar], Tag(LIST)],
    by_kind("must be a string or a list of strings (a string with a colon and a space in it needs quotes)"),
]
"""A command line for the shell, or a command with its arguments."""
Whole = Annotated[
    Annotated[int, Tag(NUMBER)] | Annotated[str, matching(r"\s*[0-9]+\s*", "must be a whole number"), Tag(TEXT)],
    by_kind("must be a whole number"),
]
"""A whole number, maybe in quotes."""


class Part(BaseModel):
    """Base of all mappings of the documents. A key without a value counts as absent, as both languages take most of them."""

    model_config = ConfigDict(strict=True, extra="forbid", frozen=True)

    since: ClassVar[Mapping[str, int]] = {}
    """Ignition: keys that came with a later minor version than 3.0, and which."""
    open_to_more: ClassVar[bool] = False
    """Keys that no model knows are taken as they are, unless they look like a misspelt one."""
    other_keys: ClassVar[frozenset[str]] = frozenset()
    """Keys that are known by name only."""

    @model_validator(mode="wrap")
    @classmethod
    def _keys(cls, data: Any, handler: ModelWrapValidatorHandler[Self], info: ValidationInfo) -> Self:
        """Tells of unknown keys together with what is wrong with the values of the others."""
        if not isinstance(data, dict):
            return handler(data)
        given = {key: value for key, value in cls.respelt(data).items() if value is not None}
        lines = [_line((key if isinstance(key, int) else str(key),), text) for key, text in cls._key_problems(given, info.context)]
        names = cls._names()
        try:
            made = handler({key: value for key, value in given.items() if key in names})
        except ValidationError as error:  # of a part within as well, whose texts are ours already
            lines += [_line(details["loc"], _message(details)) for details in error.errors(include_url=False)]
        if lines:
            raise ValidationError.from_exception_data(cls.__name__, lines)
        return made

    @classmethod
    def _names(cls) -> set[str]:
        return {field.alias or name for name, field in cls.model_fields.items()}

    @classmethod
    def _key_problems(cls, given: Mapping[Any, Any], version: Version | None) -> Iterator[tuple[Any, str]]:
        names = cls._names()
        for key in given:
            if key in names:
                minor = cls.since.get(key, 0)
                if version is not None and minor > version.minor:
                    yield key, f"needs version 3.{minor}.0 or later"
            elif key not in cls.other_keys:
                meant = difflib.get_close_matches(str(key).replace("-", "_"), sorted(names), 1, 0.8)
                if meant:
                    yield key, f"is not known; `{meant[0]}` is"
                elif not (cls.open_to_more or (version is not None and version.newer)):
                    yield key, "is not known here"

    @classmethod
    def respelt(cls, data: dict[Any, Any]) -> dict[Any, Any]:
        """With other spellings of keys that the language takes put right."""
        return data


def _line(location: tuple[int | str, ...], text: str) -> InitErrorDetails:
    return InitErrorDetails(type=refused(text), loc=location, input=None)


class Version:
    """Version 3.`minor` of Ignition; `newer` than these models, which then let unknown keys pass."""

    def __init__(self, minor: int, newest: int) -> None:
        self.minor, self.newer = minor, minor > newest


def problems_of(model: type[Part], document: Any, version: Version | None = None) -> list[str]:
    """What is wrong with the document, each with its path; empty when nothing is."""
    if not _bounded(document):
        return [f"holds more than {MOST_VALUES} values, or itself (by YAML aliases)"]
    try:
        model.model_validate(document, context=version)
    except ValidationError as error:
        return list(dict.fromkeys(f"{_path(details)}: {_message(details)}" for details in error.errors(include_url=False)))
    return []


def _bounded(document: Any) -> bool:
    left, count = [document], 0
    while left:
        value = left.pop()
        inside: Iterable[Any] = value.values() if isinstance(value, dict) else value if isinstance(value, list) else ()
        before = len(left)
        left.extend(inside)
        count += len(left) - before
        if count > MOST_VALUES:
            return False
    return True


_UNPRINTABLE: Final = re.compile(r"[^ -~]")


def _path(details: ErrorDetails) -> str:
    """`("write_files", 1, "<map>", "path")` -> `write_files[1].path`."""
    path = ""
    for part in details["loc"]:
        if part in _TAGS or part == "[key]":
            continue
        if isinstance(part, int):
            path += f"[{part}]"
        else:
            name = _UNPRINTABLE.sub("?", part)
            path += ("." if path else "") + (name if len(name) <= 64 else name[:64] + "...")
    return path or "the document"


_EXPECTED: Final = {
    "string_type": "must be a string",
    "int_type": "must be a whole number",
    "int_from_float": "must be a whole number",
    "float_type": "must be a number",
    "bool_type": "must be true or false",
    "bytes_type": "must be binary data",
    "list_type": "must be a list",
    "dict_type": "must be a mapping",
    "model_type": "must be a mapping",
    "model_attributes_type": "must be a mapping",
}


def _message(details: ErrorDetails) -> str:
    kind, context = details["type"], details.get("ctx", {})
    if kind == "missing":
        return "is required"
    if kind == _VALUE:
        return details["msg"]
    if kind == _KIND_OF:
        expected = details["msg"]
    elif kind in _EXPECTED:
        expected = _EXPECTED[kind]
    elif kind == "too_short":
        return f"must have at least {context['min_length']} entries"
    elif kind == "too_long":
        return f"must have at most {context['max_length']} entries"
    elif kind == "greater_than_equal":
        return f"must be at least {context['ge']}"
    elif kind == "less_than_equal":
        return f"must be at most {context['le']}"
    else:
        return "is not valid"
    words = _words(details["input"])
    return expected if words in expected else f"{expected}, not {words}"
