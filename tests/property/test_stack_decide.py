"""Properties of the decision about a stack, over worlds of any state: it comes to rest, what is not ours is never touched, and nothing is removed that is needed."""

from __future__ import annotations

from dataclasses import replace

from hypothesis import given, settings
from hypothesis import strategies as st

from swarm_operator.api.parse import Problem
from swarm_operator.api.reasons import Reason
from swarm_operator.domain.facts import Known, Unknown
from swarm_operator.domain.ownership import NETWORK_LABEL_STACK
from swarm_operator.domain.stack.decide import Component, Observed, Plan, Swarm, decide, digest
from swarm_operator.domain.stack.parts import Converted, StackNetwork, StackService
from swarm_operator.domain.swarm import OverlayInfo

UID = "stack"
NAMES = ("a", "b", "c")
NETS = ("x", "y", "z")


def service(name: str, nets: tuple[str, ...], image: str = "i:1") -> StackService:
    spec = {"image": image, "networks": [{"name": net} for net in nets]}
    return StackService(name, f"s-{name}", spec, nets)


@st.composite
def files(draw: st.DrawFn) -> Converted:
    services = [service(name, tuple(sorted(draw(st.sets(st.sampled_from(NETS)))))) for name in sorted(draw(st.sets(st.sampled_from(NAMES), min_size=1)))]
    needed = {net for found in services for net in found.networks} - draw(st.sets(st.sampled_from(NETS), max_size=1))  # some are external
    return Converted(tuple(services), tuple(StackNetwork(net) for net in sorted(needed)))


@st.composite
def worlds(draw: st.DrawFn) -> Observed:
    owned = []
    for name in sorted(draw(st.sets(st.sampled_from(NAMES)))):
        live = service(name, tuple(sorted(draw(st.sets(st.sampled_from(NETS))))), draw(st.sampled_from(["i:1", "i:2"])))
        owned.append(Component(live.object_name, live.spec, draw(st.sampled_from([digest(live), "", "old"])), draw(st.booleans())))
    foreign = {f"s-{name}" for name in draw(st.sets(st.sampled_from(NAMES)))} - {component.name for component in owned}
    owners = draw(st.dictionaries(st.sampled_from(NETS), st.sampled_from([UID, "other", ""])))
    networks = tuple(OverlayInfo(f"id-{net}", net, "overlay", labels={NETWORK_LABEL_STACK: owner} if owner else {}) for net, owner in sorted(owners.items()))
    used = frozenset(f"id-{net}" for net in draw(st.sets(st.sampled_from(NETS))))
    return Observed(tuple(owned), frozenset(foreign), Known(Swarm(networks, used)))


def carried_out(observed: Observed, plan: Plan) -> Observed:
    """The world afterwards; services on their way out are gone, and nobody else uses a network of ours."""
    assert isinstance(observed.swarm, Known)
    owned = {component.name: component for component in observed.owned if not component.deleting}
    for applied in plan.apply:
        assert applied.object_name not in observed.foreign
        owned[applied.object_name] = Component(applied.object_name, applied.spec, digest(applied))
    for gone in plan.delete:
        del owned[gone.name]
    networks = {network.name: network for network in observed.swarm.value.networks}
    for made in plan.make:
        assert made.name not in networks
        networks[made.name] = OverlayInfo(f"id-{made.name}", made.name, "overlay", labels={NETWORK_LABEL_STACK: UID})
    for old in plan.unmake:
        assert old.labels.get(NETWORK_LABEL_STACK) == UID and old.id not in observed.swarm.value.used
        del networks[old.name]
    attached = {entry["name"] for component in owned.values() for entry in component.spec["networks"]}
    return replace(observed, owned=tuple(owned.values()), swarm=Known(Swarm(tuple(networks.values()), frozenset(f"id-{name}" for name in attached))))


@given(files(), worlds())
@settings(max_examples=300, deadline=None)
def test_it_comes_to_rest_with_what_the_file_says_and_without_touching_others(file: Converted, world: Observed) -> None:
    before = {network.name: network for network in world.swarm.value.networks} if isinstance(world.swarm, Known) else {}
    for _ in range(4):
        plan = decide(file, UID, world)
        assert not {applied.object_name for applied in plan.apply} & {gone.name for gone in plan.delete}
        assert not {made.name for made in plan.make} & {old.name for old in plan.unmake}
        world = carried_out(world, plan)
    plan = decide(file, UID, world)
    assert plan.idle
    assert isinstance(world.swarm, Known)
    after = {network.name: network for network in world.swarm.value.networks}
    assert all(after[name] == network for name, network in before.items() if network.labels.get(NETWORK_LABEL_STACK) != UID), "networks of others stay"
    held = {service.object_name for service in file.services if service.object_name in plan.conflicts or set(service.networks) & set(plan.conflicts)}
    wanted = {service.object_name for service in file.services}
    present = {component.name for component in world.owned}
    assert wanted - held <= present <= wanted
    assert {network.name for network in file.networks} <= set(after)


@given(files(), worlds())
@settings(max_examples=100, deadline=None)
def test_while_the_swarm_is_unknown_no_network_is_touched(file: Converted, world: Observed) -> None:
    plan = decide(file, UID, replace(world, swarm=Unknown(Reason.CLUSTER_NOT_READY, "away")))
    assert plan.make == () and plan.unmake == ()


@given(files(), worlds())
@settings(max_examples=50, deadline=None)
def test_a_file_with_a_problem_changes_nothing(file: Converted, world: Observed) -> None:
    assert decide(replace(file, problems=(Problem("services", "x"),)), UID, world) == Plan()
