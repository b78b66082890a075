"""What the launcher pod takes over from the VMI: names, DNS, probes, and what becomes of it on a drain."""

from hostler.api.rules.rule import Rule, count, formatted

HANDLERS = ("httpGet", "tcpSocket", "exec", "guestAgentPing")
EVICTION = ("None", "LiveMigrate", "LiveMigrateIfPossible", "External")


def label(field: str) -> Rule:
    """The pod's own rule: one DNS label."""
    says = f"SPEC.{field} does not conform to the kubernetes DNS_LABEL rules :"
    problem = "format.dns1123Label().validate(self).value()[0]"
    return Rule(
        field,
        "self == '' || !format.dns1123Label().validate(self).hasValue()",
        f"{says} a lowercase RFC 1123 label",
        formatted(f"{says} %s", problem),
    )


def probe(name: str) -> tuple[Rule, ...]:
    path = f"SPEC.{name}"
    return (
        Rule(name, f"{count('self', HANDLERS)} <= 1", f"{path} must have exactly one probe type set"),
        Rule(
            name,
            f"{count('self', HANDLERS)} >= 1",
            f"either {path}.tcpSocket, {path}.exec or {path}.httpGet must be set if a {path} is specified",
            reason="FieldValueRequired",
        ),
    )


NAMES = (label("hostname"), label("subdomain"))

DNS = (
    Rule(
        "",
        "!has(self.dnsPolicy) || self.dnsPolicy != 'None' || (has(self.dnsConfig) "
        "&& has(self.dnsConfig.nameservers) && self.dnsConfig.nameservers.size() > 0)",
        "must provide `dnsConfig` when `dnsPolicy` is None",
        "has(self.dnsConfig) ? 'must provide at least one DNS nameserver when `dnsPolicy` is None' "
        ": 'must provide `dnsConfig` when `dnsPolicy` is None'",
        ".dnsConfig",
        "FieldValueRequired",
    ),
    Rule("dnsConfig.nameservers", "size(self) <= 3", "must not have more than 3 nameservers"),
    Rule(
        "dnsConfig.nameservers[]",
        "isIP(self)",
        "must be valid IP address",
        formatted("must be valid IP address: %s", "self"),
    ),
    Rule("dnsConfig.searches", "size(self) <= 32", "must not have more than 32 search paths"),
    Rule("dnsConfig.options[]", "has(self.name) && self.name != ''", "Option.Name must not be empty"),
)

STRATEGIES = (
    Rule(
        "evictionStrategy",
        f"self in {list(EVICTION)}",
        "SPEC.evictionStrategy is set with an unrecognized option",
        formatted("SPEC.evictionStrategy is set with an unrecognized option: %s", "self"),
    ),
    Rule(
        "startStrategy",
        "self == 'Paused'",
        "SPEC.startStrategy is set with an unrecognized option",
        formatted("SPEC.startStrategy is set with an unrecognized option: %s", "self"),
    ),
    Rule(
        "architecture",
        "self in ['', 'amd64']",
        "unsupported architecture",
        formatted("unsupported architecture: %s", "self"),
    ),
    Rule(
        "terminationGracePeriodSeconds",
        "self >= 0",
        "must be greater than or equal to 0",
    ),
)

RULES = (*NAMES, *DNS, *probe("livenessProbe"), *probe("readinessProbe"), *STRATEGIES)
