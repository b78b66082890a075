"""What a VirtualMachineInstanceMigration may say; it is never changed afterwards."""

from hostler.api.rules.rule import Rule

PRIORITIES = ("system-critical", "user-triggered", "system-maintenance")

RULES = (
    Rule("spec", "has(self.vmiName) && self.vmiName != ''", "vmiName is missing", field=".vmiName"),
    Rule("spec", "self == oldSelf", "update of Migration object's spec is restricted"),
    Rule("spec.priority", f"self in {list(PRIORITIES)}", "priority must be one of " + ", ".join(PRIORITIES)),
    Rule(
        "spec.sendTo",
        "false",
        "spec.sendTo: not supported by hostler",
        reason="FieldValueForbidden",
    ),
    Rule(
        "spec.receive",
        "false",
        "spec.receive: not supported by hostler",
        reason="FieldValueForbidden",
    ),
)
