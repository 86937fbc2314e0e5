"""Records, names and translations of the data plane."""

from __future__ import annotations

import hashlib
import hmac
import io
import tarfile
from pathlib import Path

import pytest

from swarmlab import paths
from swarmlab.hosts import faultswitch, metadata, network, record, registry, server, supervisor
from swarmlab_openstack import translate

UUID = "20a357c3-509e-430b-92a1-42252faebb3d"
SERVER = record.Server(
    uuid=UUID,
    name="a",
    hostname="a",
    rootfs="/r",
    nics=(record.Nic("p1", "n1", "fa:16:3e:00:00:01", ("10.0.0.5/24",), "10.0.0.1", (("10.9.0.0/16", "10.0.0.2"),)),),
    volumes=(record.Volume("v1", "/dev/vdb", "/volumes/v1"),),
)


def test_record_survives_the_file(tmp_path: Path) -> None:
    record.write(tmp_path, SERVER)
    assert record.read(tmp_path) == SERVER
    assert [p.name for p in tmp_path.iterdir()] == ["server.json"]


def test_record_of_a_newer_lab_is_read() -> None:
    assert record.loads(record.dumps(SERVER).replace('"uuid"', '"later": 1, "uuid"')) == SERVER


def test_names_fit_interfaces() -> None:
    for made in (network.network_namespace_of(UUID), network.router_namespace_of(UUID), network.host_end_of(UUID)):
        assert made.startswith(paths.PREFIX) and len(made) <= 15
    assert [record.nic_name(i) for i in (0, 1)] == ["ens3", "ens4"]


def vif(**changes: object) -> dict[str, object]:
    subnet = {
        "cidr": "10.0.0.0/24",
        "ips": [{"address": "10.0.0.5"}],
        "gateway": {"address": "10.0.0.1"},
        "routes": [{"cidr": "10.9.0.0/16", "gateway": {"address": "10.0.0.2"}}],
    }
    network_model = {"id": "n1", "meta": {"mtu": 1400}, "subnets": [subnet]}
    return {"id": "p1", "address": "fa:16:3e:00:00:01", "network": network_model, **changes}


def test_only_the_first_interface_has_the_default_route() -> None:
    first, second = translate.nics([vif(), vif(id="p2")])
    assert (first.gateway, second.gateway) == ("10.0.0.1", "")
    assert first.addresses == ("10.0.0.5/24",) and first.mtu == 1400
    assert first.routes == (("10.9.0.0/16", "10.0.0.2"),)


def test_subnet_without_gateway() -> None:
    network_model = {"id": "n1", "subnets": [{"cidr": "10.0.0.0/24", "ips": [{"address": "10.0.0.5"}], "gateway": None}]}
    (nic,) = translate.nics([vif(network=network_model)])
    assert nic.gateway == "" and nic.mtu == translate.DEFAULT_MTU


def test_volumes_of_a_server() -> None:
    info = {"driver_volume_type": "swarmlab", "data": {"path": "/volumes/v1", "volume_id": "v1"}}
    mapping = {"block_device_mapping": [{"connection_info": info, "mount_device": "/dev/vdb"}]}
    assert translate.volumes(mapping) == (record.Volume("v1", "/dev/vdb", "/volumes/v1"),)
    assert translate.volumes(None) == ()


def test_how_a_guest_ended() -> None:
    # reboot(2) in a PID namespace: SIGHUP for a restart, SIGINT for halt and power off.
    assert [supervisor._meaning(code) for code in (128 + 1, 128 + 2, 128 + 9, 0)] == ["reboot", "off", "crashed", "crashed"]


def test_state_without_any_process(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(paths, "SERVERS", tmp_path)
    directory = tmp_path / UUID
    directory.mkdir()
    record.write(directory, SERVER)
    assert server.state(UUID) == server.OFF
    (directory / "status.json").write_text('{"pid": 1, "state": "running", "boots": 1}')
    assert server.state(UUID) == server.CRASHED, "its supervisor is gone without a word"
    (directory / "dead").touch()
    assert server.state(UUID) == server.RUNNING, "killed by the fault switch: Nova is not told"


def test_build_failures_are_counted_down(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(paths, "RUN", tmp_path)
    assert faultswitch.take_build_failure() == ""
    faultswitch.write(fail_build={"text": "no disk", "count": 2})
    assert [faultswitch.take_build_failure() for _ in range(3)] == ["no disk", "no disk", ""]
    faultswitch.write(fail_build={"text": "", "count": None})
    assert [faultswitch.take_build_failure() for _ in range(2)] == [faultswitch.DEFAULT_BUILD_FAULT] * 2


def test_metadata_signature_is_the_hmac_that_nova_checks() -> None:
    assert metadata.signature("s", "i") == hmac.new(b"s", b"i", hashlib.sha256).hexdigest()


def test_an_address_is_looked_up_once_in_a_while() -> None:
    asked = []

    def lookup(network_id: str, address: str) -> tuple[str, str] | None:
        asked.append((network_id, address))
        return ("server", "project") if address == "10.0.0.5" else None

    proxy = metadata.Proxy(lookup)
    assert proxy.identify("n", "10.0.0.5") == proxy.identify("n", "10.0.0.5") == ("server", "project")
    assert proxy.identify("n", "10.0.0.6") is None and proxy.identify("n", "10.0.0.6") is None
    assert asked == [("n", "10.0.0.5"), ("n", "10.0.0.6"), ("n", "10.0.0.6")], "not found is asked again"
    assert proxy.forward("n", "10.0.0.6", "GET", "/", {}, b"")[0] == 404


def test_layers_are_reproducible_and_whole() -> None:
    files = {"bin/busybox": (b"x", 0o755), "tmp/.keep": (b"", 0o644)}
    tar = registry.layer(files, {"bin/sh": "bin/busybox"})
    assert tar == registry.layer(files, {"bin/sh": "bin/busybox"})
    with tarfile.open(fileobj=io.BytesIO(tar)) as archive:
        members = {m.name: m for m in archive.getmembers()}
    assert list(members) == ["bin", "bin/busybox", "tmp", "tmp/.keep", "bin/sh"]
    assert members["bin/sh"].islnk() and members["tmp"].mode == 0o1777
