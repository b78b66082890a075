"""What is left to do when a move is over. Pure."""

from hostler.api import launcher
from hostler.api.kubevirt.migration import VirtualMachineInstanceMigration as Migration
from hostler.runtime import ownership
from hostler.runtime.plan import Action, Delete, Patch, Plan
from migration.kinds import LauncherPod
from migration.seen import Seen
from migration.settings import MigrationSettings


def after(move: Migration, seen: Seen, settings: MigrationSettings) -> Plan:
    """The pods that the guest did not take, or has left; then the finalizer; in the end, the move itself."""
    left = [pod for pod in seen.pods if refused(pod, move, seen)]
    old = [pod for pod in seen.pods if left_behind(pod, seen)]
    going = [*left, *(pod for pod in old if pod.finished)]
    actions: list[Action] = [Delete(pod) for pod in going if pod.metadata.deletion_timestamp is None]
    # PID 1 of the old pod ends by itself, but on a node that is lost
    awaited = left or (old and move.metadata.deletion_timestamp is None)
    if not awaited and launcher.MIGRATION_FINALIZER in move.metadata.finalizers:
        others = [each for each in move.metadata.finalizers if each != launcher.MIGRATION_FINALIZER]
        actions.append(Patch(move, {"metadata": {"finalizers": others}}, "release"))
    elif move.metadata.uid in [each.metadata.uid for each in seen.ended[settings.kept :]]:
        actions += [Delete(move)] if move.metadata.deletion_timestamp is None else []
    return Plan(tuple(actions))


def refused(pod: LauncherPod, move: Migration, seen: Seen) -> bool:
    """The target of this move, in which the guest does not run."""
    mine = pod.metadata.labels.get(launcher.MIGRATION_UID) == move.metadata.uid
    return mine and seen.vmi is not None and ownership.epoch(pod) > ownership.epoch(seen.vmi)


def left_behind(pod: LauncherPod, seen: Seen) -> bool:
    """A pod in which the guest ran before a move."""
    return seen.vmi is not None and ownership.epoch(pod) < ownership.epoch(seen.vmi)
