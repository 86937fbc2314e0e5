"""Opens what `kubectl swarm plan` looks at: the controllers on the real adapters, with an API server that can't be written to."""

from __future__ import annotations

import logging

from swarm_operator.adapters.docker import DockerSwarms
from swarm_operator.adapters.kubernetes.api import KubernetesApi
from swarm_operator.adapters.kubernetes.login import load_configuration
from swarm_operator.adapters.kubernetes.readonly import ReadOnlyObjects
from swarm_operator.adapters.openstack import OpenStackClouds
from swarm_operator.adapters.ssh import SshHosts
from swarm_operator.cli.context import Context
from swarm_operator.cli.plan import plan
from swarm_operator.controllers.planner import Planner
from swarm_operator.controllers.service import ServiceController
from swarm_operator.controllers.session import ClusterSessions
from swarm_operator.engine.clock import SystemClock


def planned(context: Context) -> int:
    """`kubectl swarm plan`."""
    # What the libraries have to say of connections is in the plan, where it matters.
    logging.getLogger("paramiko").setLevel(logging.CRITICAL)
    clock = SystemClock()
    api = KubernetesApi(load_configuration(context.arguments.kubeconfig, context.arguments.context), connections=2)
    objects = ReadOnlyObjects(api)
    hosts = SshHosts()
    sessions = ClusterSessions(DockerSwarms(), lambda key: None, clock, follow_events=False)
    try:
        planner = Planner(objects, OpenStackClouds(clock=clock), hosts, sessions, ServiceController(objects, sessions, clock), clock)
        return plan(context, planner)
    finally:
        sessions.close()
        hosts.close()
        api.close()
