"""The script of `join: Metadata`: a worker reads manager address and token from Nova's metadata service and joins by itself.

It is text that runs on the guest with the guest's python3 (cloud-init needs one, so it is there). The token comes from metadata and goes to the engine over its unix
socket: never in user data, argv or the log.
"""

from __future__ import annotations

from typing import Final

from swarm_operator.domain.ownership import ENGINE_LABEL_MACHINE, JOIN_ADVERTISE, JOIN_MANAGER, JOIN_TOKEN

METADATA_URL: Final = "http://169.254.169.254/openstack/latest/meta_data.json"
"""OpenStack metadata service (Nova user guide, "Metadata"); server metadata is under `meta`."""

SCRIPT_PATH: Final = "/usr/local/lib/swarmops/join.py"
LOG_PATH: Final = "/var/log/swarmops-join.log"
UNIT_NAME: Final = "swarmops-join.service"
UNIT_PATH: Final = f"/etc/systemd/system/{UNIT_NAME}"

# Restart=on-failure with a pause: the script gives up on its own only after success; ordering after docker makes a reboot find the engine.
UNIT: Final = f"""\
[Unit]
Description=Join the Docker swarm named in server metadata
Wants=network-online.target
After=network-online.target docker.service

[Service]
Type=exec
ExecStart=/usr/bin/env python3 -I {SCRIPT_PATH}
StandardOutput=append:{LOG_PATH}
StandardError=append:{LOG_PATH}
Restart=on-failure
RestartSec=10

[Install]
WantedBy=multi-user.target
"""


def join_script(machine_uid: str, metadata_url: str = METADATA_URL) -> str:
    """The script's text for one machine. It waits until the engine carries the machine's label: a node that joined without it could not be told whose it is."""
    keys = {"LABEL": ENGINE_LABEL_MACHINE, "MANAGER": JOIN_MANAGER, "TOKEN": JOIN_TOKEN, "ADVERTISE": JOIN_ADVERTISE}
    words = {"URL": metadata_url, "MACHINE": machine_uid, **keys}
    text = _SCRIPT
    for name, value in words.items():
        text = text.replace(f"@{name}@", value)
    return text


_SCRIPT: Final = r'''#!/usr/bin/env python3
"""Joins this host to the Docker swarm that the server's metadata names. Safe to run again: a host that is in a swarm is left alone."""

import http.client
import json
import random
import re
import socket
import sys
import time
import urllib.request

URL = "@URL@"
LABEL = "@LABEL@=@MACHINE@"
SOCKET = "/run/docker.sock"


def log(text):
    print(time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()), re.sub(r"SWMTKN-\S+", "(token)", str(text)), flush=True)


class Engine(http.client.HTTPConnection):
    def connect(self):
        self.sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.sock.settimeout(self.timeout)
        self.sock.connect(SOCKET)


def engine(method, path, body=None, timeout=10):
    connection = Engine("docker", timeout=timeout)
    try:
        payload = None if body is None else json.dumps(body)
        connection.request(method, path, payload, {"Content-Type": "application/json", "Connection": "close"})
        answer = connection.getresponse()
        text = answer.read().decode("utf-8", "replace")
    finally:
        connection.close()
    if answer.status >= 400:
        raise RuntimeError("engine: %s %s" % (answer.status, text[:500].strip()))
    return json.loads(text) if text.strip() else None


def metadata():
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    with opener.open(URL, timeout=10) as answer:
        return json.loads(answer.read(1 << 20).decode()).get("meta") or {}


def attempt():
    """True when done, else False; raises when something went wrong."""
    info = engine("GET", "/info")
    state = (info.get("Swarm") or {}).get("LocalNodeState", "")
    if state != "inactive":
        log("swarm state of this host: " + state)
        return state == "active"
    if LABEL not in (info.get("Labels") or []):
        log("the engine does not carry this machine's label yet")
        return False
    meta = metadata()
    managers = [part.strip() for part in meta.get("@MANAGER@", "").split(",") if part.strip()]
    token = meta.get("@TOKEN@", "").strip()
    if not managers or not token:
        log("metadata names no manager and token yet")
        return False
    log("joining through " + ", ".join(managers))
    request = {"ListenAddr": "0.0.0.0:2377", "RemoteAddrs": managers, "JoinToken": token}
    if meta.get("@ADVERTISE@"):
        request["AdvertiseAddr"] = meta["@ADVERTISE@"]
    engine("POST", "/swarm/join", request, timeout=60)
    return False  # the next look at the state decides


def main():
    delay = 1.0
    while True:
        try:
            if attempt():
                log("done")
                return 0
        except Exception as error:
            log("%s: %s" % (type(error).__name__, error))
        time.sleep(delay * random.uniform(0.5, 1.0))
        delay = min(delay * 1.6, 10.0)


sys.exit(main())
'''
