"""DataVolumes: one source, one way to say what the claim is like, and a spec that stays."""

from hostler.api.cdi import DataVolumeSpecSource
from hostler.api.rules.rule import Rule, count

SOURCES = tuple(DataVolumeSpecSource.model_fields)
CHECKSUM = "^(md5:[0-9a-fA-F]{32}|sha1:[0-9a-fA-F]{40}|sha256:[0-9a-fA-F]{64}|sha512:[0-9a-fA-F]{128})$"
MESSAGE = "not supported by hostler"

# What is not carried out yet: the CEL that is true of what is let through.
NOT_YET = {
    "spec.checkpoints": "size(self) == 0",
    "spec.contentType": "self != 'archive'",
    "spec.finalCheckpoint": "!self",
    "spec.preallocation": "!self",
    "spec.pvc.dataSource": "false",
    "spec.pvc.dataSourceRef": "false",
    "spec.source.gcs": "false",
    "spec.source.http.secretExtraHeaders": "size(self) == 0",
    "spec.source.imageio": "false",
    "spec.source.registry": "false",
    "spec.source.s3": "false",
    "spec.source.snapshot": "false",
    "spec.source.vddk.extraArgs": "self == ''",
    "spec.source.vddk.initImageURL": "self == ''",
    "spec.sourceRef": "false",
    "spec.storage.dataSource": "false",
    "spec.storage.dataSourceRef": "false",
}

RULES = (
    Rule("spec", "self == oldSelf", "Cannot update DataVolume Spec", reason="FieldValueForbidden"),
    Rule(
        "spec",
        "has(self.source) != has(self.sourceRef)",
        "Data volume should have either Source or SourceRef, and not both",
        field=".source",
    ),
    Rule("spec.source", f"{count('self', SOURCES)} == 1", "Data Volume should have exactly one source"),
    Rule(
        "spec",
        "has(self.pvc) != has(self.storage)",
        "Data volume should have either PVC or Storage, and not both",
        field=".storage",
    ),
    Rule(
        "spec.source.http.url",
        "self.startsWith('http://') || self.startsWith('https://')",
        "spec.source.http.url must begin with http:// or https://",
    ),
    Rule(
        "spec.source.http.checksum",
        f"self == '' || self.matches('{CHECKSUM}')",
        "spec.source.http.checksum must be md5:, sha1:, sha256: or sha512: and as many hexadecimal digits as it has",
    ),
    Rule(
        "spec.source.vddk",
        "has(self.url) && self.url.startsWith('https://') && has(self.uuid) && self.uuid != '' "
        "&& has(self.backingFile) && self.backingFile != '' && has(self.secretRef) && self.secretRef != ''",
        "spec.source.vddk needs url (https://HOST/sdk), uuid, backingFile and secretRef",
        reason="FieldValueRequired",
    ),
    Rule(
        "spec.contentType",
        "self in ['', 'kubevirt', 'archive']",
        "ContentType not one of: kubevirt, archive",
    ),
    *(Rule(path, holds, f"{path}: {MESSAGE}", reason="FieldValueForbidden") for path, holds in NOT_YET.items()),
)
