"""The table of vmctl's commands, which says what is imported for each."""

import subprocess
import sys

import pytest

from hostler.cli.main import MODULES, commands


@pytest.mark.parametrize("module", sorted(set(MODULES.values())))
def test_each_module_adds_what_the_table_says(module: str) -> None:
    assert set(commands(module)) == {command for command, its in MODULES.items() if its == module}


def test_what_needs_no_client_loads_none() -> None:
    code = (
        "import sys; from hostler.cli.main import commands; commands('cluster'); sys.exit('kubernetes' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
