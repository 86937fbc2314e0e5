"""What sections of an Ignition config have in common: resources, and checks of values (sources as in `ignition`)."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Annotated, Any, Final, Self

from pydantic import AfterValidator, ConfigDict, model_validator
from pydantic.alias_generators import to_camel

from swarm_operator.api.boot_documents.shape import Part, refused, where


class Camel(Part):
    """Base of Ignition's objects: camelCase in the document."""

    model_config = ConfigDict(alias_generator=to_camel)


def unique(field: str) -> AfterValidator:
    """The entries of a list must differ in `field`."""

    def check(entries: Sequence[Any]) -> Sequence[Any]:
        seen: dict[object, int] = {}
        for index, entry in enumerate(entries):
            first = seen.setdefault(getattr(entry, field), index)
            if first != index:
                raise refused(f"must have a different `{field}` in each entry; those of entries {first} and {index} are the same")
        return entries

    return AfterValidator(check)


_SCHEMES: Final = ("http", "https", "tftp", "s3", "arn", "gs", "data")
_SUM: Final = re.compile(r"sha512-[0-9a-fA-F]{128}|sha256-[0-9a-fA-F]{64}")


def _url(url: str) -> bool:
    scheme, colon, rest = url.partition(":")
    return url == "" or (colon == ":" and scheme.lower() in _SCHEMES and (scheme.lower() != "data" or "," in rest))


Url = Annotated[str, where(_url, f"must be a URL whose scheme is one of {', '.join(_SCHEMES)} (after `data:` comes a comma)")]
Compression = Annotated[str, where(lambda name: name in ("", "gzip"), "must be `gzip` or empty")]
AbsolutePath = Annotated[str, where(lambda path: str(path).startswith("/"), "must be an absolute path")]


class Header(Camel):
    """A header of the request for a resource."""

    name: Annotated[str, where(bool, "must not be empty")]
    value: Annotated[str, where(bool, "must not be empty")] | None = None


class Verification(Camel):
    """What the content must be."""

    hash: Annotated[str, where(_SUM.fullmatch, "must be `sha512-` or `sha256-` and so many hexadecimal digits")] | None = None


class Resource(Camel):
    """Something to fetch."""

    source: Url | None = None
    compression: Compression | None = None
    http_headers: Annotated[list[Header], unique("name")] | None = None
    verification: Verification | None = None

    @model_validator(mode="after")
    def _asked(self) -> Self:
        if self.http_headers and not re.match("(?i)https?:", self.source or ""):
            raise refused("must have no `httpHeaders` unless its `source` begins with http:// or https://")
        return self


class SourcedResource(Resource):
    """Something to fetch from a place that must be named."""

    source: Annotated[Url, where(bool, "must not be empty")]
