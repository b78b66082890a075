"""Options that many commands have."""

from enum import StrEnum
from typing import Annotated

import typer

DEFAULT = "hostler"  # the cluster, if nobody says which


class Output(StrEnum):
    TEXT = "text"
    JSON = "json"


ClusterName = Annotated[str, typer.Option("--name", envvar="HOSTLER_CLUSTER", help="Which cluster.")]
OutputOption = Annotated[Output, typer.Option("--output", "-o", help="How data is printed.")]
