"""The manager's process: `python -m controllers --help`."""

import asyncio

from pydantic_settings import CliApp

from controllers import certificates
from controllers.catalog import controllers
from controllers.settings import ManagerSettings
from hostler.runtime import shell
from hostler.runtime.manager import manage
from hostler.runtime.protocol import Kube


def main() -> None:
    settings = CliApp.run(ManagerSettings)

    async def lead(kube: Kube, identity: str) -> None:
        async with asyncio.TaskGroup() as parts:
            parts.create_task(certificates.keep(kube, settings.namespace), name="certificates")
            work = manage(kube, controllers(settings), "hostler-manager", identity, home=settings.namespace)
            parts.create_task(work, name="controllers")

    shell.main("hostler-manager", settings, lead, lease="hostler-manager")


if __name__ == "__main__":
    main()
