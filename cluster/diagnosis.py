"""Why something of a cluster is not there: which programs do not run, how they died, and what the first said last."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager

from cluster import journal, logfile, supervisor
from cluster.errors import ClusterError
from cluster.journal import Entry
from cluster.layout import Cluster

SUPERVISOR = "supervisor"  # its log is beside those of the programs
WORDS, NAMED = 10, 10  # lines of a log, programs


@contextmanager
def explained(cluster: Cluster, suspect: Callable[[], str] = lambda: "") -> Iterator[None]:
    """A ClusterError from within tells who does not run, too; if all do, the last words of the suspect, if any."""
    try:
        yield
    except ClusterError as error:
        raise ClusterError("\n".join([str(error), *(faults(cluster) or last_words(cluster, suspect()))])) from error


def faults(cluster: Cluster) -> list[str]:
    """Who does not run, in the order in which they start: the first keeps the others waiting, so it has the word."""
    page = journal.read(cluster.state / supervisor.JOURNAL)
    if not page.supervisor.alive:
        return ["the supervisor is not running", *last_words(cluster, SUPERVISOR)]
    idle = {name: entry for name, entry in page.entries.items() if entry.state != "running" or not entry.alive}
    lines = [_line(name, entry) for name, entry in idle.items()]
    more = [f"and {len(lines) - NAMED} more"] if len(lines) > NAMED else []
    return [*lines[:NAMED], *more, *last_words(cluster, next(iter(idle), ""))]


def _line(name: str, entry: Entry) -> str:
    state = entry.state if entry.alive or entry.state != "running" else "dead"
    return f"{name} is {state}" + (f"; its last death: {journal.told(entry.deaths[-1])}" if entry.deaths else "")


def last_words(cluster: Cluster, program: str) -> list[str]:
    if not program:
        return []
    lines = logfile.tail(cluster.logs / f"{program}.log", 3 * WORDS)
    said = [line for line in lines if not line.startswith("---")][-WORDS:]
    return [f"the log of {program} ends with:", *said] if said else [f"the log of {program} is empty"]
