"""Which nodes are lost: pure. A silent lease is a suspicion, a second signal confirms it, and guards hold us back."""

from collections.abc import Iterable, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass
from enum import StrEnum

from hostler.api.fencing import FINAL, NEEDS_ACK, FenceOperation


class Reach(StrEnum):
    """What a node's address answers."""

    ANSWERS = "answers"  # its kubelet speaks
    DEAF = "deaf"  # its kernel does, its kubelet does not
    SILENT = "silent"
    UNKNOWN = "unknown"  # not asked, or we could not


class State(StrEnum):
    HEALTHY = "Healthy"
    SUSPECT = "Suspect"  # silent, but something else of it is alive
    HELD = "Held"  # lost, but a guard forbids to act
    LOST = "Lost"
    OFF = "Off"  # fenced, and not heard since


@dataclass(frozen=True)
class Policy:
    """Seconds, and how much at once."""

    silent: float = 10.0  # of our lease, renewed every 2
    kubelet_silent: float = 25.0  # of the kubelet's, renewed every 10
    most_at_once: int = 1


@dataclass(frozen=True)
class Sight:
    """One node as it is seen now."""

    name: str
    silent: float  # seconds that its lease of ours has not been renewed
    kubelet_silent: float = 0.0
    ready: bool = True
    reach: Reach = Reach.UNKNOWN
    maintenance: bool = False


@dataclass(frozen=True)
class Verdict:
    node: str
    state: State
    why: str = ""


@dataclass(frozen=True)
class Known:
    """Nodes of which there are operations."""

    busy: AbstractSet[str] = frozenset()  # not ended
    switching: AbstractSet[str] = frozenset()  # of these: they may be switching something off
    off: AbstractSet[str] = frozenset()  # ended with a proof, and the node has not been heard since


def judge(sights: Sequence[Sight], known: Known, policy: Policy) -> tuple[Verdict, ...]:
    """One verdict for each node. What is known to be off counts in none of the guards."""
    counted = [sight for sight in sights if sight.name not in known.off]
    silent = [sight for sight in counted if sight.silent >= policy.silent]
    # more likely than that most machines died is that we, or the API server, hear nothing any more
    majority = len(silent) * 2 > len(counted)
    free = policy.most_at_once - len(known.switching)
    verdicts = []
    for sight in sights:
        verdict = _judge(sight, policy)
        if verdict.state is not State.HEALTHY and sight.name in known.off:
            verdict = Verdict(sight.name, State.OFF, "it was fenced, and has not been heard since")
        elif verdict.state is State.LOST and sight.name not in known.busy:
            verdict = _guarded(sight, verdict, majority, len(silent), len(counted), free)
            free -= verdict.state is State.LOST
        verdicts.append(verdict)
    return tuple(verdicts)


def switching(operations: Iterable[FenceOperation]) -> set[str]:
    """Nodes whose operations hold one of the places: not those that only tell, nor those that wait for a person."""
    acting = (op for op in operations if op.spec.mode == "Enforce" and op.phase not in (*FINAL, NEEDS_ACK))
    return {op.spec.node_name for op in acting}


def _judge(sight: Sight, policy: Policy) -> Verdict:
    if sight.silent < policy.silent:
        return Verdict(sight.name, State.HEALTHY)
    told = f"its lease has not been renewed for {sight.silent:.0f} s"
    if second := second_signal(sight, policy):
        return Verdict(sight.name, State.LOST, f"{told}, and {second}")
    return Verdict(sight.name, State.SUSPECT, f"{told}, but its kubelet is alive: the agent is at fault")


def second_signal(sight: Sight, policy: Policy) -> str:
    """What else says that the node is gone; "" if nothing does."""
    if not sight.ready:
        return "Kubernetes says that it is not ready"
    if sight.kubelet_silent >= policy.kubelet_silent:
        return f"its kubelet's has not for {sight.kubelet_silent:.0f} s"
    if sight.reach is Reach.DEAF:
        return "its kubelet does not answer, though its address does"
    if sight.reach is Reach.SILENT:
        return "its address does not answer"
    return ""


def _guarded(sight: Sight, lost: Verdict, majority: bool, silent: int, all_nodes: int, free: int) -> Verdict:  # noqa: PLR0913, PLR0917
    if sight.maintenance:
        return Verdict(sight.name, State.HELD, f"{lost.why}; it is in maintenance")
    if majority:
        return Verdict(
            sight.name, State.HELD, f"{lost.why}; but so are {silent} of {all_nodes}: we may be the lost ones"
        )
    if free <= 0:
        return Verdict(sight.name, State.HELD, f"{lost.why}; another node is being fenced")
    return lost
