"""Settings of engines that live, by what `domain.cluster.engine_rollout` decided."""

from __future__ import annotations

import json

from swarm_operator.api.reasons import Reason
from swarm_operator.api.rollout import HaltedRollout
from swarm_operator.bootstrap.engine import DAEMON_JSON_PATH, daemon_json_in_place, not_in_force
from swarm_operator.controllers.cluster_act import Action
from swarm_operator.controllers.perform.registry import performs
from swarm_operator.controllers.perform.rotation import unlock_machine
from swarm_operator.domain.cluster import steps as s
from swarm_operator.domain.cluster.guests import ENGINE_LOCKED
from swarm_operator.domain.cluster.template import ENGINE, under_way
from swarm_operator.domain.errors import ErrorKind, ExternalError
from swarm_operator.domain.ownership import NODE_LABEL_DRAINED, NODE_LABEL_ENGINE
from swarm_operator.ports.hosts import Host


@performs(s.ReloadEngine, s.DrainForEngine, s.RestartEngine)
def _engine(action: Action, step: s.EngineStep) -> None:
    name, host = step.machine.server_name(action.name), action.gathered.logins.open(step.machine_uid)
    settings = _settings(action, step, host, name)
    if isinstance(step, s.DrainForEngine):
        try:
            host.apply_engine_settings(settings.encode(), "check")
        except ExternalError as error:
            _refused(action, step, name, error)
            return
        node = step.node.value
        labels = {**node.labels, NODE_LABEL_DRAINED: step.at, NODE_LABEL_ENGINE: node.availability}
        action.swarm.update_node(node.id, node.version, role=node.role, availability="drain", labels=labels)
        action.objects.event(action.resource, Reason.NODES_DRAINING, f"node {node.hostname}: {step.because}")
        return
    _change(action, step, host, settings, name)


def _change(action: Action, step: s.EngineStep, host: Host, settings: str, name: str) -> None:
    """The mark goes before the file is touched and comes back when the engine has it in force: a crash between the two is followed by another change, which is harmless."""
    server, restart = step.evidence.value, isinstance(step, s.RestartEngine)
    former = server.metadata.get(ENGINE, "")
    action.cloud.update_server_metadata(server.id, {ENGINE: under_way(former, restart=restart)})
    try:
        host.apply_engine_settings(settings.encode(), "restart" if restart else "reload")
    except ExternalError as error:
        _refused(action, step, name, error)
        action.cloud.update_server_metadata(server.id, {ENGINE: former})
        return
    if restart and step.machine.role == "Manager" and host.engine_info().local_state == ENGINE_LOCKED:
        unlock_machine(action, step.machine_uid, name)
    if wrong := not_in_force(json.loads(settings), host.engine_request("GET", "/info")):
        raise ExternalError(ErrorKind.TRANSIENT, "docker", f"{name}: the engine does not have in force: {', '.join(wrong)}", reason=Reason.ENGINE_FAILED)
    action.cloud.update_server_metadata(server.id, {ENGINE: step.mark})
    done = "was restarted with its new settings" if restart else "has its new settings, without a restart"
    action.objects.event(action.resource, Reason.UPDATED, f"the engine of {name} {done}")


def _settings(action: Action, step: s.EngineStep, host: Host, name: str) -> str:
    found = host.run(["cat", DAEMON_JSON_PATH], sudo=True)
    try:
        return daemon_json_in_place(action.spec.engine, action.uid, step.machine_uid, found.stdout)
    except ValueError as error:
        # Its content is nobody's to see in a message.
        text = str(error) if str(error).startswith("spec.") else f"{DAEMON_JSON_PATH} of {name} is missing or no JSON object"
        raise ExternalError(ErrorKind.TRANSIENT, "ssh", text, reason=Reason.ENGINE_FAILED) from error


def _refused(action: Action, step: s.EngineStep, name: str, error: ExternalError) -> None:
    """The engine does not take the settings: no other shall be asked. Written down at once; the rollout is halted until the spec changes. Other errors are raised again."""
    if error.kind is not ErrorKind.INVALID or error.reason is not Reason.ENGINE_FAILED:
        raise error
    halt = HaltedRollout(spec_hash=step.spec_hash, machine=name, message=f"{name}: {error.message}"[:1024], since=action.now())
    rollout = action.status.rollout.model_copy(update={"state": "Halted", "halted": halt, "message": halt.message})
    action.status = action.status.model_copy(update={"rollout": rollout})
    action.write_status()
    action.objects.event(action.resource, Reason.ROLLOUT_HALTED, halt.message, warning=True)
