"""A fake cloud and a Cloud on it."""

from __future__ import annotations

import importlib.util
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from swarm_operator.adapters.openstack import OpenStackCloud, OpenStackClouds

# Loaded by path: unit test folders are no packages (importlib mode), and another folder may have a module of the same name.
_spec = importlib.util.spec_from_file_location("openstack_fakecloud", Path(__file__).with_name("fakecloud.py"))
assert _spec is not None
assert _spec.loader is not None
_module = importlib.util.module_from_spec(_spec)
sys.modules["openstack_fakecloud"] = _module
_spec.loader.exec_module(_module)


@pytest.fixture
def fake() -> Iterator[Any]:
    cloud = _module.FakeCloud()
    yield cloud
    cloud.close()


@pytest.fixture
def observed() -> list[tuple[str, str, str]]:
    return []


@pytest.fixture
def clouds(observed: list[tuple[str, str, str]]) -> OpenStackClouds:
    return OpenStackClouds(lambda system, operation, outcome, _: observed.append((system, operation, outcome)), timeouts=(0.5, 0.5))


@pytest.fixture
def cloud(fake: Any, clouds: OpenStackClouds) -> OpenStackCloud:
    return clouds.open(fake.clouds_yaml(), "mine", None)
