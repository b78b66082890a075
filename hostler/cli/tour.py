"""vmctl tour: the examples with real guests, what a person would type and what comes back."""

import json
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated

import typer

from cluster import catalog, kubeconfig, programs, registry, status, tour
from cluster.errors import ClusterError
from hostler.cli.options import DEFAULT, ClusterName

Names = list[str]


def run(
    names: Annotated[Names | None, typer.Argument(metavar="[EXAMPLE...]", help="Only these; default: all.")] = None,
    name: ClusterName = DEFAULT,
    page: Annotated[Path | None, typer.Option(help="Write the whole tour as a Markdown page.")] = None,
    output: Annotated[str, typer.Option("-o", "--output", help="text or json: the table at the end.")] = "text",
) -> None:
    """Run the examples one after another with real guests; ends with a table of what worked and how long it took.

    Examples:

      vmctl tour                    all of them, on the cluster of scripts/up

      vmctl tour gateway disks      two of them

      KUBECONFIG=... vmctl tour     on that cluster
    """
    stops = []
    wanted = tour.examples(names or ())
    with _guide(name) as guide:
        for example in wanted:
            print(f"\n== {example}", flush=True)
            stops.append(guide.visit(example))
    rows = [[stop.name, "works" if stop.passed else f"FAILED ({stop.code})", f"{stop.seconds:.0f} s"] for stop in stops]
    table = status.aligned([["EXAMPLE", "RESULT", "TIME"], *rows])
    if output == "json":
        print(json.dumps([{"name": s.name, "passed": s.passed, "seconds": round(s.seconds, 1)} for s in stops]))
    else:
        print(f"\n{table}")
    if page is not None:
        page.write_text(_markdown(stops, table))
    if not all(stop.passed for stop in stops):
        raise typer.Exit(1)


@contextmanager
def _guide(name: str) -> Iterator[tour.Guide]:
    config = os.environ.get("KUBECONFIG")
    if config and (ours := registry.of_kubeconfig(Path(config))):
        name = ours.name
    elif config:
        found = programs.find(("kubectl",), None, print)
        kubectl = programs.links(found, programs.cache() / "bin" / catalog.KUBERNETES) / "kubectl"
        with kubeconfig.one_file(config, kubectl) as file:
            own = kubeconfig.own_cluster(file)
            yield tour.Guide(kubectl, file, own.name if own else "", _say)
        return
    cluster = registry.get(name)
    if not cluster.kubeconfig.exists():
        raise ClusterError(f"cluster {name} is not up: run  scripts/up")
    yield tour.Guide(cluster.bin / "kubectl", cluster.kubeconfig, name, _say)


def _say(line: str) -> None:
    print(line, flush=True)


def _markdown(stops: list[tour.Stop], table: str) -> str:
    parts = [
        "# The tour\n\nWhat `scripts/tour` prints on the cluster of `scripts/up`, two nodes on one host with two cores"
        " and software emulation. Each part is an example that you can run alone: `scripts/tour NAME`.\n",
        f"```\n{table}\n```\n",
    ]
    for stop in stops:
        text = "\n".join(stop.lines)
        parts.append(f"## {stop.name}\n\n```\n{text}\n```\n")
    return "\n".join(parts)


def add(app: typer.Typer) -> None:
    app.command("tour")(run)
