"""Wrong manifests are refused by the real API server, with a message that names the field."""

from __future__ import annotations

from typing import Any

import pytest
import yaml

from apivalidation.conftest import SMALLEST, corpus, merge
from harness.kube import Kubectl, KubectlError

pytestmark = pytest.mark.lab


def refusal(api: Kubectl, kind: str, case: dict[str, Any]) -> str:
    """What the API server says to the manifest of the case; fails where it takes it."""
    manifest = merge(SMALLEST[kind], case["change"])
    with pytest.raises(KubectlError) as refused:
        api("create", "--dry-run=server", "-f", "-", stdin=yaml.safe_dump(manifest))
    return str(refused.value)


def assert_names(text: str, case: dict[str, Any]) -> None:
    """The message is there, and the very field: as the path before the colon, in quotes, or as the first words of a rule on metadata."""
    assert case["message"] in text, text
    field = case["field"]
    assert any(named in text for named in (f" {field}: ", f'"{field}"', f": {field} must")), text


@pytest.mark.parametrize("case", corpus("swarmcluster.yaml"))
def test_wrong_swarmcluster(api: Kubectl, case: dict[str, Any]) -> None:
    assert_names(refusal(api, "SwarmCluster", case), case)


@pytest.mark.parametrize("case", corpus("swarmservice.yaml"))
def test_wrong_swarmservice(api: Kubectl, case: dict[str, Any]) -> None:
    assert_names(refusal(api, "SwarmService", case), case)


@pytest.mark.parametrize("case", corpus("swarmstack.yaml"))
def test_wrong_swarmstack(api: Kubectl, case: dict[str, Any]) -> None:
    assert_names(refusal(api, "SwarmStack", case), case)


@pytest.mark.parametrize("case", corpus("swarmworkerpool.yaml"))
def test_wrong_swarmworkerpool(api: Kubectl, case: dict[str, Any]) -> None:
    assert_names(refusal(api, "SwarmWorkerPool", case), case)
