"""What the status of a VirtualMachineDeployment says, in apps/v1's words. Pure."""

from dataclasses import dataclass
from datetime import datetime

from controllers.deployment_rollout import bounds
from controllers.deployment_sets import Fleet, collisions, replicas
from hostler.api.apps import VirtualMachineDeployment as Deployment
from hostler.api.kubevirt.vmirs import HOSTLER_FAILURE
from hostler.runtime import conditions, selectors
from hostler.runtime.protocol import Raw

NO_DEADLINE = 2**31 - 1  # as good as none, as in apps/v1


@dataclass(frozen=True)
class News:
    """What a visit has done to the newest set."""

    created: str = ""  # its name
    collision: int = 0


class Conditions:
    """The conditions of a deployment, which have two times: when they turned, and when they were last renewed."""

    def __init__(self, deployment: Deployment, now: datetime) -> None:
        self._now = now
        found = deployment.status.conditions if deployment.status else ()
        self._known = {each.type: each.model_dump(mode="json", by_alias=True, exclude_unset=True) for each in found}

    def get(self, kind: str) -> Raw | None:
        return self._known.get(kind)

    def reason(self, kind: str) -> str:
        return str((self._known.get(kind) or {}).get("reason", ""))

    def set(self, kind: str, status: str, reason: str, message: str, *, renew: bool = False) -> None:
        """The same status and reason again is no news, unless it is renewed."""
        old = self._known.get(kind)
        if old and (old["status"], old.get("reason")) == (status, reason) and not renew:
            return
        stamp = conditions.stamp(self._now)
        turned = old.get("lastTransitionTime") if old and old["status"] == status else None
        self._known[kind] = {
            "type": kind,
            "status": status,
            "reason": reason,
            "message": message,
            "lastUpdateTime": stamp,
            "lastTransitionTime": turned or stamp,
        }

    def remove(self, kind: str) -> None:
        self._known.pop(kind, None)

    def all(self) -> list[Raw]:
        return list(self._known.values())


def deadline(deployment: Deployment) -> int | None:
    """Seconds without progress until a rollout is said to have failed."""
    seconds = 600 if deployment.spec.progress_deadline_seconds is None else deployment.spec.progress_deadline_seconds
    return None if seconds == NO_DEADLINE else seconds


def status(deployment: Deployment, new: Fleet | None, old: tuple[Fleet, ...], news: News, now: datetime) -> Raw:
    counts = counted(new, old)
    told = Conditions(deployment, now)
    if counts["availableReplicas"] >= replicas(deployment) - bounds(deployment).unavailable:
        told.set("Available", "True", "MinimumReplicasAvailable", "Deployment has minimum availability.")
    else:
        told.set("Available", "False", "MinimumReplicasUnavailable", "Deployment does not have minimum availability.")
    if deadline(deployment) is None:
        told.remove("Progressing")
    else:
        pausing(deployment, told)
        founding(told, new, news)
        if not deployment.spec.paused and not news.created:
            progressing(deployment, told, new, counts, now)
    failing(told, new, old)
    return counts | {
        "observedGeneration": deployment.metadata.generation,
        "collisionCount": news.collision or collisions(deployment) or None,
        "labelSelector": selectors.text(deployment.spec.selector),
        "printable": {"ready": f"{counts['readyReplicas']}/{replicas(deployment)}"},
        "conditions": told.all(),
    }


def counted(new: Fleet | None, old: tuple[Fleet, ...]) -> dict[str, int]:
    fleets = (*old, new) if new else old
    available = sum(each.available for each in fleets)
    return {
        "replicas": sum(len(each.alive) for each in fleets),
        "updatedReplicas": len(new.alive) if new else 0,
        "readyReplicas": sum(each.ready for each in fleets),
        "availableReplicas": available,
        "unavailableReplicas": max(sum(each.size for each in fleets) - available, 0),
        "terminatingReplicas": sum(each.terminating for each in fleets),
    }


def pausing(deployment: Deployment, told: Conditions) -> None:
    """A rollout that is paused makes no progress and must not fail for it."""
    reason = told.reason("Progressing")
    if reason == "ProgressDeadlineExceeded":
        return
    if deployment.spec.paused and reason != "DeploymentPaused":
        told.set("Progressing", "Unknown", "DeploymentPaused", "Deployment is paused")
    elif not deployment.spec.paused and reason == "DeploymentPaused":
        told.set("Progressing", "Unknown", "DeploymentResumed", "Deployment is resumed")


def founding(told: Conditions, new: Fleet | None, news: News) -> None:
    if news.created:
        words = f'Created new replica set "{news.created}"'
        told.set("Progressing", "True", "NewReplicaSetCreated", words, renew=True)
    elif new and told.get("Progressing") is None:
        told.set("Progressing", "True", "FoundNewReplicaSet", f'Found new replica set "{new.rs.metadata.name}"')


def progressing(
    deployment: Deployment, told: Conditions, new: Fleet | None, counts: dict[str, int], now: datetime
) -> None:
    """How the rollout goes; once it has gone well, that stays said until there is another."""
    settled = told.reason("Progressing") == "NewReplicaSetAvailable"
    if settled and counts["replicas"] == counts["updatedReplicas"]:
        return
    what = f'ReplicaSet "{new.rs.metadata.name}"' if new else f'Deployment "{deployment.metadata.name}"'
    if complete(deployment, counts):
        told.set("Progressing", "True", "NewReplicaSetAvailable", f"{what} has successfully progressed.", renew=True)
    elif progress(deployment, counts):
        told.set("Progressing", "True", "ReplicaSetUpdated", f"{what} is progressing.", renew=True)
    elif (left := time_left(deployment, told.get("Progressing"), now)) is not None and left < 0:
        told.set("Progressing", "False", "ProgressDeadlineExceeded", f"{what} has timed out progressing.")


def complete(deployment: Deployment, counts: dict[str, int]) -> bool:
    wanted = replicas(deployment)
    return counts["updatedReplicas"] == counts["replicas"] == counts["availableReplicas"] == wanted


def progress(deployment: Deployment, counts: dict[str, int]) -> bool:
    """More new ones, fewer old ones, or more that are ready or available, than when the status was last written."""
    last = deployment.status
    replicas_then, updated_then = (last and last.replicas) or 0, (last and last.updated_replicas) or 0
    return (
        counts["updatedReplicas"] > updated_then
        or counts["replicas"] - counts["updatedReplicas"] < replicas_then - updated_then
        or counts["readyReplicas"] > ((last and last.ready_replicas) or 0)
        or counts["availableReplicas"] > ((last and last.available_replicas) or 0)
    )


def time_left(deployment: Deployment, known: Raw | None, now: datetime) -> float | None:
    """Seconds until the rollout has failed, by what is known of its progress; None if nothing waits for that."""
    seconds = deadline(deployment)
    if seconds is None or known is None or not known.get("lastUpdateTime") or deployment.spec.paused:
        return None
    if known.get("reason") in ("NewReplicaSetAvailable", "ProgressDeadlineExceeded"):
        return None
    return seconds - (now - conditions.parse(known["lastUpdateTime"])).total_seconds()


def failing(told: Conditions, new: Fleet | None, old: tuple[Fleet, ...]) -> None:
    """The first set that cannot make its guests, the newest set before the others."""
    for each in (*((new,) if new else ()), *old):
        for known in each.rs.status.conditions if each.rs.status else ():
            if known.type in ("ReplicaFailure", HOSTLER_FAILURE) and known.status == "True":
                told.set("ReplicaFailure", "True", known.reason or "", known.message or "")
                return
    told.remove("ReplicaFailure")
