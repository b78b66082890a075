"""The node agent's process: `python -m launcher.agent --help`."""

import logging

from pydantic_settings import CliApp

from hostler.runtime import shell
from hostler.runtime.protocol import Kube
from launcher.agent.agent import run
from launcher.agent.settings import AgentSettings


def main() -> None:
    settings = CliApp.run(AgentSettings)
    logging.getLogger("grpc").setLevel(logging.WARNING)  # below that it tells of every step of its own

    async def work(kube: Kube, identity: str) -> None:
        await run(kube, identity, settings)

    shell.main("hostler-agent", settings, work)


if __name__ == "__main__":
    main()
