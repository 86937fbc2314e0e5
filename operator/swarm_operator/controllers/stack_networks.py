"""Networks of stacks in the swarm: what there is, made, removed."""

from __future__ import annotations

from swarm_operator.controllers.session import ClusterSession
from swarm_operator.domain.cluster.overlays import used
from swarm_operator.domain.errors import ErrorKind, ExternalError
from swarm_operator.domain.ownership import NETWORK_LABEL_STACK
from swarm_operator.domain.stack.decide import Swarm
from swarm_operator.domain.stack.parts import StackNetwork


def swarm_of(session: ClusterSession, needed: set[str], uid: str) -> Swarm:
    """The swarm's networks, a short while old at most; read anew where one of `needed` is not there. Where one of the stack's is not needed, all is asked for anew, with what is in
    use. Raises ExternalError."""
    networks = session.view(needed).networks
    if all(network.name in needed or network.labels.get(NETWORK_LABEL_STACK) != uid for network in networks):
        return Swarm(networks)
    return fresh_swarm(session)


def fresh_swarm(session: ClusterSession) -> Swarm:
    """Networks and what is in use, asked for anew: what is taken for unused, or for used by others, must not be what was there a moment ago. Raises ExternalError."""
    session.forget_view()
    return Swarm(session.view().networks, used(session.swarm.list_services()))


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
