"""What is generated is not stale, and says what the models say."""

from __future__ import annotations

import re
from collections.abc import Iterator
from enum import Enum
from pathlib import Path
from types import NoneType, UnionType
from typing import Annotated, Any, Literal, Union, get_args, get_origin

import pytest
import yaml
from pydantic import BaseModel

from swarm_operator.api import crd, reference
from swarm_operator.api.conditions import CLUSTER_CONDITIONS, POOL_CONDITIONS, SERVICE_CONDITIONS, STACK_CONDITIONS, ConditionType
from swarm_operator.api.parse import parse_cluster, parse_service
from swarm_operator.api.reasons import Reason

ROOT = Path(__file__).resolve().parents[3]


def loaded(kind: crd.Kind) -> dict[str, Any]:
    schema: dict[str, Any] = yaml.safe_load((ROOT / "crds" / kind.file_name).read_text())["spec"]["versions"][0]["schema"]["openAPIV3Schema"]
    return schema


def nodes(schema: dict[str, Any], path: str = "") -> Iterator[tuple[str, dict[str, Any]]]:
    """Every schema below, with its path."""
    yield path, schema
    for name, child in schema.get("properties", {}).items():
        yield from nodes(child, f"{path}.{name}")
    if "items" in schema:
        yield from nodes(schema["items"], f"{path}[]")
    if isinstance(schema.get("additionalProperties"), dict):
        yield from nodes(schema["additionalProperties"], f"{path}.*")


