"""What a VirtualMachine adds: when it runs, and the disks that are made for it."""

from hostler.api.rules.replicaset import TEMPLATE_LABELS
from hostler.api.rules.rule import Check, Rule, each, formatted
from hostler.api.support import MESSAGE

RUN_STRATEGIES = ("Always", "Halted", "Manual", "RerunOnFailure", "Once", "WaitAsReceiver")
REFERENCED = (
    "has(self.template.spec) && has(self.template.spec.volumes) && self.template.spec.volumes.exists(v, "
    "(has(v.dataVolume) && v.dataVolume.name == t.metadata.name) "
    "|| (has(v.persistentVolumeClaim) && v.persistentVolumeClaim.claimName == t.metadata.name))"
)


def never(field: str, holds: str = "false") -> Rule:
    """A field of the VM that is refused, but for values that ask for nothing."""
    return Rule(f"spec.{field}", holds, f"spec.{field}: {MESSAGE}", reason="FieldValueForbidden")


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
    Rule("spec.template", "has(self.spec)", "missing virtual machine template.", field=".spec"),
    # known to the API, and not carried out yet
    Rule("spec.runStrategy", "self != 'WaitAsReceiver'", f"spec.runStrategy: WaitAsReceiver: {MESSAGE}"),
    never("instancetype"),
    never("preference"),
    never("updateVolumesStrategy", "self in ['', 'Replacement']"),
)
