"""The rule that says where processes die in the tests of crashes."""

from __future__ import annotations

from simulator import World, deaths, drive
from simulator.crashes import remains


def make(world: World) -> None:
    drive(world, lambda: world.ready)


def test_no_write_is_left_out_and_each_world_is_of_its_moment() -> None:
    whole = World()
    make(whole)
    found = deaths(World(), make)
    after = {death.number for death, _ in found if death.when == "after"}
    writes = [n for n, call in enumerate(whole.faults.calls) if call.split(".")[1].startswith(("create", "set", "ensure", "hold", "swarm", "write"))]
    assert len(writes) > 20 and after >= set(writes)
    for death, world in found:
        assert len(world.faults.calls) == death.number + 1 and world.faults.calls[-1] == death.call
    sizes = [len(world.cloud.servers) for _, world in found]
    assert sizes == sorted(sizes) and set(sizes) == {0, 1, 2}


def test_what_happens_by_itself_is_a_moment_too() -> None:
    """A server that has come up between two reconciles, of which no call tells."""
    assert any(death.when == "before" for death, _ in deaths(World(), make))


def test_a_lost_status_is_no_moment_and_is_gone_from_each_world() -> None:
    kept, lost = (deaths(World(), make, lose_status=lose) for lose in (False, True))
    assert any(death.call == "kubernetes.apply_status" and death.when == "after" for death, _ in kept)
    assert not any(death.call == "kubernetes.apply_status" and death.when == "after" for death, _ in lost)
    assert all(world.resource is not None and world.resource.status == {} for _, world in lost)


def test_a_look_changes_nothing_and_the_run_itself_goes_on_in_a_copy() -> None:
    world = World()
    before = remains(world)
    deaths(world, make)
    remains(world, status=False)
    assert remains(world) == before and world.faults.calls == [] and world.cloud.servers == {}
