"""`swarm-operator crds`: the CustomResourceDefinitions of this version, ready for `kubectl apply --server-side -f -`."""

from __future__ import annotations

from typing import TextIO

from swarm_operator.api import crd


def print_crds(out: TextIO) -> None:
    """All CRDs as one YAML stream."""
    for text in crd.files().values():
        out.write("---\n")
        out.write(text)
