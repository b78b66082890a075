"""vmctl up: from a bare host to running virtual machines; or Hostler on a cluster that is there already."""

import asyncio
import json
import os
from pathlib import Path
from typing import Annotated

import typer
import yaml

from cluster import catalog, images, kubeconfig, load, programs, registry, status
from cluster import up as clusters
from cluster.host import run
from cluster.images import Built
from cluster.layout import Cluster
from cluster.preflight import preflight
from cluster.progress import Progress
from hostler.cli.cluster import introduce
from hostler.cli.options import DEFAULT, ClusterName
from launcher.agent import kvm

CHECKOUT = Path(__file__).parents[2]
CHART = CHECKOUT / "charts" / "hostler"
HELLO = CHECKOUT / "examples" / "hello.yaml"
NAMESPACE = "hostler"
IMAGES = ("hostler", "hostler-launcher", "tiny")
SECONDS = 300

Values = list[str]


def up(  # noqa: PLR0913, PLR0917 - each is an option of the command line
    name: ClusterName = DEFAULT,
    nodes: Annotated[
        int | None, typer.Option(help="How many nodes. Default: as many as it has; 2 if it is new.", min=1)
    ] = None,
    given: Annotated[
        Path | None,
        typer.Option("--programs", envvar="HOSTLER_PROGRAMS", help="Folder with the programs of Kubernetes."),
    ] = None,
    example: Annotated[bool, typer.Option(help="Run the three guests of examples/hello.yaml, too.")] = True,
    merge: Annotated[
        bool, typer.Option(envvar="HOSTLER_MERGE", help="Make the cluster kubectl's current context.")
    ] = True,
    values: Annotated[Values | None, typer.Option("--set", help="A value for the chart, as helm's --set.")] = None,
) -> None:
    """Make a cluster, install Hostler and run three virtual machines. With KUBECONFIG set: install there.

    Examples:

      vmctl up                                   two nodes on this host

      vmctl up --nodes 3 --no-example

      vmctl up --set fencing.mode=Enforce        as helm's --set
    """
    config = os.environ.get("KUBECONFIG")
    size = nodes or registry.size_of(name) or registry.NEW_SIZE  # guests need a node
    if not config:
        preflight(name, size, images=True)
    progress = Progress()
    folder = programs.links(
        programs.find(("helm", "kubectl"), given, progress.say), programs.cache() / "bin" / catalog.KUBERNETES
    )
    if config:
        with kubeconfig.one_file(config, folder / "kubectl") as file:
            chosen = provide_images(kubeconfig.own_cluster(file), progress)
            fill(folder, file, [*chosen, *(values or [])], progress, example=example)
    else:
        built = build_images(progress)
        ours = clusters.up(name, size, given, progress, [image.tar for image in built.values()])
        chosen = chart_values(built, progress)
        introduce(ours, merge=merge)
        fill(folder, ours.kubeconfig, [*chosen, *(values or [])], progress, example=example)
    rows = [[stage, f"{seconds:.1f} s"] for stage, seconds in progress.stages]
    print(status.aligned([["STAGE", "TIME"], *rows, ["all", f"{progress.seconds:.1f} s"]]))


def fill(folder: Path, config: Path, values: Values, progress: Progress, *, example: bool) -> None:
    """Install Hostler, and run the example's guests."""
    install(folder, config, values, progress)
    if example:
        print(f"\n{run_example(folder, config, progress)}\n")


def provide_images(cluster: Cluster | None, progress: Progress) -> Values:
    """Build the images and load them into the nodes of a cluster that is up; the chart's values that name them."""
    if cluster is None:
        progress.say("images: the chart's own (this cluster's nodes are not on this host; --set image.repository=...)")
        return []
    built = build_images(progress)
    with progress.stage("images into the nodes"):
        load.load(cluster, [image.tar for image in built.values()])
    return chart_values(built, progress)


def build_images(progress: Progress) -> dict[str, Built]:
    with progress.stage("Hostler's images"):
        return images.build(IMAGES)


def chart_values(built: dict[str, Built], progress: Progress) -> Values:
    """The images as they are tagged here, and emulation where the host's KVM does not work."""
    works = asyncio.run(kvm.proven(programs.cache()))
    if not works:
        progress.say("no working KVM: guests run by software emulation")
    tags = {name: image.ref.rpartition(":")[2] for name, image in built.items()}
    chosen = {
        "image.tag": tags["hostler"],
        "launcher.image.tag": tags["hostler-launcher"],
        "launcher.useEmulation": str(not works).lower(),
        "imports.image.tag": images.IMAGES["hostler-v2v"].tag,  # large, and loaded by who imports
    }
    return [f"{key}={value}" for key, value in chosen.items()]


def install(folder: Path, config: Path, values: Values, progress: Progress) -> None:
    """Install or upgrade the chart and wait until it works."""
    options = [word for value in values for word in ("--set", value)]
    helm = (folder / "helm", f"--kubeconfig={config}", f"--namespace={NAMESPACE}")
    with progress.stage("helm upgrade --install"):
        mend(helm)
        run(
            *helm, "upgrade", "--install", "hostler", CHART, "--create-namespace", "--wait", f"--timeout={SECONDS}s",
            *options, timeout=SECONDS + 30,
        )  # fmt: skip


def mend(helm: tuple[str | Path, ...]) -> None:
    """Bring back a release that an uninstall was refused for, or whose install was killed: Helm upgrades neither."""
    known = json.loads(run(*helm, "list", "--all", "--filter", "^hostler$", "-o", "json"))
    if known and known[0]["status"].startswith(("uninstalling", "pending-")):
        run(*helm, "rollback", "hostler", known[0]["revision"])


def run_example(folder: Path, config: Path, progress: Progress) -> str:
    """The example's guests, Ready; the table of them."""
    kubectl = (folder / "kubectl", f"--kubeconfig={config}")
    ready = ("--for=condition=Ready", "vmi", "-l", example_labels(), f"--timeout={SECONDS}s")
    with progress.stage("three guests ready"):
        run(*kubectl, "apply", "-f", HELLO)
        run(*kubectl, "wait", "--for=jsonpath={.status.replicas}=3", "vmirs/hello", f"--timeout={SECONDS}s")
        run(*kubectl, "wait", *ready)
    return run(*kubectl, "get", "vmi", "-l", example_labels(), "-o", "wide").rstrip()


def example_labels() -> str:
    labels = yaml.safe_load(HELLO.read_text())["spec"]["selector"]["matchLabels"]
    return ",".join(f"{key}={value}" for key, value in labels.items())


def add(app: typer.Typer) -> None:
    app.command()(up)
