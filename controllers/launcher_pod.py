"""The Pod that runs a VirtualMachineInstance: pure, VMI and claims in, manifest out."""

from typing import Any

from controllers import launcher_volumes, migratable
from controllers.launcher_volumes import Claims, Storage
from controllers.probes import probes
from controllers.resources import resources
from controllers.settings import ManagerSettings
from hostler.api import launcher
from hostler.api.kubevirt.vmi import VirtualMachineInstance
from hostler.api.meta import Model
from hostler.runtime import names
from hostler.runtime.errors import Terminal
from hostler.runtime.plan import owner_reference
from hostler.runtime.protocol import Raw

SECURITY: Raw = {
    "runAsUser": launcher.UID,
    "runAsGroup": launcher.UID,
    "runAsNonRoot": True,
    "fsGroup": launcher.UID,
    "fsGroupChangePolicy": "OnRootMismatch",
    "seccompProfile": {"type": "RuntimeDefault"},
}
DEFAULT_GRACE = 30  # seconds
KUBELET_GRACE = 15  # seconds that the kubelet waits longer than PID 1 does
LONGEST_GRACE = 2**63 // 10**9 - KUBELET_GRACE  # seconds: 292 years, what Kubernetes' durations hold, in nanoseconds
LONGEST_REQUEST = 120_000  # characters; the kernel takes 128 KiB in one environment variable

# what kubectl and KubeVirt keep on the VMI for themselves
PRIVATE_ANNOTATIONS = (
    "kubectl.kubernetes.io/last-applied-configuration",
    "kubevirt.io/latest-observed-api-version",
    "kubevirt.io/storage-observed-api-version",
)


def pod_name(vmi: VirtualMachineInstance) -> str:
    """One name for one VMI, so there are never two pods for it."""
    tail = f"-{names.suffix(vmi.metadata.uid)}"
    return f"virt-launcher-{vmi.metadata.name}"[: names.LONGEST_NAME - len(tail)] + tail


def manifest(vmi: VirtualMachineInstance, claims: Claims, settings: ManagerSettings) -> Raw:
    """The whole Pod; Terminal if the VMI cannot be run as it is."""
    storage = launcher_volumes.storage(vmi, claims)
    meta = metadata(vmi)
    meta["annotations"][launcher.MIGRATABLE] = migratable.verdict(vmi, claims)
    return {"metadata": meta, "spec": pod_spec(vmi, storage, settings)}


def metadata(vmi: VirtualMachineInstance) -> Raw:
    """The VMI's labels and annotations go with its pod, so selectors of Services and quotas see them."""
    meta = vmi.metadata
    labels = {
        launcher.APP_LABEL: launcher.APP_VALUE,
        launcher.CREATED_BY: meta.uid,
        launcher.VMI_NAME: names.label(meta.name),
    }
    own = {key: value for key, value in meta.labels.items() if key != launcher.NODE_NAME}
    if meta.controller:
        labels[launcher.SET] = meta.controller.uid
    annotations = {key: value for key, value in meta.annotations.items() if key not in PRIVATE_ANNOTATIONS}
    return {
        "name": pod_name(vmi),
        "namespace": meta.namespace,
        "labels": own | labels,
        "annotations": annotations
        | {launcher.DOMAIN: meta.name, "kubectl.kubernetes.io/default-container": launcher.COMPUTE},
        "ownerReferences": [owner_reference(vmi)],
    }


