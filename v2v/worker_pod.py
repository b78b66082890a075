"""The pod in which a disk is made: it mounts the volume; its only process is a Celery worker on a queue of its own."""

from base64 import urlsafe_b64encode
from hashlib import sha256
from hmac import digest
from urllib.parse import quote, urlsplit, urlunsplit

from hostler.api import launcher
from hostler.api.cdi import DataVolume
from hostler.api.objects import PersistentVolumeClaim
from hostler.runtime import disk_report, names
from hostler.runtime.plan import owner_reference
from hostler.runtime.protocol import Raw
from v2v import job as jobs
from v2v import mapping
from v2v.job import Http, Job, VSphere
from v2v.settings import DiskSettings
from v2v.sources import WORDS, source_kind

LABEL, VALUE = disk_report.LABEL, disk_report.VALUE
IMPORT_VALUE = "hostler-import-worker"  # of the pods of importpod, which share the store
ACCOUNT = "hostler-disk-worker"  # its rights: chart, disks-rbac.yaml
DISPATCHED = "hostler.io/dispatched"
CLAIM = "hostler.io/claim"  # annotation: UID of the claim that it fills
CONTAINER = "worker"
TASK = "v2v.fill"
QUEUE = "fill"
BROKER_ENV, PREFIX_ENV = "HOSTLER_BROKER", "HOSTLER_BROKER_PREFIX"


def name(volume: DataVolume) -> str:
    """One name for one DataVolume, so there are never two pods for it."""
    tail = f"-{names.suffix(volume.metadata.uid)}"
    return f"{WORDS[source_kind(volume)].pod}-{volume.metadata.name}"[: names.LONGEST_NAME - len(tail)] + tail


def user(uid: str) -> str:
    """Redis' user for the worker of a DataVolume."""
    return f"disk-{uid}"


def prefix(uid: str) -> str:
    """What all keys of a worker begin with, and the only ones that it may touch."""
    return f"disk.{uid}."


def password(uid: str, secret: str) -> str:
    """Made of the administrator's: nothing needs to be remembered, and it tells nothing of that."""
    return urlsafe_b64encode(digest(secret.encode(), f"worker {uid}".encode(), sha256)).decode().rstrip("=")


def broker(uid: str, settings: DiskSettings) -> str:
    """Redis' URL for the worker."""
    parts = urlsplit(settings.broker)
    login = f"{user(uid)}:{quote(password(uid, settings.broker_password), safe='')}"
    return urlunsplit(parts._replace(netloc=f"{login}@{parts.netloc.rpartition('@')[2]}"))


def job(
    volume: DataVolume, size: int, claim: PersistentVolumeClaim, source: PersistentVolumeClaim | None, key: str = ""
) -> Job:
    """What the worker is told; `key` verifies the tokens of uploads."""
    spec = volume.spec.source
    http = spec.http if spec else None
    vddk = spec.vddk if spec else None
    return Job(
        uid=volume.metadata.uid,
        claim=claim.metadata.uid,
        kind=source_kind(volume),
        size=size,
        upload_key=key if spec and spec.upload else None,
        device=claim.spec.volume_mode == "Block",
        source_device=source is not None and source.spec.volume_mode == "Block",
        http=http
        and Http(
            url=http.url,
            checksum=http.checksum or None,
            headers=http.extra_headers,
            insecure=bool(http.insecure_skip_verify),
            thumbprint=volume.metadata.annotations.get(mapping.THUMBPRINT, ""),
            credentials=bool(http.secret_ref),
            authorities=bool(http.cert_config_map),
        ),
        vsphere=vddk
        and VSphere(
            url=vddk.url or "",
            uuid=vddk.uuid or "",
            file=vddk.backing_file or "",
            thumbprint=vddk.thumbprint or "",
        ),
    )


def manifest(volume: DataVolume, task: Job, settings: DiskSettings, now: str) -> Raw:
    """The whole Pod."""
    mounts, devices, volumes = storage(volume, task, settings)
    limits = {"runAsUser": launcher.UID, "runAsGroup": launcher.UID, "runAsNonRoot": True, "fsGroup": launcher.UID}
    spec: Raw = {
        "serviceAccountName": ACCOUNT,
        "restartPolicy": "OnFailure",
        "enableServiceLinks": False,
        # all of its work can be done again: no use to wait
        "terminationGracePeriodSeconds": 1,
        "securityContext": limits
        | {"fsGroupChangePolicy": "OnRootMismatch", "seccompProfile": {"type": "RuntimeDefault"}},
        "imagePullSecrets": [{"name": secret} for secret in settings.pull_secrets],
        "containers": [container(task, settings, mounts, devices)],
        "volumes": volumes,
    }
    if volume.spec.priority_class_name:
        spec["priorityClassName"] = volume.spec.priority_class_name
    return {"metadata": metadata(volume, task, now), "spec": spec}


