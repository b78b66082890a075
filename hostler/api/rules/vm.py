"""What a VirtualMachine adds: when it runs, and the disks that are made for it."""

from hostler.api.rules.replicaset import TEMPLATE_LABELS
from hostler.api.rules.rule import Check, Rule, each, formatted

RUN_STRATEGIES = ("Always", "Halted", "Manual", "RerunOnFailure", "Once", "WaitAsReceiver")
REFERENCED = (
    "has(self.template.spec) && has(self.template.spec.volumes) && self.template.spec.volumes.exists(v, "
    "(has(v.dataVolume) && v.dataVolume.name == t.metadata.name) "
    "|| (has(v.persistentVolumeClaim) && v.persistentVolumeClaim.claimName == t.metadata.name))"
)

RULES = (
    Rule(
        "spec",
        "!has(self.running) || !has(self.runStrategy)",
        "Running and RunStrategy are mutually exclusive. "
        "Note that Running is deprecated, please use RunStrategy instead",
        field=".running",
    ),
    Rule(
        "spec",
        "has(self.running) || has(self.runStrategy)",
        "RunStrategy must be specified",
        field=".runStrategy",
    ),
    Rule(
        "spec.runStrategy",
        f"self in {list(RUN_STRATEGIES)}",
        "Invalid RunStrategy",
        formatted("Invalid RunStrategy (%s)", "self"),
    ),
    each(
        "spec",
        "t",
        Check(
            f"has(t.metadata) && has(t.metadata.name) && {REFERENCED}",
            "DataVolumeTemplate entry spec.dataVolumeTemplate[%d] must be referenced "
            "in the VMI template's 'volumes' list",
        ),
        over="self.dataVolumeTemplates",
    ),
    TEMPLATE_LABELS,
    # No controller runs VirtualMachines yet: one that is stored and never starts would be worse than none.
    Rule(
        "",
        "self.kind != 'VirtualMachine'",
        "VirtualMachine: not supported by hostler yet; "
        "create a VirtualMachineInstance or VirtualMachineInstanceReplicaSet",
        field=".spec",
        reason="FieldValueForbidden",
    ),
)
