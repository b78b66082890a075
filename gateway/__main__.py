"""The gateway's process: `python -m gateway --help`."""

from pydantic_settings import CliApp

from gateway import app
from gateway.settings import GatewaySettings
from hostler.runtime import shell
from hostler.runtime.protocol import Kube


def main() -> None:
    settings = CliApp.run(GatewaySettings)

    async def work(kube: Kube, _identity: str) -> None:
        await app.run(kube, settings)

    shell.main("hostler-gateway", settings, work)


if __name__ == "__main__":
    main()
