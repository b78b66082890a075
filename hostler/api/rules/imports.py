"""Imports: one source each, machines named by name or id, and a plan that stays as it was begun."""

from hostler.api.rules.rule import Rule

THUMBPRINT = "^([0-9a-fA-F]{2}:?){31}[0-9a-fA-F]{2}$|^([0-9a-fA-F]{2}:?){19}[0-9a-fA-F]{2}$"
LABEL = "^[a-z0-9]([-a-z0-9]*[a-z0-9])?$"


WORD, NAME, ADDRESS = 64, 253, 2048  # characters

SOURCE_LIMITS = {
    "spec.vsphere.url": ADDRESS,
    "spec.vsphere.thumbprint": 128,
    "spec.ova.url": ADDRESS,
    "spec.ova.thumbprint": 128,
    "status.machines": 1000,
}
PLAN_LIMITS = {
    "spec.vms": 200,
    "spec.vms[].name": NAME,
    "spec.vms[].id": NAME,
    "spec.vms[].targetName": WORD,
    "spec.targetNamespace": WORD,
    "spec.source.name": NAME,
    "spec.map.networks": 128,
    "spec.map.networks[].source": NAME,
    "spec.map.storage": 128,
    "spec.map.storage[].source": NAME,
    "spec.map.storage[].storageClass": NAME,
    "spec.map.storage[].accessMode": WORD,
}


def thumbprint(path: str) -> Rule:
    return Rule(
        path,
        f"self == '' || self.matches('{THUMBPRINT}')",
        f"{path} must be the SHA-256 (64 hexadecimal digits) or SHA-1 (40) of the server's certificate",
    )


SOURCE = (
    Rule("spec", "has(self.vsphere) != has(self.ova)", "an ImportSource has exactly one of spec.vsphere and spec.ova"),
    Rule(
        "spec.vsphere.url",
        "isURL(self) && url(self).getScheme() == 'https'",
        "spec.vsphere.url must be https://HOST[:PORT]/sdk",
    ),
    Rule(
        "spec.ova.url",
        "isURL(self) && url(self).getScheme() in ['http', 'https'] && !self.contains('#')",
        "spec.ova.url must be the http or https address of one OVA file",
    ),
    Rule("spec.refreshSeconds", "self == 0 || self >= 60", "spec.refreshSeconds must be at least 60, or 0 for never"),
    thumbprint("spec.vsphere.thumbprint"),
    thumbprint("spec.ova.thumbprint"),
)

PLAN = (
    Rule(
        "spec", "self == oldSelf", "an ImportPlan's spec cannot be changed: make another", reason="FieldValueForbidden"
    ),
    Rule("spec.vms", "size(self) > 0", "spec.vms must name at least one machine", reason="FieldValueRequired"),
    Rule(
        "spec.vms[]",
        "(has(self.name) && self.name != '') || (has(self.id) && self.id != '')",
        "each of spec.vms needs a name or an id",
        reason="FieldValueRequired",
    ),
    Rule(
        "spec.vms[].targetName",
        f"self.matches('{LABEL}')",
        "targetName must be lower case letters, digits and dashes, and begin and end with a letter or digit",
    ),
    Rule(
        "spec.warm",
        "!self",
        "spec.warm: not supported by hostler yet; machines are switched off for their import",
        reason="FieldValueForbidden",
    ),
    Rule("spec.shutdownSeconds", "self >= 0", "spec.shutdownSeconds must not be negative"),
)
