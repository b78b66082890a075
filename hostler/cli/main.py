"""vmctl: clusters on this host, and what runs on them."""

import importlib
import subprocess
import sys
from collections import UserDict
from functools import cache
from typing import Any

import typer
from typer.core import TyperGroup

from cluster.errors import ClusterError
from cluster.failure import told
from hostler.runtime.errors import Terminal

# Command -> the module that adds it. Only that one is imported: a Kubernetes client takes a second to load.
MODULES = {
    "up": "up",
    "tour": "tour",
    "migrate": "migrate",
    "migrate-cancel": "migrate",
    "start": "power",
    "stop": "power",
    "restart": "power",
    "pause": "power",
    "unpause": "power",
    "softreboot": "power",
    "soft-reboot": "power",
    "console": "console",
    "port-forward": "forward",
    "vnc": "forward",
    "ssh": "ssh",
    "guestosinfo": "guestosinfo",
    "describe": "describe",
    "image-upload": "image_upload",
    "kubectl": "cluster",
    "cluster": "cluster",
    "fence": "fence",
    "rollout": "rollout",
}


class Imported(UserDict[str, Any]):
    """Command -> what it does, which is imported when it is asked for."""

    def __getitem__(self, name: str) -> Any:
        return commands(self.data[name])[name]


class Commands(TyperGroup):
    def __init__(self, **settings: Any) -> None:
        super().__init__(**settings | {"commands": Imported(MODULES)})


@cache
def commands(module: str) -> dict[str, Any]:
    """What a module of this package adds, by name."""
    app = typer.Typer(add_completion=False, rich_markup_mode="rich")
    app.callback()(lambda: None)  # so that one command alone is a group, too
    importlib.import_module(f"hostler.cli.{module}").add(app)
    return dict(typer.main.get_group(app).commands)


app = typer.Typer(
    name="vmctl",
    cls=Commands,
    help="Virtual machines as Kubernetes workloads.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode="rich",
)


@app.callback()
def vmctl() -> None:
    pass


def main() -> None:
    """Run; what a user can mend ends as one line and exit code 1."""
    try:
        app()
    except (ClusterError, Terminal, OSError, subprocess.CalledProcessError) as error:
        print(f"error: {told(error)}", file=sys.stderr)
        sys.exit(1)
    except KeyboardInterrupt:
        sys.exit(130)


if __name__ == "__main__":
    main()
