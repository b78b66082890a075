"""What VirtualMachineDeployments, -DaemonSets and -StatefulSets keep to: apps/v1's rules in apps/v1's words."""

from dataclasses import replace

from hostler.api.rules.replicaset import MATCHES_EXPRESSIONS, MATCHES_LABELS, TEMPLATE_LABELS
from hostler.api.rules.rule import Check, Rule, each

NEGATIVE = "must be greater than or equal to 0"
IMMUTABLE = "field is immutable"
PERCENT = (
    "a valid percent string must be a numeric string followed by an ending '%' (e.g. '1%',  or '93%', "
    "regex used for validation is '[0-9]+%')"
)
LABEL_VALUE = (
    "a valid label must be an empty string or consist of alphanumeric characters, '-', '_' or '.', and must start and "
    "end with an alphanumeric character (e.g. 'MyValue',  or 'my_value',  or '12345', regex used for validation is "
    "'(([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9])?')"
)
ZERO = "[dyn(0), dyn('0%')]"


def counts(*fields: str) -> tuple[Rule, ...]:
    return tuple(Rule(f"spec.{field}", "self >= 0", NEGATIVE) for field in fields)


def portion(at: str, *, whole: bool = False) -> tuple[Rule, ...]:
    """A number of members, or a percentage of them; `whole`: that may be above 100."""
    rules = (
        Rule(at, "type(self) != int || self >= 0", NEGATIVE),
        Rule(at, "type(self) != string || self.matches('^[0-9]+%$')", PERCENT),
    )
    most = Rule(
        at,
        "type(self) != string || !self.matches('^[0-9]+%$') || self.matches('^0*(100|[0-9]{1,2})%$')",
        "must not be greater than 100%",
    )
    return rules if whole else (*rules, most)


EXPRESSIONS = (
    Rule(
        "spec.selector.matchExpressions[]",
        "self.operator in ['In', 'NotIn', 'Exists', 'DoesNotExist']",
        "not a valid selector operator",
        field=".operator",
    ),
    Rule(
        "spec.selector.matchExpressions[]",
        "!(self.operator in ['In', 'NotIn']) || (has(self.values) && size(self.values) > 0)",
        "must be specified when `operator` is 'In' or 'NotIn'",
        field=".values",
        reason="FieldValueRequired",
    ),
    Rule(
        "spec.selector.matchExpressions[]",
        "!(self.operator in ['Exists', 'DoesNotExist']) || !has(self.values) || size(self.values) == 0",
        "may not be specified when `operator` is 'Exists' or 'DoesNotExist'",
        field=".values",
        reason="FieldValueForbidden",
    ),
)


def selecting(kind: str) -> tuple[Rule, ...]:
    """The selector: there, fitting the template, for ever the same."""
    return (
        Rule(
            "spec.selector",
            "(has(self.matchLabels) && size(self.matchLabels) > 0) "
            "|| (has(self.matchExpressions) && size(self.matchExpressions) > 0)",
            f"empty selector is invalid for {kind}",
        ),
        Rule("spec.selector", "self == oldSelf", IMMUTABLE),
        *EXPRESSIONS,
        Rule(
            "spec.selector.matchLabels",
            "self.all(k, !format.labelValue().validate(self[k]).hasValue())",
            LABEL_VALUE,
        ),
        Rule(
            "spec",
            f"({MATCHES_LABELS}) && ({MATCHES_EXPRESSIONS})",
            "`selector` does not match template `labels`",
            field=".template.metadata.labels",
        ),
        Rule("spec.template", "has(self.spec)", "missing virtual machine template.", field=".spec"),
        TEMPLATE_LABELS,
    )


DEPLOYMENT_RULES = (
    *selecting("deployment"),
    *counts("minReadySeconds", "progressDeadlineSeconds", "replicas", "revisionHistoryLimit"),
    Rule(
        "spec",
        "!has(self.progressDeadlineSeconds) "
        "|| self.progressDeadlineSeconds > (has(self.minReadySeconds) ? self.minReadySeconds : 0)",
        "must be greater than minReadySeconds",
        field=".progressDeadlineSeconds",
    ),
    Rule(
        "spec.strategy",
        "!has(self.type) || self.type != 'Recreate' || !has(self.rollingUpdate)",
        "may not be specified when strategy `type` is 'Recreate'",
        field=".rollingUpdate",
        reason="FieldValueForbidden",
    ),
    *portion("spec.strategy.rollingUpdate.maxSurge", whole=True),
    *portion("spec.strategy.rollingUpdate.maxUnavailable"),
    Rule(
        "spec.strategy.rollingUpdate",
        f"!has(self.maxSurge) || !has(self.maxUnavailable) || !(dyn(self.maxSurge) in {ZERO} "
        f"&& dyn(self.maxUnavailable) in {ZERO})",
        "may not be 0 when `maxSurge` is 0",
        field=".maxUnavailable",
    ),
)

