"""The kinds that we serve: names, columns, versions, rules, limits and defaults of each."""

from hostler.api import workloads
from hostler.api.batch import VirtualMachineCronJob, VirtualMachineJob
from hostler.api.cdi import DataVolume
from hostler.api.definition import AGE, READY, SCALE, VMIS, Column, Definition, condition
from hostler.api.fencing import FenceOperation, NodeFencing
from hostler.api.imports import ImportPlan, ImportSource
from hostler.api.kubevirt.migration import VirtualMachineInstanceMigration
from hostler.api.kubevirt.pool import VirtualMachinePool
from hostler.api.kubevirt.vm import VirtualMachine
from hostler.api.kubevirt.vmi import VirtualMachineInstance
from hostler.api.kubevirt.vmirs import VirtualMachineInstanceReplicaSet
from hostler.api.limits import (
    DATA_VOLUME_LIMITS,
    MIGRATION_LIMITS,
    REPLICA_SET_LIMITS,
    VIRTUAL_MACHINE_LIMITS,
)
from hostler.api.rules import (
    batch,
    datavolume,
    devices,
    disks,
    fencing,
    imports,
    machine,
    migration,
    network,
    placement,
    pool,
    replicaset,
    schedule,
    vm,
    volumes,
)
from hostler.api.schedule import VirtualMachineSchedule
from hostler.api.support import UNSUPPORTED

# What every VMI spec keeps to, whichever kind it is part of.
VMI_SPEC = (
    *machine.RULES,
    *disks.RULES,
    *volumes.RULES,
    *network.RULES,
    *devices.RULES,
    *placement.RULES,
    *UNSUPPORTED,
)


