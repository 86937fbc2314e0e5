"""Configs that Ignition takes, and configs that it does not: each of those with the path of what is wrong. Ignition's own validator judges both.

Written after Ignition's specifications.
"""

from __future__ import annotations

import json
import subprocess
from pathlib import Path
from typing import Any

import pytest

from swarm_operator.api.boot_documents.ignition import ignition_problems
from swarm_operator.api.user_data import UserDataError, parse_additions


def config(**sections: Any) -> dict[str, Any]:
    return {"ignition": {"version": "3.3.0"}, **sections}


SOURCE = {
    "source": "https://files.example/a",
    "compression": "gzip",
    "httpHeaders": [{"name": "A", "value": "b"}, {"name": "B"}],
    "verification": {"hash": "sha256-" + "a" * 64},
}
DISK = "/dev/disk/by-id/virtio-data"
GOOD_IGNITION: list[dict[str, Any]] = [
    config(),
    config(storage=None, passwd={}, systemd={"units": None}),
    {
        "ignition": {
            "version": "3.3.0",
            "config": {"merge": [SOURCE], "replace": {"source": None}},
            "timeouts": {"httpResponseHeaders": 20, "httpTotal": 0},
            "security": {"tls": {"certificateAuthorities": [{"source": "https://ca.example/a.pem"}, {"source": "s3://bucket/b.pem"}]}},
            "proxy": {"httpProxy": "http://proxy.example", "httpsProxy": "https://proxy.example", "noProxy": ["10.0.0.0/8", "*.example"]},
        }
    },
    config(
        storage={
            "disks": [
                {
                    "device": DISK,
                    "wipeTable": True,
                    "partitions": [
                        {
                            "label": "data",
                            "number": 0,
                            "sizeMiB": 100,
                            "startMiB": 0,
                            "typeGuid": "0FC63DAF-8483-4772-8E79-3D69D8477DE4",
                            "guid": "",
                            "wipePartitionEntry": True,
                        },
                        {"number": 3, "label": "rest", "resize": True, "shouldExist": True},
                    ],
                }
            ],
            "raid": [{"name": "md", "level": "raid1", "devices": [DISK, "/dev/vdc"], "spares": 1, "options": ["--bitmap=none"]}],
            "filesystems": [
                {
                    "device": DISK,
                    "format": "ext4",
                    "path": "/var",
                    "label": "var",
                    "uuid": "x",
                    "wipeFilesystem": True,
                    "options": ["-K"],
                    "mountOptions": ["noatime"],
                },
                {"device": "/dev/vdd", "format": "none", "wipeFilesystem": True},
                {"device": "/dev/vde"},
            ],
            "files": [
                {"path": "/etc/a", "overwrite": True, "contents": SOURCE, "mode": 420, "user": {"id": 0}, "group": {"name": "adm"}},
                {"path": "/etc/b", "append": [{"source": "data:;base64,aGVsbG8="}, SOURCE], "mode": 0},
                {"path": "/etc/c", "contents": {"source": "", "compression": ""}},
            ],
            "directories": [{"path": "/opt/d", "mode": 493, "overwrite": False}],
            "links": [{"path": "/etc/l", "target": "../x", "hard": False, "user": {"name": "core"}}],
            "luks": [
                {
                    "name": "crypt",
                    "device": DISK,
                    "keyFile": {"source": "data:,key"},
                    "label": "l",
                    "uuid": "u",
                    "options": ["--pbkdf"],
                    "wipeVolume": True,
                    "clevis": {"tang": [{"url": "https://tang.example", "thumbprint": "t"}], "tpm2": True, "threshold": 2},
                },
                {"name": "other", "device": "/dev/vdf", "clevis": {"custom": {"pin": "sss", "config": "{}", "needsNetwork": True}}},
            ],
        }
    ),
    config(storage={"disks": [{"device": DISK, "partitions": [{"number": 2, "shouldExist": False}]}]}),
    config(
        systemd={
            "units": [
                {"name": "a.service", "enabled": True, "contents": "[Service]\nExecStart=/bin/true\n[Install]\nWantedBy=multi-user.target\n"},
                {"name": "b.timer", "mask": True},
                {"name": "docker.service", "dropins": [{"name": "10-own.conf", "contents": "[Service]\nNice=1\n"}, {"name": "20-empty.conf"}]},
            ]
        }
    ),
    config(
        passwd={
            "users": [
                {
                    "name": "ada",
                    "passwordHash": "$6$x",
                    "sshAuthorizedKeys": ["ssh-ed25519 A"],
                    "uid": 1500,
                    "gecos": "Ada",
                    "homeDir": "/home/ada",
                    "noCreateHome": False,
                    "primaryGroup": "ada",
                    "groups": ["docker"],
                    "noUserGroup": True,
                    "noLogInit": True,
                    "shell": "/bin/sh",
                    "shouldExist": True,
                    "system": False,
                }
            ],
            "groups": [{"name": "g", "gid": 1600, "passwordHash": "!", "shouldExist": True, "system": True}],
        },
        kernelArguments={"shouldExist": ["quiet"], "shouldNotExist": ["mitigations=off"]},
    ),
]