DAEMON_SET_RULES = (
    *selecting("daemonset"),
    *counts("minReadySeconds", "revisionHistoryLimit"),
    *portion("spec.updateStrategy.rollingUpdate.maxSurge"),
    *portion("spec.updateStrategy.rollingUpdate.maxUnavailable"),
    Rule(
        "spec.updateStrategy.rollingUpdate",
        f"!has(self.maxSurge) || !has(self.maxUnavailable) || !(dyn(self.maxSurge) in {ZERO} "
        f"&& dyn(self.maxUnavailable) in {ZERO})",
        "cannot be 0 when maxSurge is 0",
        field=".maxUnavailable",
        reason="FieldValueRequired",
    ),
    Rule(
        "spec.updateStrategy.rollingUpdate",
        f"!has(self.maxSurge) || dyn(self.maxSurge) in {ZERO} || !has(self.maxUnavailable) "
        f"|| dyn(self.maxUnavailable) in {ZERO}",
        "may not be set when maxUnavailable is non-zero",
        field=".maxSurge",
    ),
)

CLAIMS = "self.volumeClaimTemplates"
VOLUMES = "self.dataVolumeTemplates"
CLAIM_NAMES = f"(has({CLAIMS}) ? {CLAIMS}.map(t, has(t.metadata) && has(t.metadata.name) ? t.metadata.name : '') : [])"
VOLUME_NAMES = (
    f"(has({VOLUMES}) ? {VOLUMES}.map(t, has(t.metadata) && has(t.metadata.name) ? t.metadata.name : '') : [])"
)

DISKS_HAVE_VOLUMES = each(
    "spec",
    "d",
    Check(
        "(has(self.template.spec.volumes) && self.template.spec.volumes.exists(v, v.name == d.name)) "
        f"|| d.name in {CLAIM_NAMES} || d.name in {VOLUME_NAMES}",
        "spec.template.spec.domain.devices.disks[%d].name '%s' not found.",
        ("d.name",),
    ),
    over="self.template.spec.domain.devices.disks",
)
LONGEST_STATEFUL_SET = 52  # its name and a revision's hash are a label's value

STATEFUL_SET_RULES = (
    *selecting("statefulset"),
    Rule(
        "",
        f"self.metadata.name.size() <= {LONGEST_STATEFUL_SET}",
        f"metadata.name: must be no more than {LONGEST_STATEFUL_SET} characters",
    ),
    replace(DISKS_HAVE_VOLUMES, holds=f"!has(self.template.spec) || {DISKS_HAVE_VOLUMES.holds}"),
    *counts("minReadySeconds", "ordinals.start", "replicas", "revisionHistoryLimit"),
    *counts("updateStrategy.rollingUpdate.partition"),
    *portion("spec.updateStrategy.rollingUpdate.maxUnavailable"),
    Rule(
        "spec.updateStrategy.rollingUpdate",
        f"!has(self.maxUnavailable) || !(dyn(self.maxUnavailable) in {ZERO})",
        "cannot be 0",
        field=".maxUnavailable",
    ),
    Rule(
        "spec.updateStrategy",
        "!has(self.type) || self.type != 'OnDelete' || !has(self.rollingUpdate)",
        "only allowed for updateStrategy 'RollingUpdate'",
        field=".rollingUpdate",
    ),
    each(
        "spec",
        "t",
        Check(
            "has(t.metadata) && has(t.metadata.name) && t.metadata.name != ''",
            "spec.volumeClaimTemplates[%d].metadata.name must be the name of one of the template's disks",
        ),
        over=CLAIMS,
    ),
    each(
        "spec",
        "t",
        Check(
            "has(t.metadata) && has(t.metadata.name) && t.metadata.name != ''",
            "spec.dataVolumeTemplates[%d].metadata.name must be the name of one of the template's disks",
        ),
        over=VOLUMES,
    ),
    Rule(
        "spec",
        f"{CLAIM_NAMES}.all(n, !(n in {VOLUME_NAMES}))",
        "a disk is made by volumeClaimTemplates or by dataVolumeTemplates, not by both",
        field=".dataVolumeTemplates",
    ),
    Rule(
        "spec.serviceName",
        "self == '' || !format.dns1123Label().validate(self).hasValue()",
        "a lowercase RFC 1123 label must consist of lower case alphanumeric characters or '-', and must start and end "
        "with an alphanumeric character (e.g. 'my-name',  or '123-abc', regex used for validation is "
        "'[a-z0-9]([-a-z0-9]*[a-z0-9])?')",
    ),
)
