"""vmctl: clusters on this host, and what runs on them."""

import sys

import typer

from cluster.errors import ClusterError
from hostler.cli import (
    cluster,
    console,
    describe,
    fence,
    forward,
    guestosinfo,
    hardware,
    image_upload,
    migrate,
    power,
    rollout,
    ssh,
    tour,
    up,
)
from hostler.runtime.errors import Terminal

app = typer.Typer(
    name="vmctl",
    help="Virtual machines as Kubernetes workloads.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode="rich",
)
app.command()(up.up)
app.command("tour")(tour.run)
cluster.app.command()(hardware.bmc)
cluster.app.command()(hardware.node)
app.command("migrate")(migrate.migrate)
app.command("migrate-cancel")(migrate.migrate_cancel)
app.add_typer(cluster.app, name="cluster")
app.add_typer(fence.app, name="fence")
app.add_typer(rollout.app, name="rollout")
for part in (power, console, forward, ssh, guestosinfo, describe, image_upload):
    part.add(app)
app.command(context_settings={"allow_extra_args": True, "ignore_unknown_options": True, "help_option_names": []})(
    cluster.kubectl
)


def main() -> None:
    """Run; what a user can mend ends as one line and exit code 1."""
    try:
        app()
    except (ClusterError, Terminal) as error:
        print(f"error: {error}", file=sys.stderr)
        sys.exit(1)
    except KeyboardInterrupt:
        sys.exit(130)


if __name__ == "__main__":
    main()