@pytest.mark.parametrize("document", GOOD_IGNITION)
def test_what_ignition_takes_is_taken(document: dict[str, Any]) -> None:
    parse_additions(json.dumps(document), "Ignition")


def files(**entry: Any) -> dict[str, Any]:
    return config(storage={"files": [{"path": "/a", **entry}]})


BAD_IGNITION: list[tuple[dict[str, Any], str]] = [
    (config(storage=[]), "storage: must be a mapping, not a list"),
    (config(storage={"files": {"path": "/a"}}), "storage.files: must be a list, not a mapping"),
    (config(storage={"files": ["/a"]}), "storage.files[0]: must be a mapping, not a string"),
    (config(storage={"files": [{"mode": 420}]}), "storage.files[0].path: is required"),
    (config(storage={"file": []}), "storage.file: is not known; `files` is"),
    (config(system={}), "system: is not known; `systemd` is"),
    (config(networkd={}), "networkd: is not known here"),
    (files(path="a"), "storage.files[0].path: must be an absolute path"),
    (files(mode="0644"), "storage.files[0].mode: must be a whole number, not a string"),
    (files(mode=420.5), "storage.files[0].mode: must be a whole number, not a number"),
    (files(mode=4096), "storage.files[0].mode: must be a mode as a decimal number, from 0 to 4095 (0644 is 420)"),
    (files(overwrite=True), "storage.files[0]: must have `contents.source` where `overwrite` is true"),
    (files(overwrite="yes"), "storage.files[0].overwrite: must be true or false, not a string"),
    (files(contents="hello"), "storage.files[0].contents: must be a mapping, not a string"),
    (
        files(contents={"source": "file:///etc/passwd"}),
        "storage.files[0].contents.source: must be a URL whose scheme is one of http, https, tftp, s3, arn, gs, data (after `data:` comes a comma)",
    ),
    (files(contents={"source": "data:,", "compression": "xz"}), "storage.files[0].contents.compression: must be `gzip` or empty"),
    (
        files(contents={"source": "data:,", "verification": {"hash": "md5-1"}}),
        "storage.files[0].contents.verification.hash: must be `sha512-` or `sha256-` and so many hexadecimal digits",
    ),
    (files(append=[{"inline": "x"}]), "storage.files[0].append[0].inline: is not known here"),
    (files(user={"id": 1, "name": "a"}), "storage.files[0].user: must not have both `id` and `name`"),
    (files(user={"id": "1"}), "storage.files[0].user.id: must be a whole number, not a string"),
    (config(storage={"files": [{"path": "/a"}], "links": [{"path": "/a", "target": "b"}]}), "storage: must not make a path twice, as file, directory or link"),
    (config(storage={"links": [{"path": "/a"}]}), "storage.links[0].target: is required"),
    (
        config(storage={"disks": [{"device": DISK, "partitions": [{"sizeMib": 1, "number": 1}]}]}),
        "storage.disks[0].partitions[0].sizeMib: is not known; `sizeMiB` is",
    ),
    (config(storage={"disks": [{"device": DISK, "partitions": [{}]}]}), "storage.disks[0].partitions[0]: must have a `label`, or a `number` that is not 0"),
    (
        config(storage={"disks": [{"device": DISK, "partitions": [{"number": 1}, {"number": 1}]}]}),
        "storage.disks[0]: must have partitions that differ in `number`",
    ),
    (
        config(storage={"filesystems": [{"device": DISK, "format": "ntfs"}]}),
        "storage.filesystems[0].format: must be one of `ext4`, `btrfs`, `xfs`, `swap`, `vfat`, `none`",
    ),
    (config(storage={"filesystems": [{"device": DISK, "path": "/x"}]}), "storage.filesystems[0]: must have a `format`"),
    (
        config(storage={"raid": [{"name": "a", "level": "raid7", "devices": []}]}),
        "storage.raid[0].level: must be a RAID level such as `raid1`; storage.raid[0].devices: must have at least 1 entries",
    ),
    (config(storage={"luks": [{"name": "a", "device": DISK, "discard": True}]}), "storage.luks[0].discard: needs version 3.4.0 or later"),
    (
        config(storage={"luks": [{"name": "a", "device": DISK, "clevis": {"custom": {"pin": "tpm2"}}}]}),
        "storage.luks[0].clevis.custom: must have both `pin` and `config`",
    ),
    ({"ignition": {"version": "3.0.0"}, "kernelArguments": {}}, "kernelArguments: needs version 3.3.0 or later"),
    ({"ignition": {"version": "3.3.0", "config": {"merge": [{}]}}}, "ignition.config.merge[0].source: is required"),
    ({"ignition": {"version": "3.3.0", "timeouts": {"httpTotal": "1s"}}}, "ignition.timeouts.httpTotal: must be a whole number, not a string"),
    ({"ignition": {"version": "3.3.0", "proxy": {"httpProxy": "proxy:80"}}}, "ignition.proxy.httpProxy: must be a URL that begins with http:// or https://"),
    (config(systemd={"units": [{"name": "a"}]}), "systemd.units[0].name: must end as units do, with `.service` for instance"),
    (config(systemd={"units": [{"name": "a.service", "enable": True}]}), "systemd.units[0].enable: is not known; `enabled` is"),
    (config(systemd={"units": [{"name": "a.service", "dropins": [{"name": "x"}]}]}), "systemd.units[0].dropins[0].name: must end with `.conf`"),
    (
        config(systemd={"units": [{"name": "a.service"}, {"name": "a.service"}]}),
        "systemd.units: must have a different `name` in each entry; those of entries 0 and 1 are the same",
    ),
    (config(passwd={"users": [{"name": "a", "sshAuthorizedKey": []}]}), "passwd.users[0].sshAuthorizedKey: is not known; `sshAuthorizedKeys` is"),
    (config(passwd={"users": [{"name": "a", "sshAuthorizedKeys": ["k", "k"]}]}), "passwd.users[0].sshAuthorizedKeys: must not hold a key twice"),
    (config(passwd={"groups": [{"name": "a", "gid": "7"}]}), "passwd.groups[0].gid: must be a whole number, not a string"),
    (config(kernelArguments={"shouldExist": "quiet"}), "kernelArguments.shouldExist: must be a list, not a string"),
]


