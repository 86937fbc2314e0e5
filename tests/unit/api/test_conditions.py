"""Properties of merge_conditions (Kubernetes API conventions)."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from swarm_operator.api.conditions import Condition, ConditionStatus, ConditionType, Verdict, merge_conditions
from swarm_operator.api.reasons import Reason

THEN, NOW, LATER = "2026-11-23T20:00:00Z", "2026-11-23T20:01:00Z", "2026-11-23T20:02:00Z"
STATUSES: list[ConditionStatus] = ["True", "False", "Unknown"]

verdicts = st.lists(
    st.builds(Verdict, type=st.sampled_from(ConditionType), status=st.sampled_from(STATUSES), reason=st.sampled_from(Reason), message=st.text(max_size=20)),
    unique_by=lambda verdict: verdict.type,
)


def merged(given_verdicts: list[Verdict], previous: list[Condition], generation: int, now: str) -> list[Condition]:
    return merge_conditions(previous, given_verdicts, generation=generation, now=now)


@given(verdicts, verdicts)
def test_one_condition_per_verdict_with_its_content(before: list[Verdict], after: list[Verdict]) -> None:
    result = merged(after, merged(before, [], 1, THEN), 2, NOW)
    assert {(c.type, c.status, c.reason, c.message) for c in result} == {(v.type.value, v.status, v.reason.value, v.message) for v in after}
    assert all(c.observed_generation == 2 for c in result)
    assert [c.type for c in result] == sorted(c.type for c in result)


@given(verdicts, verdicts)
def test_the_time_moves_only_with_the_status(before: list[Verdict], after: list[Verdict]) -> None:
    old = {c.type: c for c in merged(before, [], 1, THEN)}
    for condition in merged(after, list(old.values()), 2, NOW):
        same = condition.type in old and old[condition.type].status == condition.status
        assert condition.last_transition_time == (THEN if same else NOW)


@given(verdicts)
def test_a_repeat_changes_nothing(what: list[Verdict]) -> None:
    """So that a status that says the same is not written again."""
    first = merged(what, [], 1, THEN)
    assert merged(what, first, 1, LATER) == first


@given(verdicts)
def test_order_of_verdicts_does_not_matter(what: list[Verdict]) -> None:
    assert merged(list(reversed(what)), [], 1, NOW) == merged(what, [], 1, NOW)


def test_a_long_message_is_cut_to_what_the_schema_takes() -> None:
    (condition,) = merged([Verdict(type=ConditionType.READY, status="False", reason=Reason.INTERNAL_ERROR, message="x" * 40000)], [], 1, NOW)
    assert len(condition.message) == 32768


def test_what_comes_back_from_the_api_merges_the_same() -> None:
    """A condition that went through JSON is the same previous condition."""
    first = merged([Verdict(type=ConditionType.READY, status="True", reason=Reason.RECONCILED)], [], 1, THEN)
    back = [Condition.model_validate(condition.to_manifest()) for condition in first]
    assert back == first
