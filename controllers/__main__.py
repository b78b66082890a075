"""The manager's process: `python -m controllers --help`."""

import asyncio

from pydantic_settings import CliApp

from controllers import certificates, metrics
from controllers.catalog import controllers
from controllers.settings import ManagerSettings
from hostler.runtime import shell
from hostler.runtime.manager import manage
from hostler.runtime.protocol import Kube


def main() -> None:
    settings = CliApp.run(ManagerSettings)

    async def lead(kube: Kube, identity: str) -> None:
        async with asyncio.TaskGroup() as parts:
            parts.create_task(
                certificates.keep(kube, settings.namespace, injects=settings.launcher_enabled), name="certificates"
            )
            whole = settings.launcher_enabled
            running = manage(
                kube,
                controllers(settings),
                "hostler-manager",
                identity,
                home=settings.namespace,
                listeners=(metrics.heard if whole else metrics.heard_of_ours,),
                figures=metrics.figures(whole=whole),
                events_per_second=settings.events_per_second,
            )
            parts.create_task(running, name="controllers")

    shell.main("hostler-manager", settings, lead, lease="hostler-manager")


if __name__ == "__main__":
    main()
