"""What VirtualMachineSchedules keep to: times as cron jobs have them, and something that can be started and stopped."""

import json
from dataclasses import replace

from hostler.api.limits import NAME, REPLICA_SET_LIMITS
from hostler.api.rules.batch import CRON_JOB_LIMITS, CRON_JOB_RULES, NEGATIVE
from hostler.api.rules.rule import Rule, formatted
from hostler.api.schedule import GROUPS

TIMES = ("start", "stop")
GROUP_OF = json.dumps(GROUPS)

RULES = (
    *(
        replace(rule, at=f"spec.{field}", says=rule.says.replace("in schedule", f"in {field}"))
        for field in TIMES
        for rule in CRON_JOB_RULES
        if rule.at == "spec.schedule"
    ),
    *(rule for rule in CRON_JOB_RULES if rule.at == "spec.timeZone"),
    Rule(
        "spec",
        "has(self.start) || has(self.stop)",
        "must say when: set start, stop or both",
        field=".start",
        reason="FieldValueRequired",
    ),
    Rule(
        "spec",
        "!has(self.start) || !has(self.stop) || self.start != self.stop",
        "must not be the same as start",
        field=".stop",
    ),
    Rule("spec.startingDeadlineSeconds", "self >= 0", NEGATIVE),
    Rule("spec.replicas", "self >= 1", "must be greater than or equal to 1"),
    Rule(
        "spec",
        f"!has(self.replicas) || self.targetRef.kind != '{next(iter(GROUPS))}'",
        "a VirtualMachine has no size",
        field=".replicas",
    ),
    Rule(
        "spec.targetRef",
        f"!(self.kind in {GROUP_OF}) || self.apiVersion.split('/')[0] == {GROUP_OF}[self.kind]",
        "must be of the kind's own API group",
        formatted("must be of group %s, where %s is", f"{GROUP_OF}[self.kind]", "self.kind"),
        field=".apiVersion",
    ),
    Rule(
        "spec.targetRef",
        "has(self.name) != has(self.selector)",
        "must have either a name or a selector",
        field=".name",
    ),
    Rule(
        "spec.targetRef.selector",
        "(has(self.matchLabels) && size(self.matchLabels) > 0) "
        "|| (has(self.matchExpressions) && size(self.matchExpressions) > 0)",
        "empty selector is invalid: it would start and stop everything in the namespace",
    ),
)

LIMITS = {
    **{f"spec.{field}": CRON_JOB_LIMITS["schedule"] for field in TIMES},
    "spec.timeZone": CRON_JOB_LIMITS["timeZone"],
    "spec.targetRef.apiVersion": NAME,
    "spec.targetRef.name": NAME,
    **{
        path.replace("spec.", "spec.targetRef.", 1): size
        for path, size in REPLICA_SET_LIMITS.items()
        if path.startswith("spec.selector.")
    },
}
