"""The rules of a job's podFailurePolicy and successPolicy, as batch/v1 has them."""

from hostler.api.launcher import COMPUTE
from hostler.api.rules.rule import Rule, formatted

PARSING = "error parsing succeededIndexes"
QUALIFIED = (
    "name part must consist of alphanumeric characters, '-', '_' or '.', and must start and end with an alphanumeric "
    "character (e.g. 'MyName',  or 'my.name',  or '123-abc', regex used for validation is "
    "'([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9]')"
)
POLICY_LIMITS = {
    "podFailurePolicy.rules": 20,
    "podFailurePolicy.rules[].onExitCodes.containerName": 63,
    "podFailurePolicy.rules[].onExitCodes.values": 255,
    "podFailurePolicy.rules[].onPodConditions": 20,
    "podFailurePolicy.rules[].onPodConditions[].type": 317,
    "successPolicy.rules": 20,
    "successPolicy.rules[].succeededIndexes": 65536,
}


def policy_rules(at: str) -> tuple[Rule, ...]:
    return (*failure_rules(at), *exit_code_rules(f"{at}.podFailurePolicy.rules[].onExitCodes"), *success_rules(at))


def failure_rules(at: str) -> tuple[Rule, ...]:
    rule = f"{at}.podFailurePolicy.rules[]"
    conditions = "(has(self.onPodConditions) && size(self.onPodConditions) > 0)"
    return (
        Rule(
            at,
            "!has(self.podFailurePolicy) || has(self.backoffLimitPerIndex) "
            "|| !self.podFailurePolicy.rules.exists(r, r.action == 'FailIndex')",
            "requires the backoffLimitPerIndex to be set",
            field=".podFailurePolicy.rules",
        ),
        Rule(
            at,
            "!has(self.podFailurePolicy) || !has(self.podReplacementPolicy) || self.podReplacementPolicy == 'Failed'",
            'Unsupported value: "TerminatingOrFailed": supported values: "Failed"',
            field=".podReplacementPolicy",
        ),
        Rule(
            rule,
            f"!has(self.onExitCodes) || !{conditions}",
            "specifying both OnExitCodes and OnPodConditions is not supported",
        ),
        Rule(
            rule,
            f"has(self.onExitCodes) || {conditions}",
            "specifying one of OnExitCodes and OnPodConditions is required",
        ),
        Rule(
            f"{rule}.onPodConditions[].type",
            "!format.qualifiedName().validate(self).hasValue()",
            QUALIFIED,
        ),
    )


def exit_code_rules(at: str) -> tuple[Rule, ...]:
    return (
        Rule(
            at,
            f"!has(self.containerName) || self.containerName == '{COMPUTE}'",
            "must be one of the container or initContainer names in the pod template",
            field=".containerName",
        ),
        Rule(f"{at}.values", "size(self) > 0", "at least one value is required"),
        Rule(f"{at}.values", "self.all(i, v, i == 0 || self[i - 1] <= v)", "must be ordered"),
        Rule(
            at,
            "self.operator != 'In' || !(0 in self.values)",
            "must not be 0 for the In operator",
            field=".values",
        ),
    )


def success_rules(at: str) -> tuple[Rule, ...]:
    """What is in succeededIndexes is read in the chart."""
    rule = f"{at}.successPolicy.rules[]"
    return (
        Rule(
            f"{at}.successPolicy",
            "size(self.rules) > 0",
            "at least one rules must be specified when the successPolicy is specified",
            field=".rules",
            reason="FieldValueRequired",
        ),
        Rule(
            at,
            "!has(self.successPolicy) || !has(self.completions) || self.successPolicy.rules.all(r, "
            "!has(r.succeededCount) || r.succeededCount <= self.completions)",
            "must be less than or equal to completions",
            formatted("must be less than or equal to %d (the number of specified completions)", "self.completions"),
            field=".successPolicy.rules",
        ),
        Rule(
            rule,
            "has(self.succeededCount) || has(self.succeededIndexes)",
            "at least one of succeededCount or succeededIndexes must be specified",
            reason="FieldValueRequired",
        ),
        Rule(f"{rule}.succeededCount", "self >= 0", "must be greater than or equal to 0"),
        Rule(
            f"{rule}.succeededIndexes",
            "!self.matches('-[^,]*-')",
            f"{PARSING}: an index interval can have at most two parts separated by '-'",
        ),
        Rule(
            f"{rule}.succeededIndexes",
            "self.matches('-[^,]*-') || self.matches('^([0-9]{1,9}(-[0-9]{1,9})?(,[0-9]{1,9}(-[0-9]{1,9})?)*)?$')",
            f"{PARSING}: cannot convert string to integer for index",
        ),
    )
