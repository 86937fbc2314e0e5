"""Observing a SwarmCluster: what is cheap always, what is dear only when a decision may need it."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from functools import partial
from typing import TypeVar

from swarm_operator.api.base import FINALIZER
from swarm_operator.api.cluster_status import MachinePhase, SwarmClusterStatus
from swarm_operator.api.reasons import Reason
from swarm_operator.bootstrap import raft_log
from swarm_operator.bootstrap.console import parse_host_keys
from swarm_operator.bootstrap.tls import needs_renewal
from swarm_operator.controllers.cluster_facts import (
    SSH_PRIVATE,
    SSH_PUBLIC,
    TLS_KEYS,
    Gathered,
    SecretContents,
    Sessions,
    SlowFacts,
    ssh_secret_name,
    tls_secret_name,
)
from swarm_operator.controllers.cluster_guests import GuestLogins, tls_in_force
from swarm_operator.controllers.cluster_references import machine_references, network_references
from swarm_operator.controllers.cluster_unlock import read_facts
from swarm_operator.controllers.pools import look_at_tasks, needing_references
from swarm_operator.domain.cloud import Image, Port, Volume
from swarm_operator.domain.cluster import backup, images, overlays, preload
from swarm_operator.domain.cluster.adoption import observing, owner_uid
from swarm_operator.domain.cluster.engine_rollout import to_reach
from swarm_operator.domain.cluster.engine_tls import certificates_due
from swarm_operator.domain.cluster.floating_ips import given_addresses
from swarm_operator.domain.cluster.floors import ServiceLoad, loads
from swarm_operator.domain.cluster.guest_volumes import DATA_ROOT, declares_volumes, mounts_to_look_at, settled, to_look_at
from swarm_operator.domain.cluster.guests import ENGINE_PORT, ENGINE_SILENT, certified_address, fixed_address, is_up, reachable_address, to_ask
from swarm_operator.domain.cluster.machines import GONE_STATUSES, Machine, MachineTable, current, pools, tabulate
from swarm_operator.domain.cluster.observation import NOT_LOOKED_AT, ClusterObservation, Guest, MachineReferences, Secrets
from swarm_operator.domain.cluster.pools import PoolMerge
from swarm_operator.domain.cluster.remediation import to_probe
from swarm_operator.domain.cluster.server_groups import usage_matters
from swarm_operator.domain.cluster.standing import is_changing, standings
from swarm_operator.domain.cluster.template import Wanted
from swarm_operator.domain.errors import ErrorKind, ExternalError
from swarm_operator.domain.facts import Fact, Known, Unknown
from swarm_operator.domain.ownership import NODE_LABEL_DRAINED, keypair_name
from swarm_operator.domain.swarm import EngineInfo, SwarmView
from swarm_operator.engine.clock import Clock
from swarm_operator.ports.compute import Cloud, Clouds
from swarm_operator.ports.hosts import Hosts
from swarm_operator.ports.objects import Objects, Resource
from swarm_operator.ports.swarm import Swarm, TlsMaterial

T = TypeVar("T")


class Gatherer:
    """One gathering of one cluster."""

    def __init__(
        self,
        resource: Resource,
        merged: PoolMerge,
        status: SwarmClusterStatus,
        *,
        objects: Objects,
        clouds: Clouds,
        hosts: Hosts,
        sessions: Sessions,
        clock: Clock,
        memo: SlowFacts | None,
        threads: int,
    ) -> None:
        self._resource, self._spec, self._status, self._pools = resource, merged.spec, status, merged
        self._uid = owner_uid(resource.uid, merged.spec)
        self._objects, self._clouds, self._hosts, self._sessions, self._clock = objects, clouds, hosts, sessions, clock
        self._memo, self._threads = memo, threads
        self._errors: list[ExternalError] = []
        self._contents = SecretContents()
        self._held = False

    def gather(self) -> Gathered:
        """Observe. Raises only what Kubernetes itself raises."""
        resource = self._resource
        observation = ClusterObservation(
            self._uid, resource.key.name, resource.generation, resource.deleting, FINALIZER in resource.finalizers, annotations=resource.annotations
        )
        cloud_fact = self._open_cloud()
        cloud = cloud_fact.value if isinstance(cloud_fact, Known) else None
        observation = replace(
            self._pools.told(observation),
            credentials=Known(None) if isinstance(cloud_fact, Known) else cloud_fact,
            credentials_held=self._held,
            credential_expiry=_quietly(cloud.credential_expiry) if cloud is not None else NOT_LOOKED_AT,
            secrets=self._secrets(),
            rival=self._rival() if not resource.deleting and observing(self._spec, self._status) else None,
        )
        observation = self._cloud_facts(observation, cloud_fact)
        logins = GuestLogins(self._hosts, self._spec, self._contents.ssh_private)
        swarm: Swarm | None = None
        if not resource.deleting:
            try:
                observation, swarm = self._swarm_and_guests(observation, cloud, logins)
            except BaseException:
                logins.close()
                raise
        refused = next((e for e in self._errors if e.kind is ErrorKind.UNAUTHORIZED and e.system == "openstack"), None)
        if refused is not None:
            observation = replace(observation, credentials=Unknown(refused.reason, refused.message))
        return Gathered(observation, cloud, swarm, self._contents, logins, self._errors)

    def refresh(self, gathered: Gathered) -> None:
        """Read the server list anew, past any cache."""
        cloud = gathered.cloud
        if cloud is not None:
            servers = self._read(lambda: cloud.list_servers(self._uid, fresh=True))
            gathered.observation = replace(gathered.observation, servers=servers, servers_fresh=isinstance(servers, Known))

    def look_at_services(self, gathered: Gathered) -> None:
        """Read what nodes carry."""
        unseen = Unknown(Reason.MANAGER_UNREACHABLE, "no manager answers")
        services = self._services(gathered.swarm) if gathered.swarm is not None else unseen
        gathered.observation = replace(gathered.observation, services=services)

    def _read(self, call: Callable[[], T]) -> Fact[T]:
        try:
            return Known(call())
        except ExternalError as error:
            self._errors.append(error)
            return Unknown(error.reason, error.message)

    def _open_cloud(self) -> Fact[Cloud]:
        reference = self._spec.identity_ref
        found = self._objects.get_held_secret(self._resource.key.namespace, reference.secret_name)
        if found is None:
            return Unknown(Reason.SECRET_NOT_FOUND, f"Secret {reference.secret_name!r} of spec.identityRef does not exist")
        secret, self._held = found.data, found.held or found.deleting
        if "clouds.yaml" not in secret:
            return Unknown(Reason.SECRET_NOT_FOUND, f"Secret {reference.secret_name!r} of spec.identityRef has no key clouds.yaml")

        def connect() -> Cloud:
            cloud = self._clouds.open(secret["clouds.yaml"], reference.cloud_name, secret.get("cacert"))
            cloud.check_credentials()
            return cloud

        return self._read(connect)

    def _rival(self) -> str | None:
        """Another SwarmCluster with the UID that is to be taken over; in this namespace only where no more may be listed."""
        try:
            others = self._objects.list("SwarmCluster", None)
        except ExternalError as error:
            if error.kind is not ErrorKind.FORBIDDEN:
                raise
            others = self._objects.list("SwarmCluster", self._resource.key.namespace)
        for other in others:
            adopts = (other.spec.get("adopt") or {}).get("clusterUID")
            if other.uid != self._resource.uid and self._uid in (other.uid, adopts):
                return f"{other.key.namespace}/{other.key.name}"
        return None

    def _secrets(self) -> Fact[Secrets]:
        """Read the cluster's own Secrets into `_contents`; what is known of them is the fact."""
        key, spec = self._resource.key, self._spec
        reference = spec.ssh.private_key_secret_ref
        ssh_name = reference.name if reference is not None else ssh_secret_name(key.name)
        ssh = self._objects.get_secret(key.namespace, ssh_name)
        tls = self._objects.get_secret(key.namespace, tls_secret_name(key.name))
        if (reference is not None and ssh is None) or (ssh is not None and SSH_PRIVATE not in ssh):
            return Unknown(Reason.SECRET_NOT_FOUND, f"Secret {ssh_name!r} does not exist or has no key {SSH_PRIVATE}")
        if tls is not None and not all(name in tls for name in TLS_KEYS):
            return Unknown(Reason.SECRET_NOT_FOUND, f"Secret {tls_secret_name(key.name)!r} lacks one of the keys {', '.join(TLS_KEYS)}")
        if ssh is not None:
            self._contents.ssh_private = ssh[SSH_PRIVATE]
            self._contents.ssh_public = ssh[SSH_PUBLIC].decode(errors="replace").strip() if SSH_PUBLIC in ssh else None
        self._contents.tls = tls
        expiring = tls is not None and needs_renewal(tls["cert.pem"], self._clock.now(), ca=tls["ca.pem"])
        return Known(Secrets(ssh is not None, self._contents.ssh_public, tls is not None, expiring))

    # --- the cloud

    def _cloud_facts(self, observation: ClusterObservation, fact: Fact[Cloud]) -> ClusterObservation:
        uid, names = self._uid, needing_references(self._spec)
        if isinstance(fact, Unknown):
            machines: dict[str, Fact[MachineReferences]] = dict.fromkeys(names, fact)
            return replace(observation, servers=fact, networking=fact, keypair=fact, network_references=fact, machine_references=machines, ports=fact)
        cloud = fact.value
        if observation.deleting:
            return self._deletion_facts(observation, cloud)
        observation = replace(observation, servers=self._read(lambda: cloud.list_servers(uid)))
        memo = self._memo
        if memo is not None:
            return replace(
                observation,
                network_references=memo.network_references,
                machine_references=memo.machine_references,
                networking=memo.networking,
                keypair=memo.keypair,
                volumes=memo.volumes,
                images=self._images(cloud) if self._images_matter() else memo.images,
                server_groups=memo.server_groups,
                compute_usage=memo.compute_usage,
            )
        return replace(
            observation,
            network_references=self._read(lambda: network_references(cloud, self._spec)),
            machine_references={pool: self._read(partial(machine_references, cloud, self._spec, pool)) for pool in sorted(names)},
            networking=self._read(lambda: cloud.list_owned_networking(uid, given_addresses(self._spec))),
            keypair=self._read(lambda: cloud.get_keypair(self._spec.ssh.key_name or keypair_name(uid))),
            volumes=self._volumes(cloud) if self._status.swarm_id is not None or declares_volumes(self._spec) else NOT_LOOKED_AT,
            images=self._images(cloud) if self._status.swarm_id is not None or self._images_matter() else NOT_LOOKED_AT,
            keypairs=_quietly(lambda: cloud.list_owned_keypairs(uid)) if self._status.swarm_id is not None else NOT_LOOKED_AT,
            server_groups=_quietly(lambda: cloud.list_server_groups(uid)),
            compute_usage=_quietly(cloud.get_compute_usage) if usage_matters(self._spec, self._status) else NOT_LOOKED_AT,
            project_fresh=True,
        )

    def _volumes(self, cloud: Cloud) -> Fact[tuple[Volume, ...]]:
        """A reconcile fails on them only where the spec needs Cinder: a cloud without it is none to fail on."""
        look = self._read if declares_volumes(self._spec) else _quietly
        return look(lambda: cloud.list_owned_volumes(self._uid))

    def _settled(self, observation: ClusterObservation, table: MachineTable) -> bool:
        """Whether the remembered volumes will do."""
        wanted = sum(replicas for _, _, replicas in pools(self._spec))
        machines = [m for role, pool, _ in pools(self._spec) for m in current(table.of(role, pool))]
        return settled(self._spec, observation, machines) and (len(machines) >= wanted or not declares_volumes(self._spec))

    def _images_matter(self) -> bool:
        """Whether those that are remembered won't do."""
        return images.unsettled(self._spec, self._status) or backup.unsettled(self._spec, self._status, self._clock.now())

    def _images(self, cloud: Cloud) -> Fact[tuple[Image, ...]]:
        """What needs no image of ours goes on without Glance."""
        return _quietly(lambda: cloud.list_owned_images(self._uid))

    def _deletion_facts(self, observation: ClusterObservation, cloud: Cloud) -> ClusterObservation:
        """All of it fresh, and references not at all: they may be gone long since."""
        uid = self._uid
        servers = self._read(lambda: cloud.list_servers(uid, fresh=True))
        observation = replace(observation, servers=servers, servers_fresh=isinstance(servers, Known))
        networking = self._read(lambda: cloud.list_owned_networking(uid))
        keypair = self._read(lambda: cloud.get_keypair(keypair_name(uid)))
        ports: Fact[tuple[Port, ...]] = NOT_LOOKED_AT
        keypairs = _quietly(lambda: cloud.list_owned_keypairs(uid))
        groups = _quietly(lambda: cloud.list_server_groups(uid))
        observation = replace(observation, networking=networking, keypair=keypair, keypairs=keypairs, server_groups=groups)
        no_server = isinstance(servers, Known) and all(s.status in GONE_STATUSES for s in servers.value)
        if no_server and isinstance(networking, Known) and networking.value.networks:
            ids = [n.id for n in networking.value.networks]
            ports = self._read(lambda: tuple(p for network in ids for p in cloud.list_ports(network_id=network)))
        return replace(observation, ports=ports, volumes=self._volumes(cloud) if no_server else NOT_LOOKED_AT, images=self._images(cloud))

    # --- the swarm and its guests

    def _swarm_and_guests(self, observation: ClusterObservation, cloud: Cloud | None, logins: GuestLogins) -> tuple[ClusterObservation, Swarm | None]:
        table = tabulate(self._status, observation, self._clock.now())
        if cloud is not None and self._memo is not None and not self._settled(observation, table):
            observation = replace(observation, volumes=self._volumes(cloud))
        # All of them, former holders of a slot too: they are members until their successors are.
        observation, swarm = self._view(observation, table.of("Manager"))
        # The nodes are known now: ask only the guests that are not members.
        table = tabulate(self._status, observation, self._clock.now())
        standing = standings(self._spec, Wanted.of(self._spec, observation), table.machines, self._clock.now())
        machines = [m for role, pool, _ in pools(self._spec) for m in current(table.of(role, pool))]
        asked = to_ask(self._spec, machines if isinstance(observation.swarm, Known) else table.of("Manager"), observation.swarm)
        if isinstance(observation.swarm, Known):
            asked = (
                *asked,
                *to_probe(self._spec, machines, observation.swarm.value, self._clock.now()),
                *certificates_due(machines, self._clock.now()),
            )
            observation = replace(observation, workload=self._read(lambda: look_at_tasks(self._spec, swarm)))
            if swarm is not None and is_changing(table, standing):
                observation = replace(observation, services=self._services(swarm))
        asked = tuple({m.uid: m for m in (*asked, *to_look_at(self._spec, observation, machines))}.values())
        if cloud is None or self._contents.ssh_private is None:
            return observation, swarm
        for machine in table.machines:
            address = reachable_address(self._spec, self._uid, machine, observation.networking) if machine.id.role == "Manager" else fixed_address(machine)
            if address is not None:
                logins.addresses[machine.uid] = address
            if machine.record is not None and machine.record.host_keys:
                logins.host_keys[machine.uid] = tuple(machine.record.host_keys)
        up = [m for m in table.of("Manager") if is_up(m)]
        through = next((m for m in up if m.joined), next(iter(up), None))
        if self._spec.managers.floating_ip.enabled and through is not None:
            logins.jump = through.uid
            # The successor of the only manager has no address of its own yet: it is reached through the former.
            beside = [m for m in up if m.uid not in logins.addresses and through.joined and m.id.slot == through.id.slot]
            logins.addresses |= {m.uid: address for m in beside if (address := fixed_address(m)) is not None}
            logins.direct = frozenset(m.uid for m in up if m not in beside)
        loading = (*images.to_reach(self._spec, self._status, machines), *preload.to_reach(self._spec, machines), *backup.to_reach(self._status, machines))
        # Members without pinned keys (joined by metadata, or status was lost) that something is to be done on.
        needed = list({m.uid: m for m in (*asked, *loading, *to_reach(machines, standing))}.values())
        if needed and through is not None and through.uid not in {m.uid for m in needed} and through.uid not in logins.host_keys:
            needed.insert(0, through)
        host_keys = self._each([m for m in needed if m.uid not in logins.host_keys], lambda m: self._host_keys(cloud, m, logins))
        logins.host_keys |= {uid: keys.value for uid, keys in host_keys.items() if isinstance(keys, Known)}
        guests = self._each([m for m in asked if m.uid in logins.host_keys], lambda m: self._read(lambda: self._guest(m, logins, observation)))
        observation = replace(observation, host_keys=host_keys, guests=guests)
        view = observation.swarm
        enabled = isinstance(view, Known) and view.value.settings is not None and view.value.settings.autolock
        if isinstance(view, Known) and swarm is not None and (enabled or self._spec.swarm.autolock or self._status.autolock is not None):
            members = [m for m in machines if m.id.role == "Manager" and is_up(m) and m.joined]
            keys = self._read(lambda: read_facts(self._objects, self._resource, self._spec, swarm, enabled, members, logins))
            observation = replace(observation, unlock_keys=keys)
        return observation, swarm

    def _view(self, observation: ClusterObservation, managers: Sequence[Machine]) -> tuple[ClusterObservation, Swarm | None]:
        """The swarm's own view, through the managers whose engine has its certificate as far as we know (all of them where status was lost)."""
        tls = TlsMaterial.of_secret(self._contents.tls)
        endpoints = self._endpoints(observation, managers)
        if not endpoints or tls is None:
            return replace(observation, swarm=Unknown(Reason.MANAGER_BOOTSTRAPPING, "no manager is set up yet")), None
        session = self._sessions.publish(self._resource.key, self._uid, endpoints, tls)
        view = self._read(session.swarm.view)
        if not isinstance(view, Known):
            return replace(observation, swarm=view), session.swarm
        observation = replace(observation, swarm=view)
        # Managers that are not schedulable are drained all their life.
        draining = ("worker", "manager") if self._spec.managers.schedulable else ("worker",)
        if any(n.role in draining and NODE_LABEL_DRAINED in n.labels for n in view.value.nodes):
            with_tasks: Fact[SwarmView] = self._read(lambda: session.swarm.view(with_tasks=True))
            tasks: Fact[Mapping[str, int]] = Known(dict(with_tasks.value.running_tasks_by_node)) if isinstance(with_tasks, Known) else with_tasks
            observation = replace(observation, tasks=tasks)
        if overlays.unwanted(self._spec, self._uid, view.value):
            observation = replace(observation, networks_in_use=self._read(lambda: overlays.used(session.swarm.list_services())))
        return observation, session.swarm

    def _services(self, swarm: Swarm) -> Fact[tuple[ServiceLoad, ...]]:
        """What nodes carry."""
        return self._read(lambda: loads(swarm.list_services(), swarm.list_tasks()))

    def _endpoints(self, observation: ClusterObservation, managers: Sequence[Machine]) -> list[str]:
        """Those of the members, as far as status knows, or of all whose engine is set up; those that were healthy first."""
        found: list[tuple[bool, bool, str]] = []
        for machine in managers:
            record = machine.record
            address = reachable_address(self._spec, self._uid, machine, observation.networking)
            if is_up(machine) and address is not None and (record is None or record.engine_configured):
                found.append((record is None or record.node_id is not None, record is not None and record.phase == MachinePhase.READY, address))
        members = [(ready, address) for member, ready, address in found if member]
        chosen = [address for _, address in sorted(members or [(ready, address) for _, ready, address in found], key=lambda entry: not entry[0])]
        if not chosen and isinstance(observation.servers, Unknown) and self._status.swarm_id is not None:
            # Nova does not tell us now; the swarm can be seen all the same, and services go on.
            records = sorted((n for n in self._status.nodes if n.role == "Manager" and n.node_id is not None), key=lambda n: n.phase != MachinePhase.READY)
            floating = self._spec.managers.floating_ip.enabled
            chosen = [address for n in records if (address := n.floating_ip if floating else n.address) is not None]
        return [f"tcp://{address}:{ENGINE_PORT}" for address in chosen]

    def _host_keys(self, cloud: Cloud, machine: Machine, logins: GuestLogins) -> Fact[tuple[str, ...]]:
        server = machine.present
        assert server is not None
        if self._spec.ssh.host_key_policy == "Console":
            found = self._read(lambda: parse_host_keys(cloud.console_output(server.id)).trusted)
            missing = "the console does not show the ssh host keys yet"
        else:
            found = self._read(lambda: self._hosts.scan_host_keys(logins.target(machine.uid)).keys)
            missing = "ssh offers no host key yet"
        return Unknown(Reason.HOST_KEY_UNVERIFIED, missing) if found == Known(()) else found

    def _each(self, machines: Sequence[Machine], call: Callable[[Machine], T]) -> dict[str, T]:
        """`call` for each machine, some at once; by machine UID."""
        if self._threads > 1 and len(machines) > 1:
            with ThreadPoolExecutor(min(self._threads, len(machines)), thread_name_prefix="guests") as pool:
                return dict(zip([m.uid for m in machines], pool.map(call, machines), strict=True))
        return {m.uid: call(m) for m in machines}

    def _guest(self, machine: Machine, logins: GuestLogins, observation: ClusterObservation) -> Guest:
        host = logins.open(machine.uid)
        mounts = mounts_to_look_at(self._spec, observation, machine)
        volumes = host.look_at_volumes(mounts) if mounts else ()
        try:
            engine = host.engine_info()
        except ExternalError as error:
            # The guest answers, its engine does not: that is worth knowing.
            return Guest(EngineInfo("", ENGINE_SILENT, error=error.message), volumes=volumes)
        if machine.id.role != "Manager" or self._contents.tls is None:
            return Guest(engine, volumes=volumes)
        reach = certified_address(self._spec, self._uid, machine, observation.networking)
        addresses = [a for a in (reach, fixed_address(machine)) if a is not None]
        expires = tls_in_force(host, self._contents.tls["ca.pem"], addresses, self._clock.now())
        committed = None
        if self._status.swarm_id is not None and isinstance(observation.swarm, Unknown) and engine.control_available:
            read = host.run(raft_log.argv(self._spec.engine.data_root or DATA_ROOT), sudo=True, timeout=raft_log.SECONDS)
            committed = raft_log.parse(read.status, read.stdout)
        return Guest(engine, expires is not None, volumes, expires, committed)


def _quietly(call: Callable[[], T]) -> Fact[T]:
    """What no reconcile fails on: the failure is the fact, and is not counted."""
    try:
        return Known(call())
    except ExternalError as error:
        return Unknown(error.reason, error.message)
