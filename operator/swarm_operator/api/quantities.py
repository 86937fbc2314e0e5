"""Kubernetes quantities as the engine wants them: billionths of a processor, and bytes (Kubernetes API reference, Quantity)."""

from __future__ import annotations

from decimal import Decimal
from typing import Final

_UNITS: Final = {"k": 10**3, "M": 10**6, "G": 10**9, "T": 10**12, "Ki": 2**10, "Mi": 2**20, "Gi": 2**30, "Ti": 2**40}


def nano_cpus(text: str | None) -> int | None:
    """ "1.5" and "1500m" are 1500000000. The text has the form that the schema demands."""
    if text is None:
        return None
    return int(text[:-1]) * 10**6 if text.endswith("m") else int(Decimal(text) * 10**9)


def in_bytes(text: str | None) -> int | None:
    """ "64Mi" is 67108864, "1k" is 1000."""
    if text is None:
        return None
    digits = text.rstrip("kKMGTi")
    return int(digits) * _UNITS.get(text[len(digits) :], 1)
