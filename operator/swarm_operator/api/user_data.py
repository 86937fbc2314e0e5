"""What a user adds to the first boot of machines, and what it must leave alone. Pure.

Sources: cloud-init reference ("Module reference"), Ignition specification v3. What the languages themselves say of a document is in `api.boot_documents`.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Annotated, Any, Final, Literal

import yaml
from pydantic import ConfigDict, Field

from swarm_operator.api.base import ApiModel, ObjectName, cel, schema_extra
from swarm_operator.api.boot_documents.cloud_config import cloud_config_problems
from swarm_operator.api.boot_documents.ignition import ignition_problems

MachineOs = Literal["CloudInit", "Ignition"]
MOST_CHARACTERS: Final = 24_576

_REFUSED: Final = {
    **dict.fromkeys(("hostname", "fqdn", "preserve_hostname", "create_hostname_file", "manage_etc_hosts"), "the operator sets the host name"),
    **dict.fromkeys(
        ("ssh_deletekeys", "ssh", "ssh_keys", "ssh_genkeytypes", "no_ssh_fingerprints"), "the operator verifies new host keys by what the console says"
    ),
    **dict.fromkeys(("ssh_key_console_blacklist", "ssh_fp_console_blacklist"), "the operator verifies new host keys by what the console says"),
    **dict.fromkeys(("cloud_init_modules", "cloud_config_modules", "cloud_final_modules"), "modules that the operator needs could be missing"),
    **dict.fromkeys(("datasource", "datasource_list", "system_info", "merge_how", "merge_type"), "it changes what the rest means"),
    **dict.fromkeys(("user", "allow_public_ssh_keys", "disable_ec2_metadata"), "the operator could not log in"),
}
"""Keys of cloud-config that additions must not hold, and why."""
_OWN_PATHS: Final = re.compile(
    r"/etc/docker/(daemon\.json|tls(/.*)?)|/etc/swarmops(/.*)?|/usr/local/lib/swarmops(/.*)?|/etc/systemd/system/(swarmops-|docker\.service\.d/[0-9]+-swarmops).*"
)
_LISTS: Final = ("write_files", "runcmd", "bootcmd", "ssh_authorized_keys")
"""What is appended to lists of the operator, and so must not be null, which would take their place."""


class UserDataSecret(ApiModel):
    """A key of a Secret in the same namespace."""

    name: ObjectName = Field(description="Name of the Secret.")
    key: Annotated[str, Field(min_length=1, max_length=253, pattern=r"^[-._a-zA-Z0-9]+$")] = Field(default="userData", description="Key in it.")


class UserDataSpec(ApiModel):
    """Additions to the user data: a `#cloud-config`, or with `os: Ignition` an Ignition v3 config."""

    model_config = ConfigDict(json_schema_extra=schema_extra(cel("has(self.inline) != has(self.secretRef)", "must set exactly one of `inline`, `secretRef`")))

    inline: Annotated[str, Field(min_length=1, max_length=MOST_CHARACTERS)] | None = Field(default=None, description="The text itself.")
    secret_ref: UserDataSecret | None = Field(
        default=None, description="Where the text is. Everything on the server can read its user data: this is no place for secrets."
    )


class UserDataError(ValueError):
    """Additions can't be used. `problems` are all that was found, each with the path in the document where it has one, and without values: they may be secrets."""

    def __init__(self, problems: Sequence[str]) -> None:
        self.problems: Final = tuple(problems)
        super().__init__("; ".join(self.problems[:8]))


def parse_additions(text: str, os: MachineOs) -> dict[str, Any]:
    """The document. Raises UserDataError with what is wrong with it, without quoting it."""
    document, problems = _cloud_config(text) if os == "CloudInit" else _ignition(text)
    if not problems:  # the operator's rules take it that things have the right types
        problems = list(_problems(document) if os == "CloudInit" else _ignition_problems(document))
    if problems:
        raise UserDataError(problems)
    return document


_TOO_DEEP: Final = "is nested too deeply"


def _cloud_config(text: str) -> tuple[dict[str, Any], list[str]]:
    """The document, and what is wrong with it by the rules of cloud-init."""
    if text.split("\n", 1)[0].strip() != "#cloud-config":
        raise UserDataError(["must begin with the line `#cloud-config`; scripts go into `runcmd`"])
    try:
        document = yaml.safe_load(text)
    except yaml.YAMLError as error:
        place = getattr(error, "problem_mark", None)
        raise UserDataError(["is not YAML" + (f" (line {place.line + 1})" if place is not None else "")]) from None
    except (ValueError, ArithmeticError, AttributeError, LookupError):  # what PyYAML lets through where a value is not of the type that its tag says
        raise UserDataError(["is not YAML: it holds a number, date or the like that can't be read"]) from None
    except RecursionError:
        raise UserDataError([_TOO_DEEP]) from None
    if document is None:
        return {}, []
    if not isinstance(document, dict) or not all(isinstance(key, str) for key in document):
        raise UserDataError(["must be a YAML mapping with names as keys"])
    return document, cloud_config_problems({key: value for key, value in document.items() if key not in _REFUSED})


def _problems(document: Mapping[str, Any]) -> Iterator[str]:
    for key in document:
        if key in _REFUSED:
            yield f"must not hold `{key}`: {_REFUSED[key]}"
    for key in _LISTS:
        if key in document and document[key] is None:
            yield f"{key}: must be a list, not nothing"
    for index, entry in enumerate(document.get("write_files") or []):
        path = entry["path"]
        if not path.startswith("/") or ".." in path.split("/"):
            yield f"write_files[{index}].path: must be absolute, without `..`"
        elif _OWN_PATHS.fullmatch(path):
            yield f"write_files[{index}].path: must not be {path}: it is the operator's"
    if "users" in document and "default" not in (document["users"] or []):
        yield "users: must be a list that holds `default`: the operator logs in as that user"


def _ignition(text: str) -> tuple[dict[str, Any], list[str]]:
    """The document, and what is wrong with it by the rules of Ignition."""
    try:
        document = json.loads(text)
    except ValueError:
        raise UserDataError(["is not JSON: an Ignition config is (Butane makes one out of YAML)"]) from None
    except RecursionError:
        raise UserDataError([_TOO_DEEP]) from None
    section = document.get("ignition") if isinstance(document, dict) else None
    version = section.get("version") if isinstance(section, dict) else None
    found = re.fullmatch(r"3\.([0-9]{1,3})\.0", version) if isinstance(version, str) else None
    if found is None:
        raise UserDataError(["ignition.version: must be an Ignition config of version 3 (`3.3.0` for instance)"])
    return document, ignition_problems(document, int(found[1]))


def _ignition_problems(document: Mapping[str, Any]) -> Iterator[str]:
    storage, systemd = document.get("storage") or {}, document.get("systemd") or {}
    for kind in ("files", "links", "directories"):
        for index, entry in enumerate(storage.get(kind) or []):
            path = entry["path"]
            if _OWN_PATHS.fullmatch(path) or path == "/etc/hostname":
                yield f"storage.{kind}[{index}].path: must not be {path}: it is the operator's"
    for index, unit in enumerate(systemd.get("units") or []):
        name = unit["name"]
        if name.startswith("swarmops-") or (name == "docker.service" and (unit.keys() - {"name", "dropins"} or _own_drop_in(unit))):
            yield f"systemd.units[{index}]: must not change {name}: it is the operator's (drop-ins of other names may be added to docker.service)"


def _own_drop_in(unit: Mapping[str, Any]) -> bool:
    return any(re.match(r"[0-9]+-swarmops", drop_in["name"]) for drop_in in unit.get("dropins") or [])
