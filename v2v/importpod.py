"""The pods of an import in the tenant's namespace: one looks at a source or switches a machine off, one converts."""

from collections.abc import Mapping
from pathlib import Path
from typing import Literal

from hostler.api import launcher
from hostler.api.cdi import DataVolume
from hostler.api.imports import ImportPlan, ImportSource, MachineImport
from hostler.api.meta import Model, Resource
from hostler.api.objects import Pod, RoleBinding, ServiceAccount
from hostler.runtime import names
from hostler.runtime.plan import owner_reference
from hostler.runtime.protocol import Raw
from v2v import importaccount, mapping, worker_pod
from v2v.settings import DiskSettings
from v2v.verdict import CONTAINER

LABEL, VALUE = launcher.APP_LABEL, worker_pod.IMPORT_VALUE
PART_OF = "app.kubernetes.io/part-of=hostler"
# as the controller of disks has them: both share one store
SELECTORS: dict[type[Resource], str] = {
    Pod: f"{LABEL} in ({launcher.APP_VALUE},{worker_pod.VALUE},{VALUE})",
    ServiceAccount: PART_OF,
    RoleBinding: PART_OF,
}
ENV = "HOSTLER_JOB"
CREDENTIALS, SCRATCH, DISKS = Path("/credentials"), Path("/scratch"), Path("/disks")
DEVICES = Path("/dev/disks")
CONVERT_MEMORY = "2Gi"  # virt-v2v's appliance has 1 to 1.3 GiB; under emulation QEMU needs more beside it
SHOWN = 40  # characters of what a pod is for, in its name

Work = Literal["look", "off", "convert"]


class Job(Model):
    """What a worker is to do."""

    work: Work
    namespace: str
    name: str  # of the ImportSource, or the ImportPlan
    uid: str
    url: str = ""
    ova: bool = False
    credentials: bool = False
    thumbprint: str = ""
    machine: str = ""  # off: the source's UUID; convert: the name here
    patience: int = 0
    disks: tuple[str, ...] = ()  # paths
    memory_mib: int = 512
    cpus: int = 1
    firmware: str = "bios"
    emulate: bool = False

    def text(self) -> str:
        return self.model_dump_json(by_alias=True, exclude_defaults=True)


def name(owner: Resource, target: str, work: Work) -> str:
    """Another owner's pod for a machine of the same name is another one; short enough for a pod's host name."""
    return f"import-{target[:SHOWN].rstrip('-.')}-{work}-{names.suffix(f'{owner.metadata.uid}/{target}')}"


def look(source: ImportSource, settings: DiskSettings) -> Raw:
    """Looks at the inventory; one for each generation, and each time that it is asked for."""
    pod = name(source, source.metadata.name, "look")
    return manifest(pod, source, connected(source, Job(work="look", **about(source))), source, settings)


def power(plan: ImportPlan, source: ImportSource, machine: MachineImport, patience: int, settings: DiskSettings) -> Raw:
    """Switches one machine off."""
    assert machine.source is not None  # set when it began
    job = Job(work="off", machine=mapping.identity(machine.source), patience=patience, **about(plan))
    return manifest(name(plan, str(machine.target_name), "off"), plan, connected(source, job), source, settings)


