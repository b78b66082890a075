"""The controller of disks: `python -m v2v --help`. The workers are `celery -A v2v worker`, in pods that it makes."""

import asyncio
import logging

import redis
from pydantic_settings import CliApp

from hostler.api import cdi
from hostler.api.cdi import DataVolume
from hostler.runtime import shell
from hostler.runtime.errors import ApiError
from hostler.runtime.manager import manage
from hostler.runtime.plan import AnyController
from hostler.runtime.protocol import Kube
from v2v import datavolume, figures, importplan, importsource
from v2v.broker import Admin
from v2v.settings import DiskSettings
from v2v.tasks import CelerySender

SWEEP = 300.0  # seconds between two looks for what dead workers left in the broker

log = logging.getLogger(__name__)


async def sweep(kube: Kube, settings: DiskSettings) -> None:
    """The broker holds only what belongs to DataVolumes that are not done."""
    admin = Admin(settings)
    while True:
        await asyncio.sleep(SWEEP)
        try:
            items, _ = await kube.list(DataVolume)
            final = (cdi.SUCCEEDED, cdi.FAILED)
            alive = {i["metadata"]["uid"] for i in items if (i.get("status") or {}).get("phase") not in final}
            swept = await asyncio.to_thread(admin.sweep, alive)
            log.info("swept", extra={"workers": swept})
        except (ApiError, redis.RedisError, OSError) as error:
            log.warning("not swept", extra={"error": str(error)})


def main() -> None:
    settings = CliApp.run(DiskSettings)

    async def work(kube: Kube, identity: str) -> None:
        async with asyncio.TaskGroup() as group:
            controllers: tuple[AnyController, ...] = (
                datavolume.controller(settings),
                importsource.controller(settings),
                importplan.controller(settings),
            )
            work = manage(
                kube,
                controllers,
                "hostler-disks",
                identity,
                CelerySender(settings),
                listeners=(figures.heard,),
                figures=figures.FIGURES,
            )
            group.create_task(work)
            group.create_task(sweep(kube, settings))

    shell.main("hostler-disks", settings, work, lease="hostler-disks")


if __name__ == "__main__":
    main()
