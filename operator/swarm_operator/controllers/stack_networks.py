"""Networks of stacks in the swarm: what there is, made, removed."""

from __future__ import annotations

from swarm_operator.controllers.session import ClusterSession
from swarm_operator.domain.cluster.overlays import used
from swarm_operator.domain.errors import ErrorKind, ExternalError
from swarm_operator.domain.ownership import NETWORK_LABEL_STACK
from swarm_operator.domain.stack.decide import Swarm
from swarm_operator.domain.stack.parts import StackNetwork


def swarm_of(session: ClusterSession, needed: set[str]) -> Swarm:
    """The swarm's networks, and which are in use. Raises ExternalError."""
    view = session.view(needed)
    services = [{"Spec": service.spec, "PreviousSpec": service.previous_spec} for service in session.services()]
    return Swarm(view.networks, used(services))


def remove_network(session: ClusterSession, network_id: str) -> bool:
    """False where tasks still use it. Raises ExternalError."""
    try:
        session.swarm.remove_network(network_id)
    except ExternalError as error:
        if error.kind not in (ErrorKind.INVALID, ErrorKind.FORBIDDEN):
            raise
        return False
    finally:
        session.forget_view()
    return True


def create_network(session: ClusterSession, network: StackNetwork, uid: str) -> None:
    """`uid` is the SwarmStack's: it goes into the POST. Raises ExternalError."""
    try:
        session.swarm.create_network(
            network.name,
            attachable=network.attachable,
            encrypted=False,  # among the options, where the file says so
            subnet=network.subnet,
            labels={**network.labels, NETWORK_LABEL_STACK: uid},
            internal=network.internal,
            driver_opts=dict(network.driver_opts),
        )
    finally:
        session.forget_view()
