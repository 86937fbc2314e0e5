"""What is done on a guest over ssh: keys pinned, engine configured, swarm made or joined."""

from __future__ import annotations

from swarm_operator.api.cluster_status import RecoveryStatus
from swarm_operator.api.reasons import Reason
from swarm_operator.controllers.cluster_act import Action
from swarm_operator.controllers.cluster_guests import configure_engine
from swarm_operator.controllers.image_preload import load_images
from swarm_operator.controllers.perform.registry import performs
from swarm_operator.domain.cluster import steps as s
from swarm_operator.domain.errors import ErrorKind, ExternalError
from swarm_operator.domain.ownership import NODE_LABEL_DRAINED, NODE_LABEL_PRELOADED, SWARM_STARTED
from swarm_operator.ports.hosts import SwarmInit


@performs(s.PinHostKeys, s.ConfigureEngine, s.InitSwarm, s.JoinNode, s.JoinManager, s.PreloadImages)
def _guest(action: Action, step: s.GuestStep) -> None:
    logins = action.gathered.logins
    match step:
        case s.PinHostKeys(_, uid, keys):
            action.set_machine(uid, host_keys=list(keys))
        case s.ConfigureEngine(machine, uid, addresses):
            tls = action.gathered.secrets.tls
            if tls is None:
                raise ExternalError(ErrorKind.CONFLICT, "ssh", "there is no certificate authority yet", reason=Reason.MANAGER_BOOTSTRAPPING)
            expires = configure_engine(logins.open(uid), tls, machine.server_name(action.name), addresses, action.clock.now())
            action.set_machine(uid, engine_configured=True, engine_certificate_expires=expires)
        case s.InitSwarm(_, uid, server_id, advertise):
            _init_swarm(action, uid, server_id, advertise)
        case s.JoinNode(_, uid, advertise, managers, leave_first, drained):
            host = logins.open(uid)
            token = action.swarm.join_token("manager" if isinstance(step, s.JoinManager) else "worker")
            if isinstance(step, s.JoinManager):
                action.cloud.update_server_metadata(step.server_id, {SWARM_STARTED: "started"})
            if leave_first:
                host.swarm_leave(force=True)
            host.swarm_join(list(managers), token, advertise, drained=drained)
            if isinstance(step, s.JoinManager):
                action.objects.event(action.resource, Reason.CREATED, f"manager {step.machine.server_name(action.name)} has joined")
        case s.PreloadImages():
            _preload(action, step)
        case _:
            raise AssertionError(f"no way to perform {step}")


@performs(s.RecoverSwarm)
def _recover_swarm(action: Action, step: s.RecoverSwarm) -> None:
    """The approval is used up before the swarm is touched: a failure is not repeated without another one."""
    wanted, host, name = action.spec.swarm, action.gathered.logins.open(step.machine_uid), step.machine.server_name(action.name)
    _note_recovery(action, done_for=step.approval, done_at=action.now(), from_manager=name, services=None)
    action.write_status()
    action.objects.event(action.resource, Reason.RECOVERED, f"the swarm is being made anew from {name}", warning=True)
    pools = tuple(wanted.default_addr_pools)
    host.swarm_init(SwarmInit(step.advertise, pools, wanted.subnet_size, wanted.data_path_port, wanted.task_history_limit, force_new_cluster=True))
    services = len(host.engine_request("GET", "/services") or ())
    _note_recovery(action, lost_since=None, services=services)
    action.objects.event(action.resource, Reason.RECOVERED, f"the swarm is made anew from {name}, with {services} services")


def _note_recovery(action: Action, **changes: object) -> None:
    former = action.status.recovery or RecoveryStatus()
    action.status = action.status.model_copy(update={"recovery": former.model_copy(update=changes)})


def _init_swarm(action: Action, machine_uid: str, server_id: str, advertise: str) -> None:
    wanted, host = action.spec.swarm, action.gathered.logins.open(machine_uid)
    action.cloud.update_server_metadata(server_id, {SWARM_STARTED: "started"})
    init = SwarmInit(advertise, tuple(wanted.default_addr_pools), wanted.subnet_size, wanted.data_path_port, wanted.task_history_limit)
    try:
        node_id = host.swarm_init(init)
    except ExternalError as error:
        # Part of a swarm already: an earlier answer was lost. The next observation shows it.
        if error.kind is ErrorKind.CONFLICT:
            return
        raise
    action.set_machine(machine_uid, node_id=node_id, engine_configured=True)
    action.objects.event(action.resource, Reason.CREATED, f"swarm, first manager {advertise}")


def _preload(action: Action, step: s.PreloadImages) -> None:
    logins, node, name = action.gathered.logins.apart(), step.evidence.value, step.machine.server_name(action.name)
    if step.hold:
        action.swarm.update_node(node.id, node.version, role=node.role, availability="drain", labels=dict(node.labels))
        return
    if not action.transfers.run(f"preload/{step.machine_uid}/{step.digest}", lambda: load_images(logins, step.machine_uid, step.images, step.sources)):
        return
    first = NODE_LABEL_PRELOADED not in node.labels and NODE_LABEL_DRAINED not in node.labels
    availability = "active" if first and node.availability == "drain" else node.availability
    labels = {**node.labels, NODE_LABEL_PRELOADED: step.digest}
    action.swarm.update_node(node.id, node.version, role=node.role, availability=availability, labels=labels)
    action.objects.event(action.resource, Reason.UPDATED, f"{name} has its {len(step.images)} Docker images")
