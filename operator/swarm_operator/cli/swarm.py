"""Commands that ask a swarm itself, by its Docker API: `ps`, `top`, `drain`, `undrain`, `logs`.

They need the right to read the Secret `<cluster>-docker-tls`, and a way to the managers. Does not: change services (the operator does).
"""

from __future__ import annotations

import time
from collections import Counter
from datetime import UTC, datetime
from typing import Any, Final

from swarm_operator.cli import output
from swarm_operator.cli.context import Context, Engine, missing, wrong
from swarm_operator.cli.output import Cell, Column, Row
from swarm_operator.domain.ownership import NODE_LABEL_DRAINED

Json = dict[str, Any]
RUNNING: Final = frozenset({"running", "complete"})
FAILED: Final = frozenset({"failed", "rejected", "orphaned"})
ENDED: Final = frozenset({"complete", "shutdown", "failed", "rejected", "remove", "orphaned"})
POLL_SECONDS: Final = 1.0
_STATES: Final = {"ready": "green", "active": "green", "down": "red", "disconnected": "red", "drain": "yellow", "pause": "yellow"}


def ps(context: Context) -> int:
    """Tasks of a service with their nodes and errors, those that shall run first, newest first within a slot."""
    service, cluster = _service(context)
    with context.engine(cluster) as engine:
        hosts = {node["ID"]: _hostname(node) for node in engine.nodes()}
        tasks = engine.tasks(_id(service))
    if context.arguments.current:
        tasks = [task for task in tasks if task.get("DesiredState") in ("running", "ready", "complete")]
    tasks = sorted(tasks, key=lambda task: task["CreatedAt"], reverse=True)
    tasks = sorted(tasks, key=lambda task: (task.get("Slot") or 0, hosts.get(task.get("NodeID") or "", "")))
    name = service["metadata"]["name"]
    rows = [_task_row(name, task, hosts) for task in tasks]
    columns = [*(Column(t) for t in ("TASK", "NODE", "DESIRED", "STATE", "SINCE", "ERROR")), Column("ID", wide=True), Column("IMAGE", wide=True)]
    output.write(context.out, context.arguments.output, columns, rows, tasks, context.style, empty=f"No tasks of service {name}")
    return 0


def top(context: Context) -> int:
    """Machines with what their tasks have reserved, of what there is."""
    cluster = context.cluster(context.arguments.name)
    with context.engine(cluster) as engine:
        nodes, tasks = engine.nodes(), engine.tasks()
    machines = {node.get("nodeID"): node["name"] for node in (cluster.get("status") or {}).get("nodes") or []}
    here = Counter(task.get("NodeID") for task in tasks if _runs(task))
    failing = Counter(task.get("NodeID") for task in tasks if (task.get("Status") or {}).get("State") in FAILED)
    rows: list[Row] = []
    documents = []
    for node in sorted(nodes, key=lambda found: (found["Spec"]["Role"], _hostname(found))):
        resources = (node.get("Description") or {}).get("Resources") or {}
        own = [task for task in tasks if task.get("NodeID") == node["ID"] and _runs(task)]
        cpus, memory = _reserved(own, "NanoCPUs"), _reserved(own, "MemoryBytes")
        name, state, availability = machines.get(node["ID"]) or _hostname(node), node["Status"]["State"], node["Spec"]["Availability"]
        role = "leader" if (node.get("ManagerStatus") or {}).get("Leader") else node["Spec"]["Role"]
        documents.append(
            {
                "machine": name,
                "nodeID": node["ID"],
                "role": role,
                "state": state,
                "availability": availability,
                "runningTasks": here[node["ID"]],
                "failedTasks": failing[node["ID"]],
                "reservedNanoCPUs": cpus,
                "reservedMemoryBytes": memory,
                "nanoCPUs": resources.get("NanoCPUs", 0),
                "memoryBytes": resources.get("MemoryBytes", 0),
            }
        )
        rows.append(
            [
                name,
                role,
                Cell(state, _STATES.get(state, "yellow")),
                Cell(availability, _STATES.get(availability, "yellow")),
                str(here[node["ID"]]),
                Cell(str(failing[node["ID"]]), "red" if failing[node["ID"]] else "dim"),
                f"{cpus / 1e9:g}/{resources.get('NanoCPUs', 0) / 1e9:g}",
                f"{_mib(memory)}/{_mib(resources.get('MemoryBytes', 0))}",
                str((node.get("Description") or {}).get("Engine", {}).get("EngineVersion", "")),
                str(node["Status"].get("Addr", "")),
            ]
        )
    titles = ("MACHINE", "ROLE", "STATE", "AVAILABILITY", "RUNNING", "FAILED", "CPUS RESERVED", "MIB RESERVED")
    columns = [*(Column(t) for t in titles), Column("ENGINE", wide=True), Column("ADDRESS", wide=True)]
    output.write(context.out, context.arguments.output, columns, rows, documents, context.style, empty="No nodes")
    return 0


def drain(context: Context) -> int:
    """Set a node's availability to drain: its tasks go elsewhere. The operator leaves a drain that is not its own alone."""
    cluster, machine = context.machine(context.arguments.machine, context.arguments.cluster)
    with context.engine(cluster) as engine:
        node = _node(engine, machine)
        if node["Spec"]["Availability"] != "drain":
            engine.set_availability(node["ID"], "drain")
        context.out.write(f"machine {machine['name']} is being drained\n")
        if context.arguments.wait:
            _until_empty(context, engine, node["ID"], machine["name"])
    return 0


