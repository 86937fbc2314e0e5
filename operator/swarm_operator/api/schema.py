"""From a pydantic model to a structural OpenAPI v3 schema, the form that a CustomResourceDefinition takes.

Structural schemas know no `$ref`, no `anyOf` with null and no `additionalProperties: false` (Kubernetes documentation, "Specifying a structural schema"). What the
models say in `json_schema_extra` (`x-kubernetes-*`, `maxProperties`, `format`) goes through unchanged. Pure.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final, cast

from pydantic import BaseModel
from pydantic.json_schema import GenerateJsonSchema, NoDefault
from pydantic_core import core_schema

Schema = dict[str, Any]

CEL_RULES: Final = "x-kubernetes-validations"
_INT32_MAX: Final = 2**31 - 1
_KEY_ORDER: Final = (
    *("description", "type", "format", "enum", "default", "minimum", "maximum", "minLength", "maxLength", "pattern", "minItems", "maxItems", "maxProperties"),
    *("items", "additionalProperties", "properties", "required"),
)
"""Keys in the order in which a reader wants them; the rest (x-kubernetes-*) follows in alphabetical order."""


class _Generator(GenerateJsonSchema):
    """Pydantic's generator, with the defaults that factories make; a nested object's default holds only what was set on purpose, so most are `{}`."""

    def get_default_value(self, schema: core_schema.WithDefaultSchema) -> Any:
        factory = schema.get("default_factory")
        if factory is not None and not schema.get("default_factory_takes_data"):
            return cast(Callable[[], Any], factory)()
        return schema.get("default", NoDefault)

    def encode_default(self, dft: Any) -> Any:
        if isinstance(dft, BaseModel):
            return dft.model_dump(mode="json", by_alias=True, exclude_unset=True)
        return super().encode_default(dft)


def structural_schema(model: type[BaseModel], *, defaults: bool) -> Schema:
    """The structural schema of `model`. With `defaults` false (status, which the API server must not fill in) all defaults are left out.

    Raises ValueError for a model that has no structural form, such as a union of two types.
    """
    raw = model.model_json_schema(by_alias=True, mode="validation", schema_generator=_Generator)
    return _structural(raw, raw.get("$defs", {}), defaults, model.__name__)


def _structural(node: Schema, definitions: dict[str, Schema], defaults: bool, path: str) -> Schema:
    node = _resolved(node, definitions, path)
    out: Schema = {}
    for key, value in node.items():
        match key:
            case "title" | "$defs" | "default":
                continue
            case "description":
                out[key] = " ".join(value.split())
            case "const":
                out["enum"] = [value]
            case "properties":
                out[key] = {name: _structural(child, definitions, defaults, f"{path}.{name}") for name, child in value.items()}
            case "items":
                out[key] = _structural(value, definitions, defaults, f"{path}[]")
            case "additionalProperties":
                if isinstance(value, dict):
                    out[key] = _structural(value, definitions, defaults, f"{path}.*")
            case _:
                out[key] = value
    if "type" not in out:
        raise ValueError(f"{path}: no single type, so no structural schema")
    if out["type"] == "integer":
        out["format"] = "int32" if out.get("maximum", _INT32_MAX + 1) <= _INT32_MAX else "int64"
    if defaults and _worth_a_default(out, node.get("default")):
        out["default"] = node["default"]
    return _ordered(out)


def _resolved(node: Schema, definitions: dict[str, Schema], path: str) -> Schema:
    """`node` with its reference or its one non-null alternative put in place; what stands beside it wins, except that CEL rules add up."""
    node = dict(node)
    if "anyOf" in node:
        alternatives = [option for option in node.pop("anyOf") if option.get("type") != "null"]
        if len(alternatives) != 1:
            raise ValueError(f"{path}: a union of {len(alternatives)} types has no structural schema")
        return _merged(_resolved(alternatives[0], definitions, path), node)
    if "$ref" in node:
        name = node.pop("$ref").rsplit("/", 1)[-1]
        return _merged(_resolved(definitions[name], definitions, path), node)
    return node


def _merged(base: Schema, over: Schema) -> Schema:
    merged = {**base, **over}
    if CEL_RULES in base and CEL_RULES in over:
        merged[CEL_RULES] = [*base[CEL_RULES], *over[CEL_RULES]]
    return merged


def _worth_a_default(schema: Schema, default: Any) -> bool:
    """An empty list, map or string says nothing that absence does not. An empty object matters where defaults live below it, or rules name what is in it."""
    if default is None or default in ([], ""):
        return False
    if default == {}:
        fields = schema.get("properties", {})
        return bool(fields) and (CEL_RULES in schema or any("default" in field for field in fields.values()))
    return True


def _ordered(schema: Schema) -> Schema:
    known = {key: schema[key] for key in _KEY_ORDER if key in schema}
    return known | {key: schema[key] for key in sorted(schema) if key not in known}
