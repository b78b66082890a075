"""What a VirtualMachineInstanceReplicaSet adds: how many, which ones, and labels that belong to us."""

from hostler.api.rules.rule import Rule

# Labels by which we find our own objects; a tenant who could set them would speak in our name.
RESERVED = (
    "kubevirt.io/created-by",
    "kubevirt.io/migrationJobUID",
    "kubevirt.io/nodeName",
    "kubevirt.io/migrationTargetNodeName",
    "kubevirt.io/schedulable",
    "kubevirt.io/install-strategy",
)
RESERVED_MESSAGE = "creation of the following reserved kubevirt.io/ labels on a VMI object is prohibited"

LABELS = "self.template.metadata.labels"
LABELLED = f"has(self.template.metadata) && has({LABELS})"
HAS_KEY = f"({LABELLED} && e.key in {LABELS})"
HAS_VALUE = f"({HAS_KEY} && has(e.values) && {LABELS}[e.key] in e.values)"

MATCHES_LABELS = (
    "!has(self.selector.matchLabels) || self.selector.matchLabels.all(k, "
    f"{LABELLED} && k in {LABELS} && {LABELS}[k] == self.selector.matchLabels[k])"
)
MATCHES_EXPRESSIONS = (
    "!has(self.selector.matchExpressions) || self.selector.matchExpressions.all(e, "
    f"e.operator == 'In' ? {HAS_VALUE} : e.operator == 'NotIn' ? !{HAS_VALUE} "
    f": e.operator == 'Exists' ? {HAS_KEY} : e.operator == 'DoesNotExist' ? !{HAS_KEY} : false)"
)

TEMPLATE_LABELS = Rule(
    "spec.template.metadata.labels",
    f"!self.exists(k, k in {list(RESERVED)})",
    RESERVED_MESSAGE,
)

RULES = (
    Rule("spec.replicas", "self >= 0", "must be greater than or equal to 0"),
    Rule(
        "spec", f"({MATCHES_LABELS}) && ({MATCHES_EXPRESSIONS})", "selector does not match labels.", field=".selector"
    ),
    Rule(
        "spec.selector",
        "(has(self.matchLabels) && size(self.matchLabels) > 0) "
        "|| (has(self.matchExpressions) && size(self.matchExpressions) > 0)",
        "empty selector is invalid: it would claim every VirtualMachineInstance of the namespace",
    ),
    TEMPLATE_LABELS,
)
