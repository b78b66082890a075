"""What the planner of moves sees of the cluster."""

from collections.abc import Iterable
from dataclasses import dataclass

from hostler.api import launcher
from hostler.api.kubevirt.migration import VirtualMachineInstanceMigration as Migration
from hostler.api.kubevirt.migration import VirtualMachineInstanceMigrationState as State
from hostler.api.kubevirt.vmi import VirtualMachineInstance
from hostler.runtime import ownership
from hostler.runtime.store import Store
from migration.budget import Slot
from migration.kinds import LauncherPod

FINAL = ("Succeeded", "Failed")
QUOTA = "migrationRejectedByResourceQuota"  # condition
STUCK = ("NotRunning", "InFlight", "Leftover")  # reasons of Admitted: no place would help
COPYING = ("PreparingTarget", "TargetReady", "Running")


@dataclass(frozen=True)
class Seen:
    """A move's VMI, that one's pods and other moves, and who else moves."""

    vmi: VirtualMachineInstance | None = None
    pods: tuple[LauncherPod, ...] = ()
    target: LauncherPod | None = None
    earlier: str = ""  # an unfinished move of the same VMI that goes first
    ended: tuple[Migration, ...] = ()  # of the same VMI, newest first
    slots: tuple[Slot, ...] = ()

    @property
    def owner(self) -> LauncherPod | None:
        """The pod in which the guest may run."""
        vmi = self.vmi
        return next((pod for pod in self.pods if ownership.owns(pod, vmi)), None) if vmi else None


def look(store: Store, move: Migration) -> Seen:
    namespace, name = move.metadata.namespace, move.spec.vmi_name or ""
    vmi = store.get(VirtualMachineInstance, (namespace, name))
    pods = tuple(store.owned(LauncherPod, vmi.metadata.uid)) if vmi else ()
    same = [each for each in store.within(Migration, namespace) if each.spec.vmi_name == name]
    ended = sorted((each for each in same if phase(each) in FINAL), key=age, reverse=True)
    running = [each for each in same if phase(each) not in FINAL and each.metadata.uid != move.metadata.uid]
    earlier = next((each.metadata.name for each in running if goes_first(each, move)), "")
    return Seen(vmi, pods, pod_of(move, pods), earlier, tuple(ended), tuple(slots(store)))


def goes_first(other: Migration, move: Migration) -> bool:
    return phase(other) not in ("", "Pending") or age(other) < age(move)


def age(move: Migration) -> tuple[str, str]:
    return move.metadata.creation_timestamp or "", move.metadata.uid


def slots(store: Store) -> Iterable[Slot]:
    """Every move that is not over."""
    for move in store.all(Migration):
        vmi = store.get(VirtualMachineInstance, (move.metadata.namespace, move.spec.vmi_name or ""))
        if phase(move) in FINAL or vmi is None:
            continue
        pod = pod_of(move, store.owned(LauncherPod, vmi.metadata.uid))
        state = state_of(move, vmi)
        source = (state and state.source_node) or (vmi.status and vmi.status.node_name) or ""
        yield Slot(
            uid=move.metadata.uid,
            source=source,
            target=pod.node if pod else "",
            running=phase(move) not in ("", "Pending"),
            copying=phase(move) in COPYING,
            able=not stuck(move),
            priority=move.spec.priority or "",
            born=move.metadata.creation_timestamp or "",
        )


def stuck(move: Migration) -> bool:
    """It said at its last visit that it waits for something else than a place; it is visited when that changes."""
    said = move.status.conditions if move.status else ()
    return any(
        (each.type == "Admitted" and each.status == "False" and each.reason in STUCK)
        or (each.type == QUOTA and each.status == "True")
        for each in said
    )


def pod_of(move: Migration, pods: Iterable[LauncherPod]) -> LauncherPod | None:
    return next((pod for pod in pods if pod.metadata.labels.get(launcher.MIGRATION_UID) == move.metadata.uid), None)


def state_of(move: Migration, vmi: VirtualMachineInstance | None) -> State | None:
    """What the VMI says of this move."""
    state = vmi.status.migration_state if vmi and vmi.status else None
    return state if state and state.migration_uid == move.metadata.uid else None


def alive(pod: LauncherPod) -> bool:
    return not pod.finished


def migratable(vmi: VirtualMachineInstance) -> str:
    """Why the VMI cannot be moved, in KubeVirt's words; "" if it can, or if that is not known yet."""
    if vmi.status is None:
        return ""
    if any(each.hotplug_volume for each in vmi.status.volume_status):
        return "Reason: HotplugNotLiveMigratable, Message: a volume was plugged in while the guest ran; unplug it first"
    told = next(
        (each for each in vmi.status.conditions if each.type == "LiveMigratable" and each.status == "False"), None
    )
    return f"Reason: {told.reason}, Message: {told.message}" if told else ""


def phase(move: Migration) -> str:
    return (move.status and move.status.phase) or ""


def vmi_phase(vmi: VirtualMachineInstance) -> str:
    return (vmi.status and vmi.status.phase) or ""
