"""The DataVolumes of a VirtualMachine: made with it, waited for, and gone with it. Pure."""

from collections.abc import Mapping

from controllers.launcher_volumes import claim_name
from hostler.api import cdi, launcher
from hostler.api.cdi import DataVolume
from hostler.api.kubevirt.vm import DataVolumeTemplateSpec, VirtualMachine
from hostler.api.objects import PersistentVolumeClaim
from hostler.runtime.plan import Create, Event, owner_reference

# a volume that waits for its first consumer waits for the guest's pod
USABLE = (cdi.SUCCEEDED, "WaitForFirstConsumer", "PendingPopulation")
BROKEN = ("Error", "ImagePullFailed")  # reasons of a DataVolume that does not run

Volumes = Mapping[str, DataVolume]
Claims = Mapping[str, PersistentVolumeClaim]


def names(vm: VirtualMachine) -> tuple[str, ...]:
    """The claims, and so the DataVolumes, that the VM's guest uses or that are to be made for it."""
    spec = vm.spec.template.spec
    used = [name for volume in (spec.volumes if spec else ()) if (name := claim_name(volume))]
    made = [template.metadata.name for template in vm.spec.data_volume_templates if template.metadata]
    return tuple(dict.fromkeys((*used, *made)))


def missing(vm: VirtualMachine, volumes: Volumes, claims: Claims) -> tuple[Create, ...]:
    """DataVolumes to make; none where the claim is there already: its DataVolume was tidied away."""
    wanted = (each for each in vm.spec.data_volume_templates if each.metadata)
    return tuple(create(vm, each) for each in wanted if not {name_of(each)} & {*volumes, *claims})


def name_of(template: DataVolumeTemplateSpec) -> str:
    return template.metadata.name if template.metadata else ""


def create(vm: VirtualMachine, template: DataVolumeTemplateSpec) -> Create:
    meta = template.metadata
    labels = {launcher.CREATED_BY: vm.metadata.uid}
    body = {
        "metadata": {
            "name": name_of(template),
            "namespace": vm.metadata.namespace,
            "labels": (dict(meta.labels) if meta else {}) | labels,
            "annotations": dict(meta.annotations) if meta else {},
            "ownerReferences": [owner_reference(vm)],
        },
        "spec": template.spec.model_dump(mode="json", by_alias=True, exclude_unset=True),
    }
    spec = vm.spec.template.spec
    if spec and spec.priority_class_name and not template.spec.priority_class_name:
        body["spec"]["priorityClassName"] = spec.priority_class_name
    return Create(DataVolume, body)


def created(action: Create) -> Event:
    return Event("SuccessfulDataVolumeCreate", f"Created DataVolume {action.body['metadata']['name']}")


def broken(volumes: Volumes) -> DataVolume | None:
    """One that will not be filled as it is."""
    return next((each for each in volumes.values() if fails(each)), None)


def fails(volume: DataVolume) -> bool:
    found = volume.status.conditions if volume.status else ()
    stopped = any(c.type == "Running" and c.status == "False" and c.reason in BROKEN for c in found)
    return volume.phase == cdi.FAILED or stopped


def filling(volumes: Volumes) -> DataVolume | None:
    """One that is to be waited for before there is a guest."""
    return next((each for each in volumes.values() if each.phase not in USABLE), None)