def undrain(context: Context) -> int:
    """Set a node's availability to active."""
    cluster, machine = context.machine(context.arguments.machine, context.arguments.cluster)
    with context.engine(cluster) as engine:
        node = _node(engine, machine)
        if NODE_LABEL_DRAINED in (node["Spec"].get("Labels") or {}):
            raise wrong(f"the operator itself drains machine {machine['name']}: it is replaced or removed, or managers are not schedulable")
        if node["Spec"]["Availability"] != "active":
            engine.set_availability(node["ID"], "active")
        context.out.write(f"machine {machine['name']} takes tasks\n")
    return 0


def logs(context: Context) -> int:
    """What the tasks of a service write, each line under the name of its task and node."""
    arguments = context.arguments
    service, cluster = _service(context)
    name = service["metadata"]["name"]
    since = 0 if arguments.since is None else int(time.time() - arguments.since)
    with context.engine(cluster) as engine:
        hosts = {node["ID"]: _hostname(node) for node in engine.nodes()}
        slots = {task["ID"]: _task_name(name, task, hosts) for task in engine.tasks(_id(service))}
        for line in engine.logs(_id(service), follow=arguments.follow, tail=arguments.tail, since=since, times=arguments.timestamps):
            if line.task_id and line.task_id not in slots:  # it began meanwhile
                slots |= {task["ID"]: _task_name(name, task, hosts) for task in engine.tasks(_id(service))}
            node = hosts.get(line.node_id, line.node_id)
            prefix = "" if arguments.raw else f"{context.style('dim', f'{slots.get(line.task_id, line.task_id[:12])}@{node}')} | "
            stamp = f"{line.time} " if line.time else ""
            target = context.out if line.stream == "stdout" else context.err
            target.write(f"{prefix}{stamp}{line.text}\n")
            target.flush()
    return 0


def _service(context: Context) -> tuple[Json, Json]:
    """The service and its cluster. NOT_FOUND while the swarm has no such service."""
    service = context.service(context.arguments.service)
    if not (service.get("status") or {}).get("serviceID"):
        raise missing(f"service {context.namespace}/{service['metadata']['name']} is not in the swarm yet")
    return service, context.cluster(service["spec"]["clusterRef"]["name"])


def _id(service: Json) -> str:
    return str(service["status"]["serviceID"])


def _node(engine: Engine, machine: Json) -> Json:
    """The machine's node. NOT_FOUND where it is none."""
    found = next((node for node in engine.nodes() if node["ID"] == machine.get("nodeID")), None)
    if found is None:
        raise missing(f"machine {machine['name']} is not a node of the swarm: {machine['phase']} {machine.get('message', '')}".rstrip())
    return found


def _until_empty(context: Context, engine: Engine, node_id: str, name: str) -> None:
    """Wait until no task of a service that can move runs there. A task without a slot is a global service's: those are stopped by a drain too, and counted."""
    until = time.monotonic() + context.arguments.timeout
    said = -1
    while True:
        left = sum(1 for task in engine.tasks() if task.get("NodeID") == node_id and (task.get("Status") or {}).get("State") not in ENDED)
        if left == 0:
            context.out.write(f"machine {name} is empty\n")
            return
        if time.monotonic() > until:
            raise wrong(f"machine {name} still has {left} task(s) after {context.arguments.timeout:g} s")
        if left != said:
            context.err.write(f"{left} task(s) left\n")
            said = left
        time.sleep(POLL_SECONDS)


def _task_row(name: str, task: Json, hosts: dict[str, str]) -> Row:
    status, node = task.get("Status") or {}, task.get("NodeID") or ""
    state = status.get("State", "")
    colour = "green" if state in RUNNING else "red" if state in FAILED else "dim" if state in ENDED else "yellow"
    error = status.get("Err") or (status.get("Message", "") if state == "pending" else "")
    image = ((task.get("Spec") or {}).get("ContainerSpec") or {}).get("Image", "")
    host = hosts.get(node, node) or "-"
    return [_task_name(name, task, hosts), host, task.get("DesiredState", ""), Cell(state, colour), _ago(status.get("Timestamp", "")), error, task["ID"], image]


def _task_name(service: str, task: Json, hosts: dict[str, str]) -> str:
    """As `docker service ps` has it: by slot, tasks of global services by node."""
    node = task.get("NodeID") or ""
    return f"{service}.{task.get('Slot') or hosts.get(node, node) or '?'}"


def _hostname(node: Json) -> str:
    return str((node.get("Description") or {}).get("Hostname") or node["ID"])


def _runs(task: Json) -> bool:
    return bool((task.get("Status") or {}).get("State") == "running")


def _reserved(tasks: list[Json], what: str) -> int:
    return sum(int((((task.get("Spec") or {}).get("Resources") or {}).get("Reservations") or {}).get(what) or 0) for task in tasks)


def _mib(size: int) -> str:
    return str(round(size / 2**20))


def _ago(stamp: str) -> str:
    """How long ago, in the largest unit. The engine writes nanoseconds, of which Python reads six digits."""
    head, _, fraction = stamp.rstrip("Z").partition(".")
    try:
        at = datetime.fromisoformat(f"{head}.{(fraction or '0')[:6].ljust(6, '0')}+00:00")
    except ValueError:
        return stamp
    seconds = max(0, int((datetime.now(UTC) - at).total_seconds()))
    unit, size = next(((u, s) for u, s in (("d", 86400), ("h", 3600), ("m", 60)) if seconds >= 2 * s), ("s", 1))
    return f"{seconds // size}{unit}"
