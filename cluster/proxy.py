"""Whom no proxy is asked for: what is on this host. Where HTTPS_PROXY is exported a proxy gets all other requests."""

import json
import os
from collections.abc import Mapping

from cluster import layout
from cluster.layout import DOMAIN, Cluster

PROXIES = ("HTTP_PROXY", "HTTPS_PROXY", "http_proxy", "https_proxy")
EXCEPTIONS = ("NO_PROXY", "no_proxy")  # Go reads the first one first, curl and Python the second
HERE = ("127.0.0.1", "localhost", ".svc", f".{DOMAIN}")
RECORD = "proxy.json"  # of the cluster's state: what `up` found


def direct(environment: Mapping[str, str], *places: object) -> dict[str, str]:
    """The environment, with what is here and `places` (none: all networks of clusters) excepted from its proxies."""
    whole = ",".join(environment.get(name, "") for name in EXCEPTIONS)
    known = [name.strip() for name in whole.split(",") if name.strip()]
    wanted = [*known, *HERE, *map(str, places or [layout.EVERY_NETWORK])]
    value = "*" if "*" in known else ",".join(dict.fromkeys(wanted))  # nothing may stand beside a *
    return {**environment} | dict.fromkeys(EXCEPTIONS, value)


def places(cluster: Cluster) -> tuple[object, ...]:
    """The API server's address, too: not everybody understands networks."""
    return cluster.network, cluster.control


def advice(cluster: Cluster) -> str:
    """What is to be exported so that anybody's kubectl reaches the cluster; empty: nothing."""
    if not any(os.environ.get(name) for name in PROXIES):
        return ""
    value = direct(os.environ, *places(cluster))[EXCEPTIONS[0]]
    return (
        "" if all(os.environ.get(name) == value for name in EXCEPTIONS) else f"export NO_PROXY={value} no_proxy={value}"
    )


def keep(cluster: Cluster) -> None:
    """Remember the proxies of this `up`: the same programs are wanted whoever asks later, and from wherever."""
    found = {name: os.environ[name] for name in (*PROXIES, *EXCEPTIONS) if name in os.environ}
    fresh = cluster.state / f".{RECORD}"
    fresh.touch()
    fresh.chmod(0o600)  # there may be a password in them
    fresh.write_text(json.dumps(found))
    fresh.replace(cluster.state / RECORD)


def of_pulls(cluster: Cluster) -> dict[str, str]:
    """For who gets images from the world."""
    record = cluster.state / RECORD
    kept = json.loads(record.read_text()) if record.exists() else {}
    return direct(kept, *places(cluster))


def of_programs(cluster: Cluster) -> dict[str, str]:
    """For all others of the cluster's programs, who inherit the supervisor's proxies."""
    return {name: value for name, value in of_pulls(cluster).items() if name in EXCEPTIONS}
