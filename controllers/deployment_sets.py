"""The replica sets of a deployment: one a template, found by it, numbered by revision. Pure."""

import json
from collections.abc import Iterable, Set
from dataclasses import dataclass
from datetime import datetime
from functools import cached_property

from controllers import members
from hostler.api import apps
from hostler.api.apps import VirtualMachineDeployment as Deployment
from hostler.api.kubevirt.vmi import VirtualMachineInstance as VMI
from hostler.api.kubevirt.vmirs import VirtualMachineInstanceReplicaSet as ReplicaSet
from hostler.api.schedule import BEFORE_STOP, SCHEDULED
from hostler.runtime import names
from hostler.runtime.plan import Create, Patch, owner_reference
from hostler.runtime.protocol import Raw

HASH = 10  # characters
LONGEST_HISTORY = 2000  # characters of the annotation
# annotations of the deployment that its sets do not take over
OWN = (
    "kubectl.kubernetes.io/last-applied-configuration",
    apps.REVISION,
    apps.REVISION_HISTORY,
    apps.DESIRED_REPLICAS,
    apps.MAX_REPLICAS,
    BEFORE_STOP,
    SCHEDULED,
)


@dataclass(frozen=True)
class Fleet:
    """A replica set and its guests."""

    rs: ReplicaSet
    vmis: tuple[VMI, ...]
    now: datetime
    min_ready: int

    @cached_property
    def size(self) -> int:
        return 1 if self.rs.spec.replicas is None else self.rs.spec.replicas

    @cached_property
    def alive(self) -> tuple[VMI, ...]:
        return tuple(filter(members.alive, self.vmis))

    @cached_property
    def ready(self) -> int:
        return sum(map(members.ready, self.alive))

    @cached_property
    def available(self) -> int:
        return sum(members.available(vmi, self.min_ready, self.now) for vmi in self.alive)

    @property
    def kept(self) -> int:
        """Available guests that will still be there when the set has its size."""
        return min(self.size, self.available)

    @property
    def terminating(self) -> int:
        return sum(members.dying(vmi) and not members.finished(vmi) for vmi in self.vmis)

    @property
    def revision(self) -> int:
        return number(self.rs, apps.REVISION)


def number(rs: ReplicaSet, annotation: str) -> int:
    text = rs.metadata.annotations.get(annotation, "")
    return int(text) if text.isdecimal() else 0


def same_template(deployment: Deployment, rs: ReplicaSet) -> bool:
    """But for the hash."""
    raw = members.template_raw(rs.spec.template)
    raw["metadata"]["labels"].pop(apps.TEMPLATE_HASH, None)
    return raw == members.template_raw(deployment.spec.template)


def newest(deployment: Deployment, sets: Iterable[ReplicaSet]) -> ReplicaSet | None:
    """The set of the deployment's template: the oldest one, should there be more.

    Else the one that was made from it: an installed KubeVirt drops fields that it does not know, and fills in others.
    """
    found = sorted(sets, key=members.born)
    if same := next((rs for rs in found if same_template(deployment, rs)), None):
        return same
    mark = template_hash(deployment, collisions(deployment))
    return next((rs for rs in found if rs.metadata.labels.get(apps.TEMPLATE_HASH) == mark), None)


def collisions(deployment: Deployment) -> int:
    return (deployment.status and deployment.status.collision_count) or 0


def template_hash(deployment: Deployment, collision: int) -> str:
    text = json.dumps(members.template_raw(deployment.spec.template), sort_keys=True, separators=(",", ":"))
    return names.suffix(f"{text}/{collision}" if collision else text, HASH)


