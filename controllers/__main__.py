"""The manager's process: `python -m controllers --help`."""

from pydantic_settings import CliApp

from controllers.catalog import controllers
from controllers.settings import ManagerSettings
from hostler.runtime import shell
from hostler.runtime.manager import manage
from hostler.runtime.protocol import Kube


def main() -> None:
    settings = CliApp.run(ManagerSettings)

    async def work(kube: Kube, identity: str) -> None:
        await manage(kube, controllers(settings), "hostler-manager", identity)

    shell.main("hostler-manager", settings, work, lease="hostler-manager")


if __name__ == "__main__":
    main()
