"""What a VirtualMachinePool keeps to: KubeVirt's rules, those of a VirtualMachine for its template among them."""

import re
from dataclasses import replace

from hostler.api.limits import ITEMS, NAME, REPLICA_SET_LIMITS, VIRTUAL_MACHINE_LIMITS, WORD
from hostler.api.rules import vm
from hostler.api.rules.replicaset import MATCHES_EXPRESSIONS, MATCHES_LABELS, RESERVED, RESERVED_MESSAGE
from hostler.api.rules.rule import Rule, formatted

TEMPLATE = "spec.virtualMachineTemplate"
MACHINE = f"{TEMPLATE}.spec"  # the VirtualMachine's spec
SORT_POLICIES = ("AscendingOrder", "DescendingOrder", "Newest", "Oldest", "Random")
STATE_PRESERVATIONS = ("Disabled", "Offline", "Online")
STRATEGIES = ("unmanaged", "opportunistic", "proactive")
LONGEST = 52  # the name and a generation are a label's value
GO_DURATION = r"^([0-9]+(\\.[0-9]+)?(ns|us|ms|s|m|h))+$"

SELECTION = tuple(f"spec.{strategy}.proactive.selectionPolicy" for strategy in ("scaleInStrategy", "updateStrategy"))


def within(rule: Rule) -> Rule:
    """A rule of VirtualMachines, for the one in the template."""
    return replace(rule, at=MACHINE + rule.at.removeprefix("spec"), says=moved(rule.says), tells=moved(rule.tells))


def moved(text: str) -> str:
    """The paths in a message; `self.template.spec` in an expression is none."""
    return re.sub(r"(?<![\w.])spec\.", f"{MACHINE}.", text)


def of_template(expression: str) -> str:
    return expression.replace("self.template", "self.virtualMachineTemplate")


def one_of(at: str, values: tuple[str, ...]) -> Rule:
    wanted = ", ".join(f'"{value}"' for value in values)
    says = f"Unsupported value: supported values: {wanted}"
    return Rule(
        at, f"self in {list(values)}", says, formatted(f"Unsupported value: %s: supported values: {wanted}", "self")
    )


def one_strategy(at: str) -> Rule:
    """An empty strategy is the default one."""
    found = f"[{', '.join(f'has(self.{each})' for each in STRATEGIES)}].filter(x, x).size()"
    says = "only one strategy can be configured at a time: but found %s strategies"
    return Rule(at, f"{found} <= 1", says.replace("%s", "several"), formatted(says.replace("%s", "%d"), found))


MAX_UNAVAILABLE = "spec.maxUnavailable"
RULES = (
    Rule(
        "",
        f"self.metadata.name.size() <= {LONGEST}",
        f"metadata.name: must be no more than {LONGEST} characters",
    ),
    Rule("spec.replicas", "self >= 0", "must be greater than or equal to 0"),
    Rule(
        "spec",
        f"({of_template(MATCHES_LABELS)}) && ({of_template(MATCHES_EXPRESSIONS)})",
        "selector does not match labels.",
        field=".selector",
    ),
    Rule(
        "spec.selector",
        "(has(self.matchLabels) && size(self.matchLabels) > 0) "
        "|| (has(self.matchExpressions) && size(self.matchExpressions) > 0)",
        "empty selector is invalid: it would claim every VirtualMachine of the namespace",
    ),
    Rule("spec.selector", "self == oldSelf", "selector is immutable after creation."),
    Rule(TEMPLATE, "has(self.spec)", "missing virtual machine template.", field=".spec", reason="FieldValueRequired"),
    Rule(f"{TEMPLATE}.metadata.labels", f"!self.exists(k, k in {list(RESERVED)})", RESERVED_MESSAGE),
    Rule(MAX_UNAVAILABLE, "type(self) != int || self > 0", "maxUnavailable must be greater than 0"),
    Rule(MAX_UNAVAILABLE, "type(self) != string || self.endsWith('%')", "maxUnavailable percentage must end with %"),
    Rule(
        MAX_UNAVAILABLE,
        "type(self) != string || !self.endsWith('%') || self.matches('^0*(100|[1-9][0-9]?)%$')",
        "maxUnavailable percentage value must be between 1 and 100",
    ),
    one_strategy("spec.updateStrategy"),
    one_strategy("spec.scaleInStrategy"),
    *(one_of(f"{policy}.sortPolicy", SORT_POLICIES) for policy in SELECTION),
    *(
        one_of(f"spec.scaleInStrategy.{strategy}.statePreservation", STATE_PRESERVATIONS)
        for strategy in ("opportunistic", "proactive")
    ),
    Rule("spec.autohealing.startUpFailureThreshold", "self >= 1", "must be greater than or equal to 1"),
    Rule(
        "spec.autohealing.minFailingToStartDuration",
        f"self.matches('{GO_DURATION}')",
        "must be a duration such as 5m or 90s",
    ),
    *map(within, vm.RULES),
)

LIMITS = (
    {path: size for path, size in REPLICA_SET_LIMITS.items() if path.startswith("spec.selector")}
    | {MACHINE + path.removeprefix("spec"): size for path, size in VIRTUAL_MACHINE_LIMITS.items()}
    | {f"{TEMPLATE}.metadata.labels": ITEMS, f"{TEMPLATE}.metadata.labels{{}}": NAME}
    | {f"{policy}.sortPolicy": WORD for policy in SELECTION}
    | {f"spec.scaleInStrategy.{each}.statePreservation": WORD for each in ("opportunistic", "proactive")}
    | {"spec.autohealing.minFailingToStartDuration": WORD}
)
