"""One rule: a CEL expression at a place in a schema, and what it says when it is broken."""

import json
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal

Reason = Literal["FieldValueInvalid", "FieldValueForbidden", "FieldValueRequired"]

# Stands for the path of the VMI spec in messages: `spec` in a VMI, `spec.template.spec` in what makes VMIs.
SPEC = "SPEC"


@dataclass(frozen=True)
class Rule:
    """`at` is a path like `domain.devices.disks[].serial`; `self` in the expressions is what is found there."""

    at: str
    holds: str
    says: str  # also what is said when `tells` fails
    tells: str = ""  # a CEL expression for the message
    field: str = ""  # the field to blame, relative to `at`
    reason: Reason = "FieldValueInvalid"

    def below(self, spec: str) -> "Rule":
        """The same rule with the path of the VMI spec filled in."""
        return replace(self, says=self.says.replace(SPEC, spec), tells=self.tells.replace(SPEC, spec))

    def validation(self) -> dict[str, Any]:
        """The rule as an item of x-kubernetes-validations."""
        optional = {
            "messageExpression": self.tells,
            "fieldPath": self.field,
            "reason": "" if self.reason == "FieldValueInvalid" else self.reason,
        }
        return {"rule": self.holds, "message": self.says} | {key: value for key, value in optional.items() if value}


def formatted(text: str, *values: str) -> str:
    """CEL for a message with values in it. (Only `format` has a bounded estimated cost; `+` has not.)"""
    return f"{json.dumps(text)}.format([{', '.join(values)}])"


@dataclass(frozen=True)
class Check:
    """Part of a rule for the items of a list. `holds` may use `k`, the index of the item.

    In `says`, `%d` is the index; `values` are CEL for the `%s` after it.
    """

    holds: str
    says: str
    values: tuple[str, ...] = ()

    def message(self) -> str:
        """CEL for what is said of the item that breaks it."""
        return formatted(self.says, *(["k"] if "%d" in self.says else []), *self.values)


def each(at: str, item: str, *checks: Check, where: str = "true", over: str = "self") -> Rule:
    """One rule for each item of the list `over` that `where` picks; it tells of the first item that breaks a check.

    One rule, however many checks: on an object that is all right, the cost of a rule is that of getting into it.
    """
    *others, last = checks
    holds = " && ".join(f"({check.holds})" for check in checks)
    message = "".join(f"!({check.holds}) ? {check.message()} : " for check in others) + last.message()
    return Rule(
        at,
        unless(over, f"{over}.all(k, {item}, !({where}) || ({holds}))"),
        "; ".join(check.says.replace("%d", "").replace("%s", "...") for check in checks),
        f"{over}.transformList(k, {item}, {where} && !({holds}), {message})[0]",
        field="" if over == "self" else over.removeprefix("self"),
    )


def unless(over: str, rule: str) -> str:
    """CEL: the rule, if the list that it is about is there."""
    return rule if over == "self" else f"!has({over}) || {rule}"


def unique_names(at: str) -> Check:
    """No two items of the list have one name; the message tells which two."""
    return Check(
        "!self.exists(j, o, j < k && o.name == x.name)",
        f"{SPEC}.{at}[%d] and {SPEC}.{at}[%d] must not have the same Name.",
        ("self.map(o, o.name == x.name).indexOf(true)",),
    )


def at_most_one(item: str, fields: Sequence[str]) -> str:
    return f"{count(item, fields)} <= 1"


def count(item: str, fields: Sequence[str]) -> str:
    """CEL: how many of the fields are there."""
    return f"[{', '.join(f'has({item}.{field})' for field in fields)}].filter(x, x).size()"
