"""The CRDs of the kinds of apps/v1, with guests in place of pods."""

from typing import Any

from hostler.api.apps import VirtualMachineDaemonSet, VirtualMachineDeployment, VirtualMachineStatefulSet
from hostler.api.definition import AGE, SCALE, Column, Definition
from hostler.api.limits import NAME, REPLICA_SET_LIMITS, WORD
from hostler.api.rules import apps, disks

ROLLING: dict[str, Any] = {"type": "RollingUpdate"}
SELECTOR = Column("Selector", ".status.labelSelector", priority=1)

DEFINITIONS = (
    Definition(
        VirtualMachineDeployment,
        ("vmdeploy", "vmdeploys"),
        (
            Column("Ready", ".status.printable.ready"),
            Column("Up-to-date", ".status.updatedReplicas", "integer"),
            Column("Available", ".status.availableReplicas", "integer"),
            AGE,
            SELECTOR,
        ),
        {"status": {}, "scale": SCALE},
        rules=apps.DEPLOYMENT_RULES,
        limits=REPLICA_SET_LIMITS,
        defaults={
            "spec.minReadySeconds": 0,
            "spec.progressDeadlineSeconds": 600,
            "spec.replicas": 1,
            "spec.revisionHistoryLimit": 10,
            "spec.strategy": ROLLING,
            "spec.strategy.type": "RollingUpdate",
        },
    ),
    Definition(
        VirtualMachineDaemonSet,
        ("vmds", "vmdss"),
        (
            Column("Desired", ".status.desiredNumberScheduled", "integer"),
            Column("Current", ".status.currentNumberScheduled", "integer"),
            Column("Ready", ".status.numberReady", "integer"),
            Column("Up-to-date", ".status.updatedNumberScheduled", "integer"),
            Column("Available", ".status.numberAvailable", "integer"),
            AGE,
        ),
        {"status": {}},
        rules=apps.DAEMON_SET_RULES,
        limits=REPLICA_SET_LIMITS,
        defaults={
            "spec.minReadySeconds": 0,
            "spec.revisionHistoryLimit": 10,
            "spec.updateStrategy": ROLLING,
            "spec.updateStrategy.type": "RollingUpdate",
        },
    ),
    Definition(
        VirtualMachineStatefulSet,
        ("vmsts", "vmstss"),
        (Column("Ready", ".status.printable.ready"), AGE, SELECTOR),
        {"status": {}, "scale": SCALE},
        rules=apps.STATEFUL_SET_RULES,
        spec_rules_less=(disks.VOLUME_OF_DISK,),
        limits=REPLICA_SET_LIMITS
        | {
            f"spec.{field}{path}": size
            for field in ("dataVolumeTemplates", "volumeClaimTemplates")
            for path, size in {"": WORD, "[].metadata.name": NAME}.items()
        }
        | {"spec.serviceName": NAME},
        defaults={
            "spec.minReadySeconds": 0,
            "spec.persistentVolumeClaimRetentionPolicy": {"whenDeleted": "Retain", "whenScaled": "Retain"},
            "spec.persistentVolumeClaimRetentionPolicy.whenDeleted": "Retain",
            "spec.persistentVolumeClaimRetentionPolicy.whenScaled": "Retain",
            "spec.podManagementPolicy": "OrderedReady",
            "spec.replicas": 1,
            "spec.revisionHistoryLimit": 10,
            "spec.updateStrategy": ROLLING,
            "spec.updateStrategy.type": "RollingUpdate",
        },
    ),
)
