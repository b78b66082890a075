"""The migration process: `python -m migration --help`."""

from pydantic_settings import CliApp

from hostler.runtime import shell
from migration.serve import run
from migration.settings import MigrationSettings


def main() -> None:
    settings = CliApp.run(MigrationSettings)
    shell.main("hostler-migration", settings, lambda kube, identity: run(kube, identity, settings))


if __name__ == "__main__":
    main()
