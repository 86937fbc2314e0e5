"""What a user adds to the first boot of machines, and what it must leave alone. Pure.

Sources: cloud-init reference ("Module reference"), Ignition specification v3.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from typing import Annotated, Any, Final, Literal

import yaml
from pydantic import ConfigDict, Field

from swarm_operator.api.base import ApiModel, ObjectName, cel, schema_extra

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


def parse_additions(text: str, os: MachineOs) -> dict[str, Any]:
    """The document. Raises ValueError with what is wrong with it, without quoting it."""
    document = _cloud_config(text) if os == "CloudInit" else _ignition(text)
    problem = next(_problems(document) if os == "CloudInit" else _ignition_problems(document), None)
    if problem is not None:
        raise ValueError(problem)
    return document


def _cloud_config(text: str) -> dict[str, Any]:
    if text.split("\n", 1)[0].strip() != "#cloud-config":
        raise ValueError("must begin with the line `#cloud-config`; scripts go into `runcmd`")
    try:
        document = yaml.safe_load(text)
    except yaml.YAMLError as error:
        place = getattr(error, "problem_mark", None)
        raise ValueError("is not YAML" + (f" (line {place.line + 1})" if place is not None else "")) from None
    if document is None:
        return {}
    if not isinstance(document, dict) or not all(isinstance(key, str) for key in document):
        raise ValueError("must be a YAML mapping with names as keys")
    return document


def _problems(document: Mapping[str, Any]) -> Iterator[str]:
    for key in document:
        if key in _REFUSED:
            yield f"must not hold `{key}`: {_REFUSED[key]}"
    for key in _LISTS:
        if key in document and not isinstance(document[key], list):
            yield f"`{key}` must be a list"
            return
    for entry in document.get("write_files", []):
        path = entry.get("path") if isinstance(entry, dict) else None
        if not isinstance(path, str) or not path.startswith("/") or ".." in path.split("/"):
            yield "each entry of `write_files` must have an absolute `path` without `..`"
        elif _OWN_PATHS.fullmatch(path):
            yield f"must not write {path}: it is the operator's"
    users = document.get("users")
    if users is not None and not (isinstance(users, list) and "default" in users):
        yield "`users` must be a list that holds `default`: the operator logs in as that user"


def _ignition(text: str) -> dict[str, Any]:
    try:
        document = json.loads(text)
    except ValueError:
        raise ValueError("is not JSON: an Ignition config is (Butane makes one out of YAML)") from None
    version = (document.get("ignition") or {}).get("version") if isinstance(document, dict) else None
    if not isinstance(version, str) or not re.fullmatch(r"3\.[0-9]+\.0", version):
        raise ValueError("must be an Ignition config of version 3")
    return dict(document)


def _ignition_problems(document: Mapping[str, Any]) -> Iterator[str]:
    storage, systemd = document.get("storage") or {}, document.get("systemd") or {}
    for kind in ("files", "links", "directories"):
        for entry in storage.get(kind) or []:
            path = str(entry.get("path"))
            if _OWN_PATHS.fullmatch(path) or path == "/etc/hostname":
                yield f"must not make {path}: it is the operator's"
    for unit in systemd.get("units") or []:
        name = str(unit.get("name"))
        if name.startswith("swarmops-") or (name == "docker.service" and (unit.keys() - {"name", "dropins"} or _own_drop_in(unit))):
            yield f"must not change the unit {name}: it is the operator's (drop-ins of other names may be added to docker.service)"


def _own_drop_in(unit: Mapping[str, Any]) -> bool:
    return any(re.match(r"[0-9]+-swarmops", str(drop_in.get("name"))) for drop_in in unit.get("dropins") or [])