DEFINITIONS = (
    Definition(
        VirtualMachine,
        ("vm", "vms"),
        (
            AGE,
            Column("Status", ".status.printableStatus", description="Human Readable Status"),
            READY,
        ),
        {"status": {}},
        rules=vm.RULES,
        limits=VIRTUAL_MACHINE_LIMITS,
    ),
    Definition(
        VirtualMachineInstance,
        ("vmi", "vmis"),
        (
            AGE,
            Column("Phase", ".status.phase"),
            Column("IP", ".status.interfaces[0].ipAddress"),
            Column("NodeName", ".status.nodeName"),
            READY,
            Column("Live-Migratable", condition("LiveMigratable"), priority=1),
            Column("Paused", condition("Paused"), priority=1),
        ),
        # no status subresource: as in KubeVirt, the admission policies guard the status
        spec="spec",
    ),
    Definition(
        VirtualMachineInstanceReplicaSet,
        ("vmirs", "vmirss"),
        (
            Column("Desired", ".spec.replicas", "integer", "Number of desired VirtualMachineInstances"),
            Column("Current", ".status.replicas", "integer", f"Number of managed and not final or deleted {VMIS}"),
            Column("Ready", ".status.readyReplicas", "integer", f"Number of managed {VMIS} which are ready"),
            AGE,
        ),
        {"status": {}, "scale": SCALE},
        rules=replicaset.RULES,
        limits=REPLICA_SET_LIMITS,
        defaults={"spec.replicas": 1},
    ),
    Definition(
        VirtualMachinePool,
        ("vmpool", "vmpools"),
        (
            Column("Desired", ".spec.replicas", "integer", "Number of desired VirtualMachines"),
            Column("Current", ".status.replicas", "integer", "Number of managed and not deleted VirtualMachines"),
            Column("Ready", ".status.readyReplicas", "integer", "Number of managed VirtualMachines which are ready"),
            AGE,
        ),
        {"status": {}, "scale": SCALE},
        spec=f"{pool.MACHINE}.template.spec",
        rules=pool.RULES,
        limits=pool.LIMITS,
        defaults={"spec.replicas": 1},
    ),
    Definition(
        VirtualMachineInstanceMigration,
        ("vmim", "vmims"),
        (
            Column("Phase", ".status.phase", description="The current phase of VM instance migration"),
            Column("VMI", ".spec.vmiName", description="The name of the VMI to perform the migration on"),
        ),
        {"status": {}},
        spec=None,
        rules=migration.RULES,
        limits=MIGRATION_LIMITS,
    ),
    Definition(
        DataVolume,
        ("dv", "dvs"),
        (
            Column("Phase", ".status.phase", description="The phase the data volume is in"),
            Column(
                "Progress", ".status.progress", description="Transfer progress in percentage if known, N/A otherwise"
            ),
            Column(
                "Restarts", ".status.restartCount", "integer", "The number of times the transfer has been restarted"
            ),
            AGE,
        ),
        {"status": {}},
        spec=None,
        rules=datavolume.RULES,
        limits=DATA_VOLUME_LIMITS,
    ),
    Definition(
        NodeFencing,
        ("nf",),
        (
            READY,
            Column("Power", ".status.power", description="What the devices said when they were last asked"),
            Column("Agent", ".spec.levels[0].devices[0].agent"),
            AGE,
        ),
        {"status": {}},
        spec=None,
        rules=fencing.NODE_FENCING_RULES,
        limits=fencing.NODE_FENCING_LIMITS,
        scope="Cluster",
    ),
    Definition(
        FenceOperation,
        ("fo", "fenceop"),
        (
            Column("Node", ".spec.nodeName"),
            Column("Phase", ".status.phase"),
            Column("Proof", ".status.proof.kind"),
            Column("Reason", ".status.reason"),
            AGE,
            Column("Message", ".status.message", priority=1),
        ),
        {"status": {}},
        spec=None,
        rules=fencing.FENCE_OPERATION_RULES,
        limits=fencing.FENCE_OPERATION_LIMITS,
        scope="Cluster",
    ),
    Definition(
        VirtualMachineJob,
        ("vmjob", "vmjobs"),
        (
            Column("Status", ".status.printable.status"),
            Column("Completions", ".status.printable.completions"),
            Column("Duration", ".status.printable.duration", description="From the start to the completion"),
            AGE,
        ),
        {"status": {}},
        rules=batch.JOB_RULES,
        limits={f"spec.{path}": size for path, size in batch.JOB_LIMITS.items()},
        # no backoffLimit: it is 6, but for a job with backoffLimitPerIndex, which has none
        defaults={"spec.completionMode": "NonIndexed", "spec.suspend": False}
        | {f"spec.{path}": value for path, value in batch.JOB_DEFAULTS.items()},
    ),
    Definition(
        VirtualMachineCronJob,
        ("vmcronjob", "vmcronjobs"),
        (
            Column("Schedule", ".spec.schedule"),
            Column("Timezone", ".spec.timeZone"),
            Column("Suspend", ".spec.suspend", "boolean"),
            Column("Active", ".status.activeJobs", "integer"),
            Column("Last Schedule", ".status.lastScheduleTime", "date"),
            AGE,
        ),
        {"status": {}},
        spec="spec.jobTemplate.spec.template.spec",
        rules=batch.CRON_JOB_RULES,
        limits={f"spec.jobTemplate.spec.{path}": size for path, size in batch.JOB_LIMITS.items()}
        | {f"spec.{path}": size for path, size in batch.CRON_JOB_LIMITS.items()},
        defaults={
            "spec.concurrencyPolicy": "Allow",
            "spec.failedJobsHistoryLimit": 1,
            "spec.successfulJobsHistoryLimit": 3,
            "spec.suspend": False,
        }
        | {f"spec.jobTemplate.spec.{path}": value for path, value in batch.JOB_DEFAULTS.items()},
    ),
    Definition(
        VirtualMachineSchedule,
        ("vmsched", "vmscheds"),
        (
            Column("Kind", ".spec.targetRef.kind"),
            Column("Target", ".spec.targetRef.name"),
            Column("Start", ".spec.start"),
            Column("Stop", ".spec.stop"),
            Column("Timezone", ".spec.timeZone"),
            Column("Suspend", ".spec.suspend", "boolean"),
            Column("Next", ".status.nextTransition.action"),
            # as text: kubectl shows no time that is still to come
            Column("At", ".status.nextTransition.time"),
            AGE,
            Column("Last", ".status.lastTransition.action", priority=1),
            Column("Since", ".status.lastTransition.time", "date", priority=1),
            Column("Reason", ".status.conditions[?(@.type=='Ready')].reason", priority=1),
        ),
        {"status": {}},
        spec=None,
        rules=schedule.RULES,
        limits=schedule.LIMITS,
        defaults={"spec.suspend": False},
    ),
    Definition(
        ImportSource,
        ("importsrc",),
        (
            READY,
            Column("Machines", ".status.machineCount", "integer"),
            Column("Product", ".status.product"),
            AGE,
        ),
        {"status": {}},
        spec=None,
        rules=imports.SOURCE,
        limits=imports.SOURCE_LIMITS,
    ),
    Definition(
        ImportPlan,
        ("importpl",),
        (
            Column("Source", ".spec.source.name"),
            Column("Phase", ".status.phase"),
            Column("Succeeded", ".status.succeeded", "integer"),
            Column("Failed", ".status.failed", "integer"),
            AGE,
        ),
        {"status": {}},
        spec=None,
        rules=imports.PLAN,
        limits=imports.PLAN_LIMITS,
    ),
    *workloads.DEFINITIONS,
)