def convert(plan: ImportPlan, machine: MachineImport, volumes: Mapping[str, DataVolume], settings: DiskSettings) -> Raw:
    """virt-v2v on all disks of a machine, where they are."""
    assert machine.source is not None  # set when it began
    devices = [block(volumes.get(disk.name)) for disk in machine.disks]
    paths = [
        str(DEVICES / str(at)) if device else str(DISKS / str(at) / "disk.img") for at, device in enumerate(devices)
    ]
    job = Job(
        work="convert",
        machine=str(machine.target_name),
        disks=tuple(paths),
        memory_mib=machine.source.memory_mib,
        cpus=machine.source.cpus,
        firmware=machine.source.firmware,
        emulate=settings.use_emulation,
        **about(plan),
    )
    body = manifest(name(plan, str(machine.target_name), "convert"), plan, job, None, settings)
    spec, container = body["spec"], body["spec"]["containers"][0]
    container["image"] = settings.convert_image
    container["resources"] = {
        "requests": {"cpu": "100m", "memory": "1Gi"},
        "limits": {"memory": CONVERT_MEMORY},
    }
    for at, (disk, device) in enumerate(zip(machine.disks, devices, strict=True)):
        spec["volumes"].append({"name": f"disk{at}", "persistentVolumeClaim": {"claimName": disk.name}})
        if device:
            place = {"name": f"disk{at}", "devicePath": paths[at]}
            container.setdefault("volumeDevices", []).append(place)
        else:
            container["volumeMounts"].append({"name": f"disk{at}", "mountPath": str(DISKS / str(at))})
    return body


def block(volume: DataVolume | None) -> bool:
    spec = volume and (volume.spec.storage or volume.spec.pvc)
    return bool(spec and spec.volume_mode == "Block")


def about(resource: Resource) -> Raw:
    meta = resource.metadata
    return {"namespace": meta.namespace, "name": meta.name, "uid": meta.uid}


def connected(source: ImportSource, job: Job) -> Job:
    """The job with the way to the source in it; the password is mounted, never copied."""
    spec = source.spec.vsphere or source.spec.ova
    assert spec is not None  # CEL: exactly one
    found = {"url": spec.url, "ova": source.spec.ova is not None, "thumbprint": spec.thumbprint or ""}
    return job.model_copy(update=found | {"credentials": spec.secret_ref is not None})


def manifest(pod: str, owner: Resource, job: Job, source: ImportSource | None, settings: DiskSettings) -> Raw:
    """The whole Pod."""
    volumes: list[Raw] = [{"name": "scratch", "emptyDir": {}}]
    mounts: list[Raw] = [{"name": "scratch", "mountPath": str(SCRATCH)}]
    spec = source and (source.spec.vsphere or source.spec.ova)
    if spec and spec.secret_ref:
        secret = {"secretName": spec.secret_ref.name, "defaultMode": 0o440}
        volumes.append({"name": "credentials", "secret": secret})
        mounts.append({"name": "credentials", "mountPath": str(CREDENTIALS), "readOnly": True})
    user = {"runAsUser": launcher.UID, "runAsGroup": launcher.UID, "runAsNonRoot": True, "fsGroup": launcher.UID}
    return {
        "metadata": {
            "name": pod,
            "namespace": owner.metadata.namespace,
            "labels": {LABEL: VALUE},
            "ownerReferences": [owner_reference(owner)],
        },
        "spec": {
            "serviceAccountName": importaccount.NAME,
            "restartPolicy": "OnFailure",
            "enableServiceLinks": False,
            "terminationGracePeriodSeconds": 1,
            "securityContext": user
            | {"fsGroupChangePolicy": "OnRootMismatch", "seccompProfile": {"type": "RuntimeDefault"}},
            "imagePullSecrets": [{"name": secret} for secret in settings.pull_secrets],
            "containers": [container(job, mounts, settings)],
            "volumes": volumes,
        },
    }


def container(job: Job, mounts: list[Raw], settings: DiskSettings) -> Raw:
    environment = {ENV: job.text(), "HOME": str(SCRATCH), "TMPDIR": str(SCRATCH), "XDG_RUNTIME_DIR": str(SCRATCH)}
    return {
        "name": CONTAINER,
        "image": settings.image,
        "imagePullPolicy": settings.pull_policy,
        "command": ["python3", "-m", "v2v.importworker"],
        "env": [{"name": key, "value": value} for key, value in environment.items()],
        "resources": {"requests": {"cpu": "50m", "memory": "100Mi"}, "limits": {"memory": "600Mi"}},
        "securityContext": {
            "allowPrivilegeEscalation": False,
            "readOnlyRootFilesystem": True,
            "capabilities": {"drop": ["ALL"]},
        },
        "volumeMounts": mounts,
    }
