"""Decides what a tenant sees of each record of a topic.

    condition of a policy       deny                    allow
    holds                       the record is denied    the record may be seen
    does not hold               no effect               no effect
    raises, or costs too much   the record is denied    no effect

A deny wins over every allow. Among the allows whose condition holds, the one with the lowest priority (then the lowest
id) alone projects. A record that no policy allows is denied. Each condition and each expression of a projection has a
budget of its own, of the size that the filters of a subscription share.

The value of a record must be JSON without duplicate names, otherwise it is undecodable, whatever the policies are.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum

from webhookd.errors import InvalidInput, ProjectionFailed, UndecodableRecord
from webhookd.flow.authorization.conditions import Conditions
from webhookd.flow.authorization.json_values import JsonValue, read_json
from webhookd.flow.authorization.projection import Project, compile_projection
from webhookd.flow.authorization.seen_record import DENIED_RECORD, Headers, PlainRecord, RecordContent, SeenRecord
from webhookd.flow.filters.budget import Budget
from webhookd.flow.filters.comparisons import is_false
from webhookd.flow.filters.matcher import FAULTS, reason
from webhookd.flow.policy.policy import Effect, Policy, TopicPolicies

HIDDEN = "the record is not shown, because its topic has a policy"
"""The detail of an undecodable record: the cause in words could quote the record."""

EVERY = "`true`"
"""The expression of an empty condition."""


_OPEN = Policy(id="", topic="*", effect=Effect.ALLOW)
"""What applies to a topic that is open because it has no policy."""


class Verdict(StrEnum):
    """What is decided about a record."""

    ALLOWED = "allowed"
    DENIED = "denied"
    UNDECODABLE = "undecodable"
    PROJECTION_FAILED = "projection_failed"


@dataclass(frozen=True, slots=True, kw_only=True)
class Decision:
    """What is decided about a record and why; for operators, since the reasons name parts of policies.

    `policy_id` is the policy that decided; "" when none allows the record or when it is undecodable. `seen` is what is
    seen of an allowed record. `detail` is why the record is undecodable or the projection failed. `failed` has the
    conditions that could not be evaluated, each as the policy's id and the reason.
    """

    verdict: Verdict
    policy_id: str = ""
    seen: SeenRecord | None = None
    detail: str = ""
    failed: tuple[tuple[str, str], ...] = ()


@dataclass(slots=True, kw_only=True)
class ProjectionErrors:
    """How many records the projections of a topic failed on; `last_error` is the policy, a colon, and the error.

    `names` has the policies as `last_error` names them.
    """

    names: tuple[str, ...]
    errors: int = 0
    last_error: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class _Rule:
    """A compiled policy, without its condition. `name` is how details name it: a changed policy has another name."""

    id: str
    name: str
    denies: bool
    spends: bool
    project: Project


class TopicAuthorizer:
    """The policies that apply to one tenant's view of one topic, compiled; not thread-safe.

    Raises InvalidInput for a policy that cannot be used; its field is that of the policy (`condition`).
    """

    def __init__(self, policies: TopicPolicies) -> None:
        self._budget = Budget()
        self._failed: dict[str, str] = {}
        applied = (_OPEN,) if policies.unrestricted else policies.policies
        ordered = sorted(applied, key=lambda policy: (policy.effect is Effect.ALLOW, policy.priority, policy.id))
        self._conditions = _conditions(ordered, self._budget)
        self._rules = [
            _rule(policy, spends, self._budget) for policy, spends in zip(ordered, self._conditions.spends, strict=True)
        ]
        self.projections = ProjectionErrors(names=tuple(rule.name for rule in self._rules))

    @property
    def reads_record(self) -> bool:
        """Whether a condition reads the key or the headers."""
        return self._conditions.reads_record

    def see(self, record: RecordContent) -> SeenRecord:
        """What the tenant sees of a record; DENIED_RECORD if it sees nothing.

        Raises UndecodableRecord, ProjectionFailed, and SystemError or ValueError where a header cannot be read. None of
        them has anything of the record or of a policy.
        """
        try:
            rule, json = self._deciding(record)
        except UndecodableRecord as error:
            raise error.__class__(error.cause, HIDDEN) from None
        if rule is None or rule.denies:
            return DENIED_RECORD
        try:
            return rule.project(record, json)
        except ProjectionFailed:
            failed = f"{rule.name}: its projection cannot be evaluated on the record"
            self.projections.errors += 1
            self.projections.last_error = failed
            raise ProjectionFailed(failed) from None

    def decide(self, value: bytes | None, key: bytes | None = None, headers: Headers | None = None) -> Decision:
        """The decision about a record, with its reasons; never raises."""
        record = PlainRecord(value, key, headers or ())
        self._failed = {}
        try:
            rule, json = self._deciding(record)
            seen = None if rule is None or rule.denies else rule.project(record, json)
        except UndecodableRecord as error:
            return Decision(verdict=Verdict.UNDECODABLE, detail=f"{error.cause}: {error.detail}")
        except ProjectionFailed as error:
            return self._decision(Verdict.PROJECTION_FAILED, rule, detail=error.detail)
        return self._decision(Verdict.DENIED if seen is None else Verdict.ALLOWED, rule, seen=seen)

    def _decision(
        self, verdict: Verdict, rule: _Rule | None, *, seen: SeenRecord | None = None, detail: str = ""
    ) -> Decision:
        failed = tuple(self._failed.items())
        return Decision(verdict=verdict, policy_id=rule.id if rule else "", seen=seen, detail=detail, failed=failed)

    def _deciding(self, record: RecordContent) -> tuple[_Rule | None, JsonValue | None]:
        """The policy that decides, None if no policy allows the record; and its value as JSON."""
        value = record.value()
        json = None if value is None else read_json(value)
        conditions, root = self._conditions.of(record, value)
        for rule, condition in zip(self._rules, conditions, strict=True):
            if rule.spends:
                self._budget.refill(value or b"")
            try:
                holds = not is_false(condition(root))
            except FAULTS as error:
                self._failed[rule.id] = reason(error)
                holds = rule.denies
            if holds:
                return rule, json
        return None, json


def _conditions(policies: Sequence[Policy], budget: Budget) -> Conditions:
    try:
        return Conditions([policy.condition or EVERY for policy in policies], budget)
    except InvalidInput as error:
        error.field = "condition"
        raise


def _rule(policy: Policy, spends: bool, budget: Budget) -> _Rule:  # noqa: FBT001 - read beside the policy
    try:
        project = compile_projection(policy.projection, budget)
    except InvalidInput as error:
        error.field = f"projection.{error.field}"
        raise
    name = f"policy {policy.id} (version {policy.version})"
    return _Rule(id=policy.id, name=name, denies=policy.effect is Effect.DENY, spends=spends, project=project)
