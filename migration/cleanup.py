"""What is left to do when a move is over. Pure."""

from hostler.api import launcher
from hostler.api.kubevirt.migration import VirtualMachineInstanceMigration as Migration
from hostler.runtime import ownership
from hostler.runtime.plan import Action, Delete, Patch, Plan
from migration.kinds import LauncherPod
from migration.seen import Seen
from migration.settings import MigrationSettings


def after(move: Migration, seen: Seen, settings: MigrationSettings) -> Plan:
    """The pod that the guest did not take, or has left; then the finalizer; in the end, the move itself."""
    left = tuple(pod for pod in seen.pods if left_over(pod, move, seen))
    actions: list[Action] = [Delete(pod) for pod in left if pod.metadata.deletion_timestamp is None]
    if not left and launcher.MIGRATION_FINALIZER in move.metadata.finalizers:
        others = [each for each in move.metadata.finalizers if each != launcher.MIGRATION_FINALIZER]
        actions.append(Patch(move, {"metadata": {"finalizers": others}}, "release"))
    elif move.metadata.uid in [each.metadata.uid for each in seen.ended[settings.kept :]]:
        actions += [Delete(move)] if move.metadata.deletion_timestamp is None else []
    return Plan(tuple(actions))


def left_over(pod: LauncherPod, move: Migration, seen: Seen) -> bool:
    """A target that is not the owner; or the old owner of a guest that has moved, once it has ended."""
    vmi = seen.vmi
    if vmi is None or ownership.owns(pod, vmi):
        return False
    if pod.metadata.labels.get(launcher.MIGRATION_UID) == move.metadata.uid and ownership.epoch(pod) > ownership.epoch(
        vmi
    ):
        return True
    return pod.finished and ownership.epoch(pod) < ownership.epoch(vmi)
