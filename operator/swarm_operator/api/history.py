"""Revisions of a SwarmService, the way back to one, and what becomes of an update that the engine paused."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from swarm_operator.api.base import ApiModel, ShortMoment


class RollbackTo(ApiModel):
    """Holds the service at an earlier revision, for as long as this is in the spec."""

    revision: Annotated[int, Field(ge=1, le=1_000_000_000)] = Field(description="Number of the revision, as in status.revisions.")


class PausedUpdate(ApiModel):
    """What is done about an update that the engine paused after failures; by itself it stays so for ever."""

    action: Literal["Hold", "Resume"] = Field(
        default="Hold", description="Hold: nothing, Stalled says so. Resume: the update is continued by posting the same spec again, `attempts` times at most."
    )
    after_seconds: Annotated[int, Field(ge=10, le=604800)] = Field(
        default=60,
        description="With Resume: how long it stays paused first; twice as long before each further attempt. Within the first seconds the engine still works on "
        "the paused update and would take the same spec for done.",
    )
    attempts: Annotated[int, Field(ge=1, le=100)] = Field(default=3, description="With Resume: how often for one spec.")


class RevisionStatus(ApiModel):
    """A revision that was applied."""

    revision: int = Field(description="Number; it stays the same when the revision is applied again.")
    hash: Annotated[str, Field(max_length=64)] = Field(description="Hash of the fields that a revision holds.")
    applied_at: ShortMoment = Field(description="When it was last found applied.")
    name: Annotated[str, Field(max_length=253)] = Field(description="The ControllerRevision that holds the fields.")
    image: Annotated[str, Field(max_length=512)] = Field(default="", description="Image, with its digest where imagePolicy had found it.")