@pytest.mark.parametrize(("document", "message"), BAD_IGNITION)
def test_what_ignition_does_not_take_is_told_with_its_path(document: dict[str, Any], message: str) -> None:
    with pytest.raises(UserDataError) as error:
        parse_additions(json.dumps(document), "Ignition")
    assert str(error.value) == message


def test_a_version_of_ignition_that_is_newer_than_the_models_may_have_more_keys() -> None:
    document = {"ignition": {"version": "3.9.0", "later": 1}, "storage": {"files": [{"path": "/a", "mode": "x", "pathh": 1}]}, "more": {}}
    assert ignition_problems(document, 9) == ["storage.files[0].pathh: is not known; `path` is", "storage.files[0].mode: must be a whole number, not a string"]


def judged(validator: Path, document: dict[str, Any]) -> tuple[bool, str]:
    done = subprocess.run([str(validator)], input=json.dumps(document), capture_output=True, text=True, check=False)
    return done.returncode == 0, done.stdout


def test_ignition_itself_takes_and_refuses_the_same(ignition_validator: Path) -> None:
    for document in GOOD_IGNITION:
        taken, report = judged(ignition_validator, document)
        assert taken, report
    for document, message in BAD_IGNITION:
        taken, report = judged(ignition_validator, document)
        # Of keys that it does not know Ignition only warns.
        assert not taken or ("Unused key" in report and ("is not known" in message or "needs version" in message)), (message, report)