def metadata(volume: DataVolume, task: Job, now: str) -> Raw:
    meta = volume.metadata
    return {
        "name": name(volume),
        "namespace": meta.namespace,
        "labels": {LABEL: VALUE, "cdi.kubevirt.io": WORDS[source_kind(volume)].pod},
        "annotations": {DISPATCHED: dispatched(0, now), CLAIM: task.claim},
        "ownerReferences": [owner_reference(volume)],
    }


def dispatched(restarts: int, now: str) -> str:
    """The annotation: for which start of the container the task was sent, and when."""
    return f"{restarts} {now}"


def container(task: Job, settings: DiskSettings, mounts: list[Raw], devices: list[Raw]) -> Raw:
    options = ("--pool=solo", "--concurrency=1", f"--queues={QUEUE}", "--loglevel=INFO")
    quiet = ("--without-gossip", "--without-mingle", "--without-heartbeat")
    environment = {
        jobs.ENV: task.text(),
        BROKER_ENV: broker(task.uid, settings),
        PREFIX_ENV: prefix(task.uid),
        "HOME": str(jobs.SCRATCH),
        "TMPDIR": str(jobs.SCRATCH),
    }
    pod_uid = {"name": "HOSTLER_POD_UID", "valueFrom": {"fieldRef": {"fieldPath": "metadata.uid"}}}
    whole: Raw = {
        "name": CONTAINER,
        "image": settings.image,
        "imagePullPolicy": settings.pull_policy,
        "command": ["python3", "-m", "celery", "--app=v2v", "worker", *options, *quiet],
        "env": [*({"name": key, "value": value} for key, value in environment.items()), pod_uid],
        "ports": [{"name": "metrics", "containerPort": 8081}],
        "resources": {
            "requests": {"cpu": "50m", "memory": "100Mi"},
            "limits": {"memory": settings.worker_memory},
        },
        "securityContext": {
            "allowPrivilegeEscalation": False,
            "readOnlyRootFilesystem": True,
            "capabilities": {"drop": ["ALL"]},
        },
        "volumeMounts": mounts,
    }
    if task.kind == "upload":
        whole["ports"].append({"name": "upload", "containerPort": disk_report.UPLOAD_PORT})
    return whole | ({"volumeDevices": devices} if devices else {})


def storage(volume: DataVolume, task: Job, settings: DiskSettings) -> tuple[list[Raw], list[Raw], list[Raw]]:
    """Mounts, devices and the volumes behind them."""
    scratch: Raw = {"sizeLimit": settings.scratch_limit} if settings.scratch_limit else {}
    mounts: list[Raw] = [{"name": "scratch", "mountPath": str(jobs.SCRATCH)}]
    devices: list[Raw] = []
    volumes: list[Raw] = [{"name": "scratch", "emptyDir": scratch}]

    def claim(name: str, claim_name: str, path: str, *, device: bool, read_only: bool = False) -> None:
        volumes.append({"name": name, "persistentVolumeClaim": {"claimName": claim_name, "readOnly": read_only}})
        if device:
            devices.append({"name": name, "devicePath": path})
        else:
            mounts.append({"name": name, "mountPath": path, "readOnly": read_only})

    claim("target", volume.metadata.name, str(task.target), device=task.device)
    source = volume.spec.source
    if source is not None and source.pvc is not None:
        claim("source", source.pvc.name, str(task.source), device=task.source_device, read_only=True)
    if source is not None and source.http is not None:
        given = {"secret": ("secretName", source.http.secret_ref), "configMap": ("name", source.http.cert_config_map)}
        for path, (kind, (key, ref)) in zip((jobs.CREDENTIALS, jobs.AUTHORITIES), given.items(), strict=True):
            if ref:
                volumes.append({"name": path.name, kind: {key: ref, "defaultMode": 0o440}})
                mounts.append({"name": path.name, "mountPath": str(path), "readOnly": True})
    if source is not None and source.vddk is not None:
        secret = {"secretName": source.vddk.secret_ref, "defaultMode": 0o440}
        volumes.append({"name": "credentials", "secret": secret})
        mounts.append({"name": "credentials", "mountPath": str(jobs.CREDENTIALS), "readOnly": True})
    return mounts, devices, volumes
