"""Fencing's process: `python -m fencing --help`."""

from pydantic_settings import CliApp

from fencing.manager import manage
from fencing.settings import FencingSettings
from hostler.runtime import shell
from hostler.runtime.protocol import Kube


def main() -> None:
    settings = CliApp.run(FencingSettings)

    async def work(kube: Kube, identity: str) -> None:
        await manage(kube, identity, settings)

    shell.main("hostler-fencing", settings, work, lease="hostler-fencing")


if __name__ == "__main__":
    main()