def fresh(deployment: Deployment, revision: int, size: int, most: int, taken: Set[str]) -> tuple[Create, int]:
    """The set for the deployment's template, and how many names were somebody else's."""
    collision = collisions(deployment)
    while f"{deployment.metadata.name}-{template_hash(deployment, collision)}" in taken:
        collision += 1
    mark = template_hash(deployment, collision)
    name = f"{deployment.metadata.name}-{mark}"
    template = members.template_raw(deployment.spec.template)
    template["metadata"]["labels"][apps.TEMPLATE_HASH] = mark
    template["metadata"]["generateName"] = f"{name}-"
    selector = deployment.spec.selector.model_dump(mode="json", by_alias=True, exclude_unset=True)
    selector["matchLabels"] = (selector.get("matchLabels") or {}) | {apps.TEMPLATE_HASH: mark}
    marks = {apps.REVISION: str(revision)} | sizes(deployment, most)
    metadata = {
        "name": name,
        "namespace": deployment.metadata.namespace,
        "labels": dict(template["metadata"]["labels"]),
        "annotations": inherited(deployment) | marks,
        "ownerReferences": [owner_reference(deployment)],
    }
    spec = {"replicas": size, "selector": selector, "template": template}
    return Create(ReplicaSet, {"metadata": metadata, "spec": spec}), collision


def inherited(deployment: Deployment) -> dict[str, str]:
    return {key: value for key, value in deployment.metadata.annotations.items() if key not in OWN}


def sizes(deployment: Deployment, most: int) -> dict[str, str]:
    """How large the deployment was when the set got its size: what proportional scaling goes by."""
    return {apps.DESIRED_REPLICAS: str(replicas(deployment)), apps.MAX_REPLICAS: str(most)}


def replicas(deployment: Deployment) -> int:
    return 1 if deployment.spec.replicas is None else deployment.spec.replicas


def numbered(deployment: Deployment, new: Fleet | None, old: tuple[Fleet, ...]) -> tuple[Patch, ...]:
    """The new set has the highest revision, and the deployment's annotations; the deployment has its revision."""
    if new is None:
        return ()
    revision = max((each.revision for each in old), default=0) + 1
    wanted = inherited(deployment)
    if new.revision < revision:
        wanted |= {apps.REVISION: str(revision), apps.REVISION_HISTORY: history(new.rs)}
    else:
        revision = new.revision
    patches = []
    change = {key: value for key, value in wanted.items() if value != new.rs.metadata.annotations.get(key, "")}
    if change:
        patches.append(Patch(new.rs, {"metadata": {"annotations": change}}, "number"))
    if deployment.metadata.annotations.get(apps.REVISION) != str(revision):
        patches.append(Patch(deployment, {"metadata": {"annotations": {apps.REVISION: str(revision)}}}, "number"))
    return tuple(patches)


def history(rs: ReplicaSet) -> str:
    """The revisions that this set has been before."""
    known = rs.metadata.annotations.get(apps.REVISION_HISTORY, "").split(",")
    passed = [each for each in (*known, rs.metadata.annotations.get(apps.REVISION, "")) if each]
    while len(",".join(passed)) > LONGEST_HISTORY:
        passed = passed[1:]
    return ",".join(passed)


def resized(deployment: Deployment, fleet: Fleet, size: int, most: int) -> Patch | None:
    marks = sizes(deployment, most)
    known = fleet.rs.metadata.annotations
    change: Raw = {} if all(known.get(key) == value for key, value in marks.items()) else {"annotations": marks}
    if size == fleet.size and not change:
        return None
    patch: Raw = {"metadata": change} if change else {}
    why = "annotate"
    if size != fleet.size:
        patch["spec"], why = {"replicas": size}, "scale"
    return Patch(fleet.rs, patch, why)


def disposable(deployment: Deployment, old: tuple[Fleet, ...]) -> list[ReplicaSet]:
    """Old sets beyond the history's limit, the oldest first; never one with guests."""
    limit = deployment.spec.revision_history_limit
    if limit is None:
        return []
    surplus = sorted(old, key=lambda each: each.revision)[: max(len(old) - limit, 0)]
    return [each.rs for each in surplus if not each.size and not each.vmis]
