"""daemon.json of the Docker engine (dockerd reference, "Daemon configuration file")."""

from __future__ import annotations

import ipaddress
import json
from collections.abc import Mapping
from typing import Any, Final

from swarm_operator.api.engine import EngineSpec
from swarm_operator.domain.ownership import ENGINE_LABEL_CLUSTER, ENGINE_LABEL_MACHINE

DAEMON_JSON_PATH: Final = "/etc/docker/daemon.json"

_OWN_LABEL_PREFIX: Final = "io.swarmops."
_FIELD_OF_KEY: Final = {
    "log-driver": "logDriver",
    "log-opts": "logOpts",
    "data-root": "dataRoot",
    "storage-driver": "storageDriver",
    "bip": "bip",
    "mtu": "mtu",
    "fixed-cidr": "fixedCIDR",
    "registry-mirrors": "registryMirrors",
    "insecure-registries": "insecureRegistries",
    "labels": "labels",
}
_RELOADED_DEFAULTS: Final[Mapping[str, Any]] = {
    "debug": False,
    "insecure-registries": [],
    "registry-mirrors": [],
    "max-concurrent-downloads": 3,
    "max-concurrent-uploads": 5,
    "max-download-attempts": 5,
    "shutdown-timeout": 15,
}
"""dockerd reference, "Daemon configuration file", of what is taken over on SIGHUP; `labels` is always there."""
_ALWAYS_INSECURE: Final = frozenset({"127.0.0.0/8", "::1/128"})
"""moby, registry/config.go: the local host, whatever is configured."""
_REFUSED: Final = {
    # The engine refuses to start when a listener is both a flag and in daemon.json; ours are flags of the unit.
    "hosts": "the operator sets the engine's listeners",
    "tls": "the operator sets the engine's TLS",
    "tlsverify": "the operator sets the engine's TLS",
    "tlscacert": "the operator sets the engine's TLS",
    "tlscert": "the operator sets the engine's TLS",
    "tlskey": "the operator sets the engine's TLS",
    # dockerd: "--live-restore daemon configuration is incompatible with swarm mode".
    "live-restore": "it is incompatible with swarm mode",
    "cluster-store": "it is incompatible with swarm mode",
    "cluster-advertise": "it is incompatible with swarm mode",
}


def daemon_json(engine: EngineSpec, cluster_uid: str, machine_uid: str) -> dict[str, Any]:
    """The content of /etc/docker/daemon.json: the spec's settings, `extra`, and the two engine labels that say whose machine this is.

    Raises ValueError, its text beginning with the path of the field in the manifest, where `extra` or `labels` hold what must not be set.
    """
    for key in engine.extra:
        path = f"spec.engine.extra.{key}"
        if key in _REFUSED:
            raise ValueError(f"{path}: not allowed: {_REFUSED[key]}")
        if key in _FIELD_OF_KEY:
            raise ValueError(f"{path}: not allowed: use spec.engine.{_FIELD_OF_KEY[key]}")
    for key in engine.labels:
        if key.startswith(_OWN_LABEL_PREFIX):
            raise ValueError(f"spec.engine.labels.{key}: not allowed: the prefix {_OWN_LABEL_PREFIX} is the operator's")
        if "=" in key:
            raise ValueError(f"spec.engine.labels.{key}: not allowed: the key of a label holds no `=`")
    labels = {**engine.labels, ENGINE_LABEL_CLUSTER: cluster_uid, ENGINE_LABEL_MACHINE: machine_uid}
    settings: dict[str, Any] = {
        "log-driver": engine.log_driver,
        "log-opts": dict(sorted(engine.log_opts.items())),
        "data-root": engine.data_root,
        "storage-driver": engine.storage_driver,
        "bip": engine.bip,
        "mtu": engine.mtu,
        "fixed-cidr": engine.fixed_cidr,
        "registry-mirrors": list(engine.registry_mirrors),
        "insecure-registries": list(engine.insecure_registries),
        "labels": [f"{key}={value}" for key, value in sorted(labels.items())],
    }
    return {**engine.extra, **{key: value for key, value in settings.items() if value not in (None, {}, [])}}


def daemon_json_in_place(engine: EngineSpec, cluster_uid: str, machine_uid: str, former: str) -> str:
    """`daemon_json_text` for an engine that lives, in place of the file `former`.

    Where its data lies stays as it was, whatever the spec says: the engine would not find it. A setting that leaves the file is written as its default, for on SIGHUP the engine
    takes over only what the file names (moby, daemon/reload.go: `IsValueSet`). Raises ValueError as `daemon_json`, and where `former` is no such file.
    """
    before = json.loads(former)
    if not isinstance(before, dict):
        raise ValueError(f"{DAEMON_JSON_PATH}: not an object")
    settings = daemon_json(engine, cluster_uid, machine_uid)
    kept = {key: before.get(key) for key in ("data-root", "storage-driver")}
    settings = {key: value for key, value in settings.items() if key not in kept} | {key: value for key, value in kept.items() if value is not None}
    left = {key: value for key, value in _RELOADED_DEFAULTS.items() if key in before and key not in settings}
    return json.dumps(settings | left, indent=2, sort_keys=True) + "\n"


def not_in_force(settings: Mapping[str, Any], info: Mapping[str, Any]) -> tuple[str, ...]:
    """Which keys of a daemon.json the engine's own `GET /info` contradicts. Keys that it does not tell of are believed."""
    registry = info.get("RegistryConfig") or {}
    networks = {_network(str(entry)) for entry in registry.get("InsecureRegistryCIDRs") or ()}
    insecure = networks | {name for name, index in (registry.get("IndexConfigs") or {}).items() if not index.get("Secure", True)}
    mirrors = {str(mirror).rstrip("/") for mirror in registry.get("Mirrors") or ()}
    wanted = {
        "labels": set(settings.get("labels") or ()) == set(info.get("Labels") or ()),
        "insecure-registries": {_network(entry) for entry in settings.get("insecure-registries") or ()} | _ALWAYS_INSECURE == insecure | _ALWAYS_INSECURE,
        "registry-mirrors": {str(mirror).rstrip("/") for mirror in settings.get("registry-mirrors") or ()} == mirrors,
    }
    return tuple(key for key, holds in wanted.items() if not holds)


def _network(text: str) -> str:
    """A network as the engine writes it; other text as it is."""
    try:
        return str(ipaddress.ip_network(text, strict=False))
    except ValueError:
        return text


def daemon_json_text(engine: EngineSpec, cluster_uid: str, machine_uid: str) -> str:
    """`daemon_json` as the file's text: sorted, so that equal settings give equal bytes. Raises ValueError as `daemon_json`."""
    return json.dumps(daemon_json(engine, cluster_uid, machine_uid), indent=2, sort_keys=True) + "\n"
