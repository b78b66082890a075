"""Manifests of small guests, as a user would write them."""

from typing import Any

TINY = "docker.io/hostler/tiny:1"


def vmi_spec(**changes: Any) -> dict[str, Any]:
    """A guest of 96 MiB on a container disk; `changes` replace top-level fields of the spec."""
    devices = {
        "disks": [{"name": "root", "disk": {"bus": "virtio"}}],
        "interfaces": [{"name": "default", "masquerade": {}}],
        "rng": {},
    }
    spec = {
        "terminationGracePeriodSeconds": 10,
        "domain": {"memory": {"guest": "96Mi"}, "devices": devices},
        "networks": [{"name": "default", "pod": {}}],
        "volumes": [{"name": "root", "containerDisk": {"image": TINY}}],
    }
    return spec | changes


def vmi(name: str, **changes: Any) -> dict[str, Any]:
    return {
        "apiVersion": "kubevirt.io/v1",
        "kind": "VirtualMachineInstance",
        "metadata": {"name": name, "labels": {"app": name}},
        "spec": vmi_spec(**changes),
    }


def direct_boot(name: str, arguments: str) -> dict[str, Any]:
    """A guest that boots the kernel of the tiny image with arguments: `hostler.poweroff=5` ends it after 5 s."""
    boot = {
        "kernelArgs": f"console=ttyS0 {arguments}",
        "container": {"image": TINY, "kernelPath": "/boot/vmlinuz", "initrdPath": "/boot/initrd"},
    }
    domain = {"memory": {"guest": "96Mi"}, "firmware": {"kernelBoot": boot}, "devices": {}}
    return vmi(name, domain=domain, volumes=[], networks=[]) | {}


def replica_set(name: str, replicas: int, **changes: Any) -> dict[str, Any]:
    labels = {"app": name}
    return {
        "apiVersion": "kubevirt.io/v1",
        "kind": "VirtualMachineInstanceReplicaSet",
        "metadata": {"name": name},
        "spec": {
            "replicas": replicas,
            "selector": {"matchLabels": labels},
            "template": {"metadata": {"labels": labels}, "spec": vmi_spec(**changes)},
        },
    }


def claim(name: str, size: str = "64Mi", mode: str = "Filesystem") -> dict[str, Any]:
    spec = {"accessModes": ["ReadWriteOnce"], "volumeMode": mode, "resources": {"requests": {"storage": size}}}
    return {"apiVersion": "v1", "kind": "PersistentVolumeClaim", "metadata": {"name": name}, "spec": spec}
