"""The kubeconfig of a command: the file that is given, or all that KUBECONFIG names, which are one as for kubectl."""

import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from cluster import kubeconfig as kubeconfigs
from hostler.runtime.errors import Terminal

Raw = dict[str, Any]


@dataclass(frozen=True)
class Login:
    """Who asks which cluster."""

    path: str  # one file, or several with colons between them
    context: str
    namespace: str


def login(given: Path | None) -> Login:
    """The current context; Terminal or ClusterError, with the file's name, where there is none."""
    paths = files(given)
    contents = {path: content for path in paths if (content := kubeconfigs.load(path))}
    names = ", ".join(map(str, contents or paths))
    if not contents:
        raise Terminal("NoKubeconfig", f"{names} does not exist or is empty: run scripts/up, or set KUBECONFIG")
    known = {part: merged(contents.values(), part) for part in kubeconfigs.PARTS}
    # the client library takes the last file's, kubectl the first one's
    current = next((each["current-context"] for each in contents.values() if each.get("current-context")), None)
    if current not in known["contexts"]:
        what = f"has no context {current!r}, its current one" if current else "names no current context"
        raise Terminal("NoContext", f"{names} {what}: kubectl config use-context NAME")
    context = known["contexts"][current]
    if what := lacking(known, context):
        raise Terminal("InvalidKubeconfig", f"{names} lacks the {what} of its current context {current!r}: mend it")
    return Login(os.pathsep.join(map(str, contents)), str(current), str(context.get("namespace") or "default"))


def lacking(known: dict[str, dict[str, Raw]], context: Raw) -> str:
    """What the context needs and has not; a proxy on this host, without TLS, may do without a user."""
    cluster = known["clusters"].get(context.get("cluster", ""))
    if not cluster or not cluster.get("server"):
        return "cluster" if not cluster else "cluster's server"
    anonymous = "user" not in context and not str(cluster["server"]).startswith("https:")
    return "" if anonymous or context.get("user") in known["users"] else "user"


def files(given: Path | None) -> list[Path]:
    if given is not None:
        return [given]
    named = [Path(each) for each in os.environ.get("KUBECONFIG", "").split(os.pathsep) if each]
    return named or [kubeconfigs.users_file()]


def merged(contents: Any, part: str) -> dict[str, Raw]:
    """Name -> what it is of; of two with one name the first counts."""
    found: dict[str, Raw] = {}
    for content in contents:
        for entry in content.get(part) or []:
            found.setdefault(entry["name"], entry.get(part[:-1]) or {})
    return found
