"""The kinds that the manager runs: one line each."""

from collections.abc import Callable

from controllers import (
    cronjob,
    daemonset,
    deployment,
    job,
    job_orphan,
    on_kubevirt,
    pool,
    replicaset,
    schedule,
    statefulset,
    vm,
    vmi,
)
from controllers.settings import ManagerSettings
from hostler.runtime.plan import AnyController

CATALOG: tuple[Callable[[ManagerSettings], AnyController | None], ...] = (
    lambda settings: vmi.controller(settings) if settings.launcher_enabled else None,
    lambda _: job_orphan.CONTROLLER,
    lambda settings: replicaset.CONTROLLER if settings.launcher_enabled else on_kubevirt.REPLICA_SETS,
    lambda _: deployment.CONTROLLER,
    lambda _: daemonset.CONTROLLER,
    statefulset.controller,
    lambda settings: vm.controller(settings) if settings.launcher_enabled else None,
    lambda settings: pool.controller(settings) if settings.launcher_enabled else None,
    lambda _: job.CONTROLLER,
    lambda _: cronjob.CONTROLLER,
    schedule.controller,
)


def controllers(settings: ManagerSettings) -> tuple[AnyController, ...]:
    found = tuple(each for make in CATALOG if (each := make(settings)))
    return found if settings.launcher_enabled else tuple(map(on_kubevirt.adapted, found))
