"""Interfaces and networks: they come in pairs, and each pair has one way to be joined."""

from hostler.api.rules.rule import Check, Rule, count, each, formatted

INTERFACES = "domain.devices.interfaces"
INTERFACE = f"SPEC.{INTERFACES}[%d]"
NETWORKS = "networks"
GONE = ("slirp", "macvtap", "passt")  # KubeVirt had them once
BINDINGS = ("bridge", "masquerade", "sriov", "passtBinding", "binding", *GONE)
MODELS = ("e1000", "e1000e", "ne2k_pci", "pcnet", "rtl8139", "virtio")
STATES = ("", "up", "down", "absent")
# a card's own address: six bytes, not a multicast one
MAC = "^[0-9a-fA-F][02468aceACE]([:-][0-9a-fA-F]{2}){5}$"
BRIDGE_MAC = "02:00:00:00:00:00"
PORT_NAME = "^[a-z0-9]([a-z0-9-]{0,13}[a-z0-9])?$"
NETWORK_TYPES = count("self", ("pod", "multus", "resourceClaim"))

PAIRS = (
    each(
        "",
        "i",
        Check(
            "has(self.networks) && self.networks.exists(n, n.name == i.name)",
            f"{INTERFACE}.name '%s' not found.",
            ("i.name",),
        ),
        Check(
            "!has(i.masquerade) || self.networks.all(n, n.name != i.name || has(n.pod))",
            "Masquerade interface only implemented with pod network",
        ),
        over=f"self.{INTERFACES}",
    ),
    each(
        "",
        "n",
        Check(
            f"has(self.{INTERFACES}) && self.{INTERFACES}.exists(i, i.name == n.name)",
            f"SPEC.{NETWORKS}[%d].name '%s' not found.",
            ("n.name",),
        ),
        over="self.networks",
    ),
)

NETWORK = (
    each(
        NETWORKS,
        "n",
        Check(
            "!self.exists(j, o, j < k && o.name == n.name)",
            'Network with name "%s" already exists, every network must have a unique name',
            ("n.name",),
        ),
        Check(
            "!has(n.pod) || !self.exists(j, o, j < k && has(o.pod))",
            "more than one interface is connected to a pod network in SPEC.interfaces",
        ),
    ),
    Rule(
        f"{NETWORKS}[]",
        f"{NETWORK_TYPES} == 1",
        "should have a network type",
        f"{NETWORK_TYPES} == 0 ? 'should have a network type' : 'should have only one network type'",
        reason="FieldValueRequired",
    ),
)

ADDRESSES = (
    Rule(
        f"{NETWORKS}[].pod.vmNetworkCIDR",
        "self == '' || (isCIDR(self) && cidr(self).ip().family() == 4 && cidr(self).prefixLength() <= 30)",
        f"SPEC.{NETWORKS}[].pod.vmNetworkCIDR is not an IPv4 network of /30 or larger",
        formatted(f"SPEC.{NETWORKS}[].pod.vmNetworkCIDR '%s' is not an IPv4 network of /30 or larger", "self"),
    ),
)

CARD = (
    each(
        INTERFACES,
        "i",
        Check(
            "!self.exists(j, o, j < k && o.name == i.name)",
            "Only one interface can be connected to one specific network",
        ),
        Check(
            f"{count('i', BINDINGS)} == 1",
            "logical %s interface must have exactly one binding method or binding plugin",
            ("i.name",),
        ),
        Check(
            f"!has(i.model) || i.model in {['', *MODELS]}",
            f"interface {INTERFACE}.name uses model %s that is not supported.",
            ("i.model",),
        ),
        Check(
            f"!has(i.macAddress) || i.macAddress == '' || i.macAddress.matches('{MAC}')",
            f"interface {INTERFACE}.name has malformed MAC address (%s).",
            ("i.macAddress",),
        ),
        Check(
            f"!has(i.state) || i.state in {list(STATES)}",
            "logical %s interface state value is unsupported: %s",
            ("i.name", "i.state"),
        ),
        Check("!has(i.bootOrder) || i.bootOrder > 0", f"{INTERFACE} must have a boot order > 0, if supplied"),
    ),
    each(
        "domain.devices",
        "i",
        Check(
            "!self.interfaces.exists(j, o, j < k && has(o.bootOrder) && o.bootOrder == i.bootOrder) "
            "&& (!has(self.disks) || !self.disks.exists(d, has(d.bootOrder) && d.bootOrder == i.bootOrder))",
            f"Boot order for {INTERFACE}.bootOrder already set for a different device.",
        ),
        over="self.interfaces",
        where="has(i.bootOrder)",
    ),
    Rule(
        f"{INTERFACES}[].name",
        "self.matches('^[A-Za-z0-9-_]+$')",
        "Network interface name can only contain alphabetical characters, numbers, dashes (-) or underscores (_)",
    ),
    Rule(
        f"{INTERFACES}[].macAddress",
        f"self != '{BRIDGE_MAC}'",
        "The requested MAC address is reserved for the in-pod bridge. Please choose another one.",
    ),
    *(
        Rule(
            f"{INTERFACES}[].{name}",
            "false",
            f"{name.capitalize()} interface support has been discontinued since v1.3",
        )
        for name in GONE
    ),
)

RANGES = (
    *(
        Rule(
            f"{INTERFACES}[].portRanges[].{end}",
            "0 < self && self < 65536",
            "Port field must be in range 0 < x < 65536.",
        )
        for end in ("start", "end")
    ),
    Rule(
        f"{INTERFACES}[].portRanges[].protocol",
        "self in ['TCP', 'UDP']",
        "Unknown protocol, only TCP or UDP allowed",
    ),
    Rule(
        f"{INTERFACES}[].portRanges[]",
        "self.start <= self.end",
        "the start of a port range must not be greater than its end",
        field=".start",
    ),
)

PORTS = (
    Rule(f"{INTERFACES}[].ports[]", "self.port != 0", "Port field is mandatory.", reason="FieldValueRequired"),
    Rule(
        f"{INTERFACES}[].ports[]",
        "0 <= self.port && self.port < 65536",
        "Port field must be in range 0 < x < 65536.",
    ),
    Rule(
        f"{INTERFACES}[].ports[].protocol",
        "self in ['', 'TCP', 'UDP']",
        "Unknown protocol, only TCP or UDP allowed",
    ),
    Rule(
        f"{INTERFACES}[].ports[].name",
        f"self == '' || (self.matches('{PORT_NAME}') && self.matches('[a-z]') && !self.contains('--'))",
        "Invalid name of the port",
        formatted("Invalid name of the port: %s", "self"),
    ),
    each(
        f"{INTERFACES}[].ports",
        "p",
        Check(
            "p.name == '' || !self.exists(j, o, j < k && has(o.name) && o.name == p.name)",
            "Duplicate name of the port: %s",
            ("p.name",),
        ),
        where="has(p.name)",
    ),
)

RULES = (*PAIRS, *NETWORK, *ADDRESSES, *CARD, *PORTS, *RANGES)
