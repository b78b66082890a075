"""What an index of a pool is: a name, and a VirtualMachine's spec in which disks and references have it. Pure."""

from collections.abc import Iterable, Iterator, Set
from itertools import count

from hostler.api.kubevirt.pool import REVISION, VirtualMachinePool
from hostler.api.kubevirt.vm import VirtualMachine
from hostler.api.meta import ObjectMeta
from hostler.runtime.protocol import Raw

CLOUD_INIT = ("cloudInitNoCloud", "cloudInitConfigDrive")
SECRET_REFS = ("secretRef", "networkDataSecretRef")


def name(pool: VirtualMachinePool, number: int) -> str:
    return f"{pool.metadata.name}-{number}"


def index(pool: VirtualMachinePool, vm: VirtualMachine) -> int | None:
    """The number in a VM's name; None if it is not a name of this pool."""
    head, _, tail = vm.metadata.name.rpartition("-")
    own = head == pool.metadata.name and tail.isdecimal() and str(int(tail)) == tail
    return int(tail) if own else None


def free(pool: VirtualMachinePool, taken: Set[str]) -> Iterator[int]:
    """The lowest first, without end."""
    return (number for number in count() if name(pool, number) not in taken)


def marks(meta: ObjectMeta | None) -> Raw:
    """A template's metadata in one form: what of it is carried."""
    return {
        "labels": dict(meta.labels) if meta else {},
        "annotations": dict(meta.annotations) if meta else {},
    }


def content(pool: VirtualMachinePool) -> Raw:
    """All that a VM of the pool is made of: two states of the template are equal when these are."""
    template, naming = pool.spec.virtual_machine_template, pool.spec.name_generation
    spec = template.spec.model_dump(mode="json", by_alias=True, exclude_unset=True) if template.spec else {}
    if template.spec:
        spec["template"]["metadata"] = marks(template.spec.template.metadata)
    return {
        "virtualMachineTemplate": {"metadata": marks(template.metadata), "spec": spec},
        "nameGeneration": naming.model_dump(mode="json", by_alias=True, exclude_unset=True) if naming else {},
    }


def spec(made_of: Raw, number: int, revision: str) -> Raw:
    """The VirtualMachine's spec of an index; nothing of `made_of` is changed."""
    given, naming = made_of["virtualMachineTemplate"]["spec"], made_of["nameGeneration"]
    suffix = f"-{number}"
    disks = given.get("dataVolumeTemplates") or ()
    own = {each["metadata"]["name"] for each in disks}
    template = given["template"]
    labels = template["metadata"]["labels"] | {REVISION: revision}
    guest = template.get("spec") or {}
    if volumes := guest.get("volumes"):
        guest = guest | {"volumes": [numbered(each, suffix, own, naming) for each in volumes]}
    made: Raw = given | {"template": template | {"metadata": template["metadata"] | {"labels": labels}, "spec": guest}}
    if disks:
        made["dataVolumeTemplates"] = [suffixed(each, ("metadata", "name"), suffix) for each in disks]
    return made


def numbered(volume: Raw, suffix: str, own: Set[str], naming: Raw) -> Raw:
    """A volume whose references have the index, where they are to have it."""
    for source, field in (("dataVolume", "name"), ("persistentVolumeClaim", "claimName")):
        if (volume.get(source) or {}).get(field) in own:
            volume = suffixed(volume, (source, field), suffix)
    if naming.get("appendIndexToConfigMapRefs"):
        volume = all_suffixed(volume, (("configMap", "name"), ("sysprep", "configMap", "name")), suffix)
    if naming.get("appendIndexToSecretRefs"):
        secrets = (("secret", "secretName"), ("sysprep", "secret", "name"))
        cloud_init = ((source, ref, "name") for source in CLOUD_INIT for ref in SECRET_REFS)
        volume = all_suffixed(volume, (*secrets, *cloud_init), suffix)
    return volume


def all_suffixed(tree: Raw, paths: Iterable[tuple[str, ...]], suffix: str) -> Raw:
    for path in paths:
        tree = suffixed(tree, path, suffix)
    return tree


def suffixed(tree: Raw, path: tuple[str, ...], suffix: str) -> Raw:
    """A copy of the tree with the suffix at the text at this path, if there is one."""
    head, *rest = path
    value = tree.get(head)
    if not value:
        return tree
    return tree | {head: suffixed(value, tuple(rest), suffix) if rest else value + suffix}


def disk_names(pool: VirtualMachinePool, number: int) -> tuple[str, ...]:
    """Of the DataVolumes, and so the claims, that an index has for itself."""
    template = pool.spec.virtual_machine_template.spec
    named = (each.metadata for each in (template.data_volume_templates if template else ()))
    return tuple(f"{meta.name}-{number}" for meta in named if meta)