def pod_spec(vmi: VirtualMachineInstance, storage: Storage, settings: ManagerSettings) -> Raw:
    spec = vmi.spec
    chosen = {
        "affinity": plain(spec.affinity),
        "tolerations": [plain(each) for each in spec.tolerations],
        "topologySpreadConstraints": [plain(each) for each in spec.topology_spread_constraints] or spread(vmi),
        "schedulerName": spec.scheduler_name,
        "priorityClassName": spec.priority_class_name,
        "serviceAccountName": spec.service_account_name,
        "subdomain": spec.subdomain,
        "dnsPolicy": spec.dns_policy,
        "dnsConfig": plain(spec.dns_config),
        "imagePullSecrets": pull_secrets(settings, *storage.pull_secrets),
    }
    return {key: value for key, value in chosen.items() if value} | {
        "hostname": spec.hostname or vmi.metadata.name.split(".")[0][: names.LONGEST_LABEL].rstrip("-"),
        "nodeSelector": node_selector(vmi),
        "restartPolicy": "Never",
        "terminationGracePeriodSeconds": grace(vmi) + KUBELET_GRACE,
        "automountServiceAccountToken": False,
        "enableServiceLinks": False,
        "securityContext": SECURITY,
        "containers": [container(vmi, storage, settings)],
        "volumes": storage.volumes,
    }


def container(vmi: VirtualMachineInstance, storage: Storage, settings: ManagerSettings) -> Raw:
    """`compute`: PID 1, libvirtd and QEMU."""
    whole = {
        "name": launcher.COMPUTE,
        "image": settings.launcher_image,
        "imagePullPolicy": settings.launcher_pull_policy,
        "command": list(launcher.PID1),
        "env": [{"name": launcher.PREPARE_ENV, "value": prepare(vmi, storage)}],
        "resources": resources(vmi, settings),
        "securityContext": {"allowPrivilegeEscalation": False, "capabilities": {"drop": ["ALL"]}},
        "terminationMessagePath": launcher.TERMINATION_LOG,
        "volumeMounts": storage.mounts,
    }
    return whole | probes(vmi) | ({"volumeDevices": storage.devices} if storage.devices else {})


def prepare(vmi: VirtualMachineInstance, storage: Storage) -> str:
    """What PID 1 is to make before libvirtd starts."""
    kernel = vmi.spec.domain.firmware and vmi.spec.domain.firmware.kernel_boot
    box = kernel.container if kernel else None
    request = launcher.Prepare(
        domain=launcher.domain_name(vmi.metadata.namespace, vmi.metadata.name),
        grace_seconds=grace(vmi),
        boot=launcher.Boot(kernel=box.kernel_path, initrd=box.initrd_path) if box else None,
        disks=tuple(storage.disks),
    )
    text = request.json_text()
    if len(text) > LONGEST_REQUEST:
        raise Terminal("CloudInitTooLong", "spec.volumes: cloud-init data this long must be in a Secret (secretRef)")
    return text


def pull_secrets(settings: ManagerSettings, *own: str) -> list[Raw]:
    """The installation's, for the launcher's image, and those of the guest's own images."""
    return [{"name": name} for name in dict.fromkeys((*settings.launcher_pull_secrets, *own))]


def node_selector(vmi: VirtualMachineInstance) -> dict[str, str]:
    selector = dict(vmi.spec.node_selector) | {launcher.SCHEDULABLE: "true"}
    if vmi.spec.architecture:
        selector["kubernetes.io/arch"] = vmi.spec.architecture
    return selector


def spread(vmi: VirtualMachineInstance) -> list[Raw]:
    """Members of one set go to different nodes where they can: what the scheduler does by itself for sets of pods."""
    owner = vmi.metadata.controller
    if owner is None or vmi.spec.affinity is not None:
        return []
    selector = {"matchLabels": {launcher.SET: owner.uid}}
    topology = {"topologyKey": "kubernetes.io/hostname", "maxSkew": 1, "whenUnsatisfiable": "ScheduleAnyway"}
    return [topology | {"labelSelector": selector}]


def grace(vmi: VirtualMachineInstance) -> int:
    """Seconds that the guest has for an orderly shutdown."""
    asked = vmi.spec.termination_grace_period_seconds
    return DEFAULT_GRACE if asked is None else min(asked, LONGEST_GRACE)


def plain(model: Model | None) -> Any:
    """As it was given."""
    return model and model.model_dump(mode="json", by_alias=True, exclude_unset=True)
