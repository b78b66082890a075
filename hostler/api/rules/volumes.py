"""Volumes: one source each, paths that stay inside their image, cloud-init data of a size that etcd can carry."""

from hostler.api.kubevirt.storage import Volume
from hostler.api.rules.rule import Check, Rule, count, each, unique_names

VOLUMES = "volumes"
VOLUME = f"SPEC.{VOLUMES}[%d]"
SOURCES = tuple(field.alias or name for name, field in Volume.model_fields.items() if name != "name")
CLOUD_INIT = ("cloudInitNoCloud", "cloudInitConfigDrive")
LONGEST_DATA = 2048
BASE64 = "^[A-Za-z0-9+/]*=?=?$"  # and a multiple of four; the cost of a match grows with the pattern
PATH = "v.containerDisk.path"


def cloud_init(source: str) -> Rule:
    value = f"v.{source}"
    ways = (said(f"{value}.userData"), said(f"{value}.userDataBase64"), referred(f"{value}.secretRef"))
    network = (said(f"{value}.networkData"), said(f"{value}.networkDataBase64"))
    network_ways = (*network, referred(f"{value}.networkDataSecretRef"))
    path = f"{VOLUME}.{source}"
    return each(
        VOLUMES,
        "v",
        Check(at_most_one_of(ways), f"{path} must have only one userdatasource set."),
        base64(source, "userDataBase64"),
        short(source, "userData", "userdata"),
        Check(at_most_one_of(network_ways), f"{path} must have only one networkdata source set."),
        base64(source, "networkDataBase64"),
        short(source, "networkData", "networkdata"),
        Check(
            " || ".join((*ways, *network_ways)),
            f"{path} must have at least one userdatasource or one networkdatasource set.",
        ),
        where=f"has({value})",
    )


def said(value: str) -> str:
    """CEL: there is this text."""
    return f"(has({value}) && {value} != '')"


def referred(value: str) -> str:
    """CEL: there is this reference to a secret."""
    return f"(has({value}) && has({value}.name) && {value}.name != '')"


def at_most_one_of(ways: tuple[str, ...]) -> str:
    return f"[{', '.join(ways)}].filter(x, x).size() <= 1"


def base64(source: str, field: str) -> Check:
    value = f"v.{source}.{field}"
    return Check(
        f"!has({value}) || ({value}.matches('{BASE64}') && size({value}) % 4 == 0)",
        f"{VOLUME}.{source}.{field}.{source}.{field} is not a valid base64 value.",
    )


def short(source: str, field: str, word: str) -> Check:
    """The data is within the limit, in plain text and in base64."""
    plain, coded = f"v.{source}.{field}", f"v.{source}.{field}Base64"
    padding = f"({coded}.endsWith('==') ? 2 : {coded}.endsWith('=') ? 1 : 0)"
    secret = f"{field[0].upper()}{field[1:]}SecretRef"
    return Check(
        f"(!has({plain}) || size(bytes({plain})) <= {LONGEST_DATA}) "
        f"&& (!has({coded}) || size({coded}) / 4 * 3 - {padding} <= {LONGEST_DATA})",
        f"{VOLUME}.{source} {word} exceeds {LONGEST_DATA} byte limit. Should use {secret} for larger data.",
    )


RULES = (
    each(
        VOLUMES,
        "x",
        unique_names(VOLUMES),
        Check(f"{count('x', SOURCES)} == 1", f"{VOLUME} must have exactly one source type set"),
    ),
    Rule(
        f"{VOLUMES}[].name",
        "!format.dns1123Label().validate(self).hasValue()",
        "must be a lowercase RFC 1123 label",
        "format.dns1123Label().validate(self).value()[0]",
    ),
    # `..` in the path would read files of the node (CVE-2022-1798)
    each(
        VOLUMES,
        "v",
        Check(f"{PATH} != '/'", f"{VOLUME}.containerDisk must not point to root"),
        Check(
            f"{PATH} == '' || ({PATH}.matches('^(/[^/]+)+/?$') && !{PATH}.matches('/[.][.]?(/|$)'))",
            f"{VOLUME}.containerDisk must be an absolute path to a file without relative components",
        ),
        where=f"has(v.containerDisk) && has({PATH})",
    ),
    *map(cloud_init, CLOUD_INIT),
)
