"""Guests over ssh, through paramiko. `SshHosts` implements `ports.hosts.Hosts`."""

import logging

from swarm_operator.adapters.ssh.hosts import SshHosts

__all__ = ["SshHosts"]

# paramiko's thread logs a traceback for each server that does not answer; all of these reach the caller as ExternalError.
logging.getLogger("paramiko").setLevel(logging.CRITICAL)
