"""Where the lab keeps things, and the addresses and ports its parts agree on.

Two trees, both movable by environment variables so that the tests of the lab can run beside a lab:

* ``CACHE`` survives ``lab down``: built programs, the OpenStack virtual environment, guest root file systems, the golden database.
* ``STATE`` is one running lab: configuration, logs, pid files, database, servers, volumes. ``lab down`` removes it.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import Final

CACHE: Final = Path(os.environ.get("SWARM_LAB_CACHE") or "/var/cache/swarm-operator-lab")
STATE: Final = Path(os.environ.get("SWARM_LAB_STATE") or "/var/lib/swarm-operator-lab")

LAB_DIR: Final = Path(__file__).resolve().parent.parent
"""``deploy/lab``: the directory that goes on PYTHONPATH of everything the lab runs."""

ETC: Final = STATE / "etc"
LOG: Final = STATE / "log"
RUN: Final = STATE / "run"
SERVERS: Final = STATE / "servers"
VOLUMES: Final = STATE / "volumes"
REGISTRY: Final = STATE / "registry"
DATABASE: Final = STATE / "db"

BIN: Final = CACHE / "bin"
OPENSTACK_VENV: Final = CACHE / "openstack"
OPENSTACK_PYTHON: Final = OPENSTACK_VENV / "bin" / "python"

PREFIX: Final = "swl"
"""Every namespace, interface, chain and rule comment of the lab starts with this."""

LOOPBACK: Final = "127.0.0.1"

PORT_KUBE_APISERVER: Final = 16443
PORT_ETCD_CLIENT: Final = 12379
PORT_ETCD_PEER: Final = 12380
PORT_KEYSTONE: Final = 15000
PORT_GLANCE: Final = 19292
PORT_PLACEMENT: Final = 18778
PORT_NEUTRON: Final = 19696
PORT_NOVA: Final = 18774
PORT_NOVA_METADATA: Final = 18775
PORT_CINDER: Final = 18776
PORT_AMQP: Final = 15672
PORT_EPMD: Final = 14369
PORT_ERLANG_DISTRIBUTION: Final = 15673
PORT_REGISTRY: Final = 5000

EXTERNAL_BRIDGE: Final = "swlext"
EXTERNAL_CIDR: Final = "198.51.100.0/24"
EXTERNAL_GATEWAY: Final = "198.51.100.1"
EXTERNAL_POOL: Final = ("198.51.100.10", "198.51.100.250")
REGISTRY_ENDPOINT: Final = f"{EXTERNAL_GATEWAY}:{PORT_REGISTRY}"

METADATA_SHARED_SECRET_FILE: Final = ETC / "metadata-secret"
"""Shared by nova-metadata and the lab's metadata proxy (Nova: ``[neutron] metadata_proxy_shared_secret``)."""

CLOUDS_YAML: Final = ETC / "clouds.yaml"
KUBECONFIG: Final = ETC / "kubeconfig"
SSH_KEY: Final = ETC / "ssh" / "id_ed25519"
"""Key that ``lab ssh`` may use; its public half is in Nova as keypair ``lab``."""
