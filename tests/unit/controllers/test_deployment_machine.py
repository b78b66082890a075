"""A deployment of guests, whatever happens."""

from typing import Any

from hypothesis import strategies as st
from hypothesis.stateful import initialize, rule

from controllers import deployment, members, replicaset
from controllers.deployment_rollout import bounds, recreates
from hostler.api import apps
from hostler.api.apps import VirtualMachineDeployment as Deployment
from hostler.api.kubevirt.vmirs import VirtualMachineInstanceReplicaSet as ReplicaSet
from hostler.runtime.plan import Patch, Plan
from tests.unit import make
from tests.unit.machine import CHEAP, Machine, created

STRATEGIES = st.sampled_from(
    [
        {"type": "RollingUpdate", "rollingUpdate": {"maxSurge": 1, "maxUnavailable": 0}},
        {"type": "RollingUpdate", "rollingUpdate": {"maxSurge": 0, "maxUnavailable": 1}},
        {"type": "RollingUpdate", "rollingUpdate": {"maxSurge": 2, "maxUnavailable": "50%"}},
        {"type": "Recreate", "rollingUpdate": None},
    ]
)
MEMORIES = st.sampled_from([64, 128, 256])


class Deployments(Machine):
    controllers = (deployment.CONTROLLER, replicaset.CONTROLLER)

    @initialize(replicas=st.integers(2, 4), strategy=STRATEGIES, patience=st.sampled_from([0, 30]))
    def begin(self, replicas: int, strategy: Any, patience: int) -> None:
        self.world.add(make.workload(Deployment, replicas=replicas, strategy=strategy, minReadySeconds=patience))
        self.world.settle()

    @rule(memory=MEMORIES)
    def rolled(self, memory: int) -> None:
        """A template that was there before is a rollback."""
        change = {"template": {"spec": {"domain": {"memory": {"guest": f"{memory}Mi"}}}}}
        self.world.change(self.parent, {"spec": change})

    @rule(replicas=st.integers(0, 4))
    def scaled(self, replicas: int) -> None:
        self.world.change(self.parent, {"spec": {"replicas": replicas}})

    @rule(paused=st.booleans())
    def paused(self, paused: bool) -> None:
        self.world.change(self.parent, {"spec": {"paused": paused}})

    @rule(strategy=STRATEGIES)
    def strategy(self, strategy: Any) -> None:
        self.world.change(self.parent, {"spec": {"strategy": strategy}})

    def judge(self, parent: Deployment, plan: Plan) -> None:
        sets = self.world.store.owned(ReplicaSet, parent.metadata.uid)
        before = {each.metadata.name: each.spec.replicas or 0 for each in sets}
        after = dict(before)
        for each in plan.actions:
            if isinstance(each, Patch) and isinstance(each.target, ReplicaSet) and isinstance(each.patch, dict):
                after[each.target.metadata.name] = each.patch.get("spec", each.target.spec.model_dump())["replicas"]
        fresh = {body["metadata"]["name"]: body["spec"]["replicas"] for body in created(plan, ReplicaSet)}
        after |= fresh
        wanted, limits = parent.spec.replicas or 0, bounds(parent)
        assert sum(after.values()) <= max(sum(before.values()), wanted + limits.surge), "never more than allowed"
        if parent.spec.paused:
            assert not fresh
        if not (parent.spec.paused or recreates(parent) or self.scaling(parent, sets)):
            left = self.available(sets, after)
            assert left >= min(self.available(sets, before), wanted - limits.unavailable), "never fewer than allowed"
        if recreates(parent) and any(fresh.values()):
            assert all(members.finished(vmi) for each in sets for vmi in self.owned(each)), "never old beside new"

    def scaling(self, parent: Deployment, sets: list[ReplicaSet]) -> bool:
        """Sizes were given for another size of the deployment."""
        marks = {each.metadata.annotations.get(apps.DESIRED_REPLICAS) for each in sets if each.spec.replicas}
        return not marks <= {str(parent.spec.replicas)}

    def available(self, sets: list[ReplicaSet], sizes: dict[str, int]) -> int:
        """How many of those that are available now the sizes leave."""
        patience, now = self.parent.spec.min_ready_seconds, self.world.now
        return sum(
            min(sizes[each.metadata.name], sum(members.available(vmi, patience, now) for vmi in self.owned(each)))
            for each in sets
        )

    def heal(self) -> None:
        self.world.change(self.parent, {"spec": {"paused": None, "replicas": 3}})
        self.rolled(512)

    def settled(self) -> None:
        status = self.parent.status
        assert (status.replicas, status.updated_replicas, status.available_replicas) == (3, 3, 3)
        told = {each.type: each.status for each in status.conditions}
        assert told == {"Available": "True", "Progressing": "True"}
        sets = self.world.all(ReplicaSet)
        assert len(sets) == len({each.metadata.annotations[apps.REVISION] for each in sets}), "each has its revision"
        vmis = [vmi for each in sets for vmi in self.owned(each)]
        assert {vmi.spec.domain.memory.guest for vmi in vmis if vmi.spec.domain.memory} == {"512Mi"}
        assert len(vmis) == sum(map(members.alive, self.guests())) == 3


TestDeployments = Deployments.TestCase
TestDeployments.settings = CHEAP