@pytest.mark.parametrize(("module", "directory"), [(crd, "crds"), (reference, "docs")])
def test_generated_files_are_not_stale(module: Any, directory: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert module.main(["--check", str(ROOT / directory)]) == 0, capsys.readouterr().out + "run `make crds`"


def test_check_tells_a_stale_file_and_write_renews_it(tmp_path: Path) -> None:
    assert crd.main(["--check", str(tmp_path)]) == 1
    assert crd.main(["--write", str(tmp_path)]) == 0
    assert crd.main(["--check", str(tmp_path)]) == 0
    victim = next(tmp_path.glob("*.yaml"))
    victim.write_text(victim.read_text() + "# edited\n")
    assert crd.main(["--check", str(tmp_path)]) == 1


@pytest.mark.parametrize("kind", crd.KINDS, ids=lambda k: k.kind)
def test_schema_is_structural(kind: crd.Kind) -> None:
    for path, schema in nodes(loaded(kind)):
        assert "type" in schema, path
        forbidden = {"$ref", "$defs", "anyOf", "allOf", "oneOf", "const", "title", "nullable"} & set(schema)
        assert not forbidden, f"{path}: {forbidden}"
        assert schema.get("additionalProperties") is not False, path


@pytest.mark.parametrize("kind", crd.KINDS, ids=lambda k: k.kind)
def test_everything_is_described_and_bounded(kind: crd.Kind) -> None:
    """Bounds keep the cost of the CEL rules down, and an object below etcd's limit."""
    root = loaded(kind)
    for path, schema in nodes(root["properties"]["spec"], "spec"):
        if not path.endswith(("[]", ".*")):
            assert schema.get("description"), path
        if schema["type"] == "string":
            assert "maxLength" in schema or "enum" in schema, path
        elif schema["type"] == "array":
            assert "maxItems" in schema, path
        elif schema["type"] in ("integer", "number"):
            assert ({"minimum", "maximum"} <= set(schema)) or "enum" in schema, path
        elif "additionalProperties" in schema:
            assert "maxProperties" in schema, path
    for path, schema in nodes(root["properties"]["status"], "status"):
        allowed = {"observedGeneration": -1} if path == "status" else None
        assert schema.get("default") == allowed, f"{path}: the API server must not fill in status, but for what says that nobody has looked yet"
        if schema["type"] == "string":
            assert {"maxLength", "enum", "format"} & set(schema), path
        elif schema["type"] == "array":
            assert "maxItems" in schema, path


@pytest.mark.parametrize("kind", crd.KINDS, ids=lambda k: k.kind)
def test_schema_has_the_fields_of_the_models(kind: crd.Kind) -> None:
    """Read by other means than the generator's: pydantic's field table against the YAML."""
    properties = loaded(kind)["properties"]
    compare(kind.spec, properties["spec"], "spec")
    compare(kind.status, properties["status"], "status")


def compare(model: type[BaseModel], schema: dict[str, Any], path: str) -> None:
    fields = {str(info.alias): info for info in model.model_fields.values()}
    assert set(schema["properties"]) == set(fields), path
    assert set(schema.get("required", [])) == {alias for alias, info in fields.items() if info.is_required()}, path
    for alias, info in fields.items():
        child, here = schema["properties"][alias], f"{path}.{alias}"
        kind = bare(info.annotation)
        if "default" in child:
            default = info.get_default(call_default_factory=True)
            dumped = default.model_dump(mode="json", by_alias=True, exclude_unset=True) if isinstance(default, BaseModel) else default
            assert child["default"] == dumped, here
        elif path.startswith("spec") and not info.is_required():
            default = info.get_default(call_default_factory=True)
            assert default in (None, [], {}, "") or isinstance(default, BaseModel), here
        if isinstance(kind, type) and issubclass(kind, BaseModel):
            compare(kind, child, here)
        elif get_origin(kind) is list and isinstance(item := bare(get_args(kind)[0]), type) and issubclass(item, BaseModel):
            compare(item, child["items"], f"{here}[]")
        elif get_origin(kind) is Literal:
            assert child["enum"] == list(get_args(kind)), here
        elif isinstance(kind, type) and issubclass(kind, Enum):
            assert child["enum"] == [member.value for member in kind], here


def bare(annotation: Any) -> Any:
    """The type without Annotated and without None."""
    if get_origin(annotation) is Annotated:
        return bare(get_args(annotation)[0])
    if get_origin(annotation) in (Union, UnionType):
        (kind,) = (bare(option) for option in get_args(annotation) if option is not NoneType)
        return kind
    return annotation


def test_field_names_are_camel_case() -> None:
    for kind in crd.KINDS:
        for path, _ in nodes(loaded(kind)):
            name = path.rsplit(".", 1)[-1].removesuffix("[]")
            if name and name != "*":
                assert re.fullmatch(r"[a-z][a-zA-Z0-9]*", name), path


def filled(schema: dict[str, Any], value: Any) -> Any:
    """Defaulting as the API server does it (apiextensions-apiserver, schema/defaulting): a missing field takes its default, then what is there is gone through."""
    if isinstance(value, dict):
        out = dict(value)
        for name, child in schema.get("properties", {}).items():
            if name not in out and "default" in child:
                out[name] = yaml.safe_load(yaml.safe_dump(child["default"]))
            if name in out:
                out[name] = filled(child, out[name])
        return out
    if isinstance(value, list):
        return [filled(schema.get("items", {}), item) for item in value]
    return value


MACHINE = {"flavor": {"name": "f"}, "image": {"name": "i"}}
CLUSTERS: list[dict[str, Any]] = [
    {"identityRef": {"secretName": "s"}, "machine": MACHINE},
    {"identityRef": {"secretName": "s"}, "machine": MACHINE, "network": {"managed": {}}, "securityGroups": {"managed": {}}, "workerPools": [{"name": "a"}]},
]
SERVICES: list[dict[str, Any]] = [
    {"clusterRef": {"name": "c"}, "image": "i"},
    {
        "clusterRef": {"name": "c"},
        "image": "i",
        "ports": [{"targetPort": 80}],
        "networks": [{"name": "n"}],
        "env": [{"name": "A"}],
        "updateConfig": {},
        "rollbackConfig": {},
        "restartPolicy": {},
        "placement": {},
    },
]


@pytest.mark.parametrize(
    ("kind", "parse", "spec"),
    [*((crd.KINDS[0], parse_cluster, spec) for spec in CLUSTERS), *((crd.KINDS[1], parse_service, spec) for spec in SERVICES)],
)
def test_defaults_of_the_schema_are_those_of_the_models(kind: crd.Kind, parse: Any, spec: dict[str, Any]) -> None:
    schema = loaded(kind)["properties"]["spec"]
    assert filled(schema, spec) != spec
    assert parse(filled(schema, spec)) == parse(spec)


def test_field_paths_of_rules_exist() -> None:
    """The API server refuses a rule whose fieldPath is not in the schema; the last fields of ours are also what the message is about."""
    for kind in crd.KINDS:
        for path, schema in nodes(loaded(kind)):
            for rule in schema.get("x-kubernetes-validations", []):
                here = schema
                for part in rule.get("fieldPath", "").split(".")[1:]:
                    assert part in here["properties"], f"{path}: {rule['fieldPath']}"
                    here = here["properties"][part]


@pytest.mark.parametrize("member", [*Reason, *ConditionType], ids=lambda m: f"{type(m).__name__}-{m.value}")
def test_reasons_and_conditions_have_text_and_form(member: Reason | ConditionType) -> None:
    assert len(member.doc) >= 10
    assert member.doc.endswith(".")
    assert re.fullmatch(r"[A-Z][A-Za-z]*", member.value)
    assert f"| `{member.value}` | " in (ROOT / "docs" / "conditions.md").read_text()


def test_every_condition_type_belongs_to_a_kind() -> None:
    assert {*CLUSTER_CONDITIONS, *SERVICE_CONDITIONS, *STACK_CONDITIONS, *POOL_CONDITIONS} == set(ConditionType)


def test_full_example_of_the_corpus_leaves_no_field_out() -> None:
    """The corpus that the API server must accept covers the whole schema."""
    manifests = [m for m in yaml.safe_load_all((ROOT / "tests" / "apivalidation" / "corpus" / "full.yaml").read_text()) if m]
    for kind in crd.KINDS:
        specs = [m["spec"] for m in manifests if m["kind"] == kind.kind]
        missing = [
            path  # an address of the common machine is refused, see the corpus of what is
            for path, schema in nodes(loaded(kind)["properties"]["spec"])
            if "properties" not in schema and not any(present(s, path) for s in specs) and path != ".machine.ports[].fixedIPs[].ipAddress"
        ]
        # One reference is as good as another: its ways occur somewhere, not everywhere.
        assert [path for path in missing if not re.search(r"\.(id|name|filter\.tags(\[\])?|fromSnapshotOf\.snapshot|url\..*|secretRef\..*)$", path)] == []


def present(value: Any, path: str) -> bool:
    """Whether a value is at `.a.b[].*`."""
    if path == "":
        return True
    step = re.match(r"\[\]|\.\*|\.\w+", path)
    assert step is not None
    rest = path[step.end() :]
    match step.group():
        case "[]":
            return isinstance(value, list) and any(present(item, rest) for item in value)
        case ".*":
            return isinstance(value, dict) and any(present(item, rest) for item in value.values())
        case name:
            return isinstance(value, dict) and name[1:] in value and present(value[name[1:]], rest)
