"""What may change in objects that exist, and what may not once something was made from it."""

from __future__ import annotations

import json
import uuid
from typing import Any

import pytest
import yaml

from apivalidation.conftest import SMALLEST, corpus, merge
from harness.kube import Kubectl, KubectlError

pytestmark = pytest.mark.lab


@pytest.mark.parametrize("case", corpus("updates.yaml"))
def test_update(api: Kubectl, case: dict[str, Any]) -> None:
    kind, name = case["kind"], f"u-{uuid.uuid4().hex[:8]}"
    base = merge(SMALLEST[kind], {"metadata": {"name": name}})
    api("create", "-f", "-", stdin=yaml.safe_dump(merge(base, case.get("was", {}))))
    if "status" in case:
        api("patch", kind, name, "--subresource=status", "--type=merge", "-p", json.dumps({"status": case["status"]}))
    changed = yaml.safe_dump(merge(merge(base, case.get("was", {})), case["change"]))
    if "message" not in case:
        api("replace", "-f", "-", stdin=changed)
        return
    with pytest.raises(KubectlError) as refused:
        api("replace", "-f", "-", stdin=changed)
    text = str(refused.value)
    assert f" {case['field']}: " in text, text
    assert case["message"] in text, text


def test_status_and_spec_are_apart(api: Kubectl) -> None:
    """A spec update can't write status, and a status update can't write spec."""
    manifest = merge(SMALLEST["SwarmCluster"], {"metadata": {"name": "apart"}, "status": {"swarmID": "forged"}})
    api("create", "-f", "-", stdin=yaml.safe_dump(manifest))
    assert api.get("swarmcluster", "apart")["status"] == {"observedGeneration": -1}
    api("patch", "swarmcluster", "apart", "--subresource=status", "--type=merge", "-p", json.dumps({"status": {"swarmID": "s1"}, "spec": {"paused": True}}))
    live = api.get("swarmcluster", "apart")
    assert live["status"] == {"observedGeneration": -1, "swarmID": "s1"}
    assert live["spec"]["paused"] is False
    assert live["metadata"]["generation"] == 1
