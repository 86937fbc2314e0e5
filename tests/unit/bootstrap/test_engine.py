"""daemon.json: every field lands under dockerd's name, and what the operator owns can't be set."""

from __future__ import annotations

import json
from typing import Any

import pytest

from swarm_operator.api.engine import EngineSpec
from swarm_operator.bootstrap.engine import daemon_json, daemon_json_in_place, daemon_json_text, not_in_force


def test_every_field_lands_under_the_engines_name() -> None:
    spec = EngineSpec.model_validate(
        {
            "logDriver": "json-file",
            "logOpts": {"max-size": "10m"},
            "dataRoot": "/data",
            "storageDriver": "overlay2",
            "bip": "172.30.0.1/24",
            "mtu": 1450,
            "fixedCIDR": "172.30.0.0/25",
            "registryMirrors": ["http://10.0.0.1:5000"],
            "insecureRegistries": ["10.0.0.1:5000"],
            "labels": {"zone": "a"},
            "extra": {"debug": True},
        }
    )
    assert daemon_json(spec, "c-1", "m-1") == {
        "log-driver": "json-file",
        "log-opts": {"max-size": "10m"},
        "data-root": "/data",
        "storage-driver": "overlay2",
        "bip": "172.30.0.1/24",
        "mtu": 1450,
        "fixed-cidr": "172.30.0.0/25",
        "registry-mirrors": ["http://10.0.0.1:5000"],
        "insecure-registries": ["10.0.0.1:5000"],
        "labels": ["io.swarmops.cluster-uid=c-1", "io.swarmops.machine-uid=m-1", "zone=a"],
        "debug": True,
    }


def test_every_spec_field_is_rendered() -> None:
    """A field added to EngineSpec and forgotten here would be ignored silently."""
    assert set(EngineSpec.model_fields) == {
        "log_driver", "log_opts", "data_root", "storage_driver", "bip", "mtu", "fixed_cidr", "registry_mirrors", "insecure_registries", "labels", "extra",
    }  # fmt: skip


def test_default_holds_only_the_identity() -> None:
    assert daemon_json(EngineSpec(), "c", "m") == {"labels": ["io.swarmops.cluster-uid=c", "io.swarmops.machine-uid=m"]}


@pytest.mark.parametrize("key", ["hosts", "tls", "tlsverify", "tlscacert", "tlscert", "tlskey", "labels", "log-driver", "data-root", "mtu", "live-restore"])
def test_refused_extra_names_its_path(key: str) -> None:
    with pytest.raises(ValueError, match=rf"^spec\.engine\.extra\.{key}: "):
        daemon_json(EngineSpec(extra={key: True}), "c", "m")


@pytest.mark.parametrize("key", ["io.swarmops.machine-uid", "a=b"])
def test_refused_label_names_its_path(key: str) -> None:
    with pytest.raises(ValueError, match=r"^spec\.engine\.labels\."):
        daemon_json(EngineSpec(labels={key: "x"}), "c", "m")


def test_text_does_not_depend_on_key_order() -> None:
    one = daemon_json_text(EngineSpec(labels={"a": "1", "b": "2"}, extra={"x": 1, "y": 2}), "c", "m")
    two = daemon_json_text(EngineSpec(labels={"b": "2", "a": "1"}, extra={"y": 2, "x": 1}), "c", "m")
    assert one == two


def in_place(former: dict[str, Any], **engine: Any) -> dict[str, Any]:
    text = daemon_json_in_place(EngineSpec.model_validate(engine), "cluster", "machine", json.dumps(former))
    return dict(json.loads(text))


def test_in_place_data_stays_where_it_is() -> None:
    found = in_place({"data-root": "/old", "labels": []}, dataRoot="/new", storageDriver="overlay2", mtu=1400)
    assert found["data-root"] == "/old" and "storage-driver" not in found and found["mtu"] == 1400


def test_in_place_what_leaves_is_written_as_its_default() -> None:
    former = {"insecure-registries": ["a:5000"], "debug": True, "mtu": 1400, "max-concurrent-downloads": 9}
    found = in_place(former, insecureRegistries=["b:5000"])
    assert found["insecure-registries"] == ["b:5000"] and found["debug"] is False and found["max-concurrent-downloads"] == 3
    assert "mtu" not in found and "registry-mirrors" not in found, "a restart forgets by itself, and what was never there is not named"
    assert in_place(found, insecureRegistries=["b:5000"]) == found, "done again it is the same"


@pytest.mark.parametrize("former", ["", "[]", "{"])
def test_in_place_needs_the_former_file(former: str) -> None:
    with pytest.raises(ValueError, match=r"Expecting|not an object"):
        daemon_json_in_place(EngineSpec(), "cluster", "machine", former)


INFO = {
    "Labels": ["io.swarmops.x=1", "a=b"],
    "RegistryConfig": {
        "InsecureRegistryCIDRs": ["127.0.0.0/8", "10.0.0.0/8"],
        "IndexConfigs": {"docker.io": {"Secure": True}, "r:5000": {"Secure": False}},
        "Mirrors": ["https://mirror/"],
    },
}
SETTINGS: dict[str, Any] = {
    "labels": ["a=b", "io.swarmops.x=1"],
    "insecure-registries": ["r:5000", "10.1.2.3/8"],
    "registry-mirrors": ["https://mirror"],
    "mtu": 1400,
}


@pytest.mark.parametrize(
    ("changes", "wrong"),
    [
        ({}, ()),
        ({"labels": ["io.swarmops.x=1"]}, ("labels",)),
        ({"insecure-registries": ["r:5000"]}, ("insecure-registries",)),
        ({"registry-mirrors": []}, ("registry-mirrors",)),
        ({"insecure-registries": ["other:5000"], "labels": []}, ("labels", "insecure-registries")),
    ],
)
def test_what_an_engine_says_is_in_force(changes: dict[str, Any], wrong: tuple[str, ...]) -> None:
    assert not_in_force(SETTINGS | changes, INFO) == wrong
