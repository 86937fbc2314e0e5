"""The one error type that the command line prints without a traceback."""

from __future__ import annotations


class LabError(Exception):
    """Something a person can act on went wrong; the text says what, and which log to read."""
