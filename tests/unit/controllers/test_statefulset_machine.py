"""A stateful set of guests, whatever happens."""

from typing import Any

from hypothesis import strategies as st
from hypothesis.stateful import initialize, invariant, rule

from controllers import members, statefulset
from controllers import statefulset_identity as identity
from controllers.settings import ManagerSettings
from controllers.statefulset_rollout import floor, most_unavailable, on_delete, ordered
from hostler.api.apps import VirtualMachineStatefulSet as StatefulSet
from hostler.api.kubevirt.vmi import VirtualMachineInstance as VMI
from hostler.api.objects import PersistentVolumeClaim
from hostler.runtime.plan import Plan
from tests.unit import make
from tests.unit.machine import CHEAP, Machine, created, deleted

CLAIM = {"metadata": {"name": "data"}, "spec": {"resources": {"requests": {"storage": "1Gi"}}}}
STRATEGIES = st.sampled_from(
    [
        {"type": "RollingUpdate", "rollingUpdate": None},
        {"type": "RollingUpdate", "rollingUpdate": {"partition": 2, "maxUnavailable": 1}},
        {"type": "RollingUpdate", "rollingUpdate": {"partition": 0, "maxUnavailable": 2}},
        {"type": "OnDelete", "rollingUpdate": None},
    ]
)


class StatefulSets(Machine):
    controllers = (statefulset.controller(ManagerSettings()),)

    def __init__(self) -> None:
        super().__init__()
        self.disks: dict[str, str] = {}  # name -> UID

    @initialize(
        replicas=st.integers(2, 4),
        policy=st.sampled_from(["OrderedReady", "Parallel"]),
        strategy=STRATEGIES,
        patience=st.sampled_from([0, 30]),
    )
    def begin(self, replicas: int, policy: str, strategy: Any, patience: int) -> None:
        spec = {"podManagementPolicy": policy, "updateStrategy": strategy, "minReadySeconds": patience}
        self.world.add(make.workload(StatefulSet, "db", replicas=replicas, volumeClaimTemplates=[CLAIM], **spec))
        self.world.settle()

    @rule(memory=st.sampled_from([64, 128, 256]))
    def rolled(self, memory: int) -> None:
        change = {"template": {"spec": {"domain": {"memory": {"guest": f"{memory}Mi"}}}}}
        self.world.change(self.parent, {"spec": change})

    @rule(replicas=st.integers(0, 4))
    def scaled(self, replicas: int) -> None:
        self.world.change(self.parent, {"spec": {"replicas": replicas}})

    @rule(start=st.integers(0, 1))
    def renumbered(self, start: int) -> None:
        self.world.change(self.parent, {"spec": {"ordinals": {"start": start}}})

    @rule(strategy=STRATEGIES)
    def strategy(self, strategy: Any) -> None:
        self.world.change(self.parent, {"spec": {"updateStrategy": strategy}})

    def row(self, parent: StatefulSet) -> dict[int, VMI]:
        numbers = ((identity.ordinal(parent, each), each) for each in self.owned(parent))
        return {number: each for number, each in numbers if number is not None}

    def available(self, parent: StatefulSet, vmi: VMI | None) -> bool:
        return vmi is not None and members.available(vmi, parent.spec.min_ready_seconds, self.world.now)

    def judge(self, parent: StatefulSet, plan: Plan) -> None:
        row, wanted = self.row(parent), identity.numbers(parent)
        made = [body["metadata"]["name"] for body in created(plan)]
        gone = {number for each in deleted(plan) if (number := identity.ordinal(parent, each)) is not None}
        assert not set(made) & {each.metadata.name for each in row.values()}, "never two of one number"
        assert set(made) <= {identity.name(parent, each) for each in wanted}
        up = {number for number in wanted if self.available(parent, row.get(number))}
        renewed = gone & set(wanted)
        assert not (renewed and on_delete(parent))
        assert all(number >= floor(parent) for number in renewed)
        left, least = len(up - gone), len(wanted) - most_unavailable(parent)
        assert left >= min(len(up), least), "never fewer than allowed"
        if ordered(parent):
            self.judge_order(parent, plan, up)

    def judge_order(self, parent: StatefulSet, plan: Plan, up: set[int]) -> None:
        """One at a time: up from the first, down from the last."""
        row, wanted = self.row(parent), identity.numbers(parent)
        made = [
            each for each in wanted if identity.name(parent, each) in {b["metadata"]["name"] for b in created(plan)}
        ]
        condemned = {identity.ordinal(parent, each) for each in deleted(plan)} - set(wanted)
        assert len(made) + len(condemned) <= 1
        assert all(below in up for number in made for below in wanted if below < number)
        if condemned:
            assert up == set(wanted), "the row is whole first"
            beyond = {number for number, vmi in row.items() if number not in wanted}
            broken = {number for number in beyond if not self.available(parent, row[number])}
            assert condemned <= {max(beyond)}
            assert broken <= condemned | {min(broken, default=0)}

    @invariant()
    def disks_are_kept(self) -> None:
        for each in self.world.all(PersistentVolumeClaim):
            assert self.disks.setdefault(each.metadata.name, each.metadata.uid) == each.metadata.uid

    def heal(self) -> None:
        strategy = {"type": "RollingUpdate", "rollingUpdate": None}
        self.world.change(self.parent, {"spec": {"replicas": 3, "ordinals": None, "updateStrategy": strategy}})
        self.rolled(512)

    def settled(self) -> None:
        parent = self.parent
        assert sorted(self.row(parent)) == [0, 1, 2]
        assert {vmi.spec.domain.memory.guest for vmi in self.guests() if vmi.spec.domain.memory} == {"512Mi"}
        status = parent.status
        assert (status.replicas, status.current_replicas, status.available_replicas) == (3, 3, 3)
        assert status.current_revision == status.update_revision


TestStatefulSets = StatefulSets.TestCase
TestStatefulSets.settings = CHEAP
