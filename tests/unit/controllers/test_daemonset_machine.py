"""A daemon set of guests, whatever happens to them and to the nodes."""

from typing import Any

from hypothesis import strategies as st
from hypothesis.stateful import initialize, invariant, rule

from controllers import daemonset, members
from controllers.daemonset_nodes import node_of, verdict
from controllers.daemonset_rollout import bounds
from hostler.api import launcher
from hostler.api.apps import VirtualMachineDaemonSet as DaemonSet
from hostler.api.kubevirt.vmi import VirtualMachineInstance as VMI
from hostler.api.objects import Node, Pod
from hostler.runtime.plan import Plan
from tests.unit import make
from tests.unit.machine import CHEAP, NODES, Machine, created, deleted

SURGE = {"type": "RollingUpdate", "rollingUpdate": {"maxSurge": 1, "maxUnavailable": 0}}
STRATEGIES = st.sampled_from(
    [
        {"type": "RollingUpdate", "rollingUpdate": None},
        {"type": "RollingUpdate", "rollingUpdate": {"maxSurge": 0, "maxUnavailable": "50%"}},
        SURGE,
        {"type": "OnDelete", "rollingUpdate": None},
    ]
)
SOME_NODE = st.sampled_from(NODES)
TAINTS = st.sampled_from([None, [{"key": "x", "effect": "NoExecute"}], [{"key": "x", "effect": "NoSchedule"}]])


class DaemonSets(Machine):
    controllers = (daemonset.CONTROLLER,)

    def __init__(self) -> None:
        super().__init__()
        self.births = 0

    @initialize(strategy=STRATEGIES, patience=st.sampled_from([0, 30]))
    def begin(self, strategy: Any, patience: int) -> None:
        for name in NODES:
            self.node_comes(name)
        self.world.add(make.workload(DaemonSet, "probe", updateStrategy=strategy, minReadySeconds=patience))
        self.world.settle()

    @rule(memory=st.sampled_from([64, 128, 256]))
    def rolled(self, memory: int) -> None:
        change = {"template": {"spec": {"domain": {"memory": {"guest": f"{memory}Mi"}}}}}
        self.world.change(self.parent, {"spec": change})

    @rule(strategy=STRATEGIES)
    def strategy(self, strategy: Any) -> None:
        self.world.change(self.parent, {"spec": {"updateStrategy": strategy}})

    @rule(name=SOME_NODE)
    def node_comes(self, name: str) -> None:
        if name not in {each.metadata.name for each in self.world.all(Node)}:
            self.births += 1
            meta = make.meta(name, labels={launcher.SCHEDULABLE: "true"}, uid=f"{name}-{self.births}", namespace="")
            self.world.add(Node.read({"metadata": meta}))

    @rule(name=SOME_NODE)
    def node_goes(self, name: str) -> None:
        for each in self.world.all(Node):
            if each.metadata.name == name:
                self.world.delete(each)

    @rule(name=SOME_NODE, taints=TAINTS)
    def tainted(self, name: str, taints: Any) -> None:
        self.on_node(name, {"spec": {"taints": taints}})

    @rule(name=SOME_NODE, there=st.booleans())
    def agent(self, name: str, there: bool) -> None:
        self.on_node(name, {"metadata": {"labels": {launcher.SCHEDULABLE: str(there).lower()}}})

    def on_node(self, name: str, patch: Any) -> None:
        for each in self.world.all(Node):
            if each.metadata.name == name:
                self.world.change(each, patch)

    def node(self, pod: Pod) -> str:
        name = pod.metadata.annotations[launcher.DOMAIN]
        return next((node_of(each) for each in self.guests() if each.metadata.name == name), "")

    def at(self, name: str) -> list[VMI]:
        return [each for each in self.owned(self.parent) if node_of(each) == name]

    def judge(self, parent: DaemonSet, plan: Plan) -> None:
        made, gone = [node_of(VMI.read(body)) for body in created(plan)], deleted(plan)
        staying = []
        for node in self.world.all(Node):
            here = self.at(node.metadata.name)
            alive = list(filter(members.alive, here))
            said = verdict(parent.spec.template.spec, node, occupied=bool(alive))
            staying += [node.metadata.name] * said.wanted
            assert said.wanted or node.metadata.name not in made
        surge, unavailable = bounds(parent, len(staying))
        assert len(made) == len(set(made))
        assert set(made) <= set(staying)
        beside = [name for name in made if self.at(name)]
        names = {each.metadata.name for each in gone}
        stays = {
            name: [v for v in self.at(name) if members.alive(v) and v.metadata.name not in names] for name in staying
        }
        coming = [name for name in staying if len(stays[name]) > 1]
        broken = [name for name in beside if not any(map(self.available, self.at(name)))]
        assert len(beside) - len(broken) <= max(surge - len(coming), 0), "never more than allowed"
        up = {name for name in staying if any(map(self.available, self.at(name)))}
        left = {name for name in up if any(map(self.available, stays[name]))}
        assert len(left) >= min(len(up), len(staying) - unavailable), "never fewer than allowed"

    def available(self, vmi: VMI) -> bool:
        return members.available(vmi, self.parent.spec.min_ready_seconds, self.world.now)

    @invariant()
    def at_most_two_on_a_node(self) -> None:
        """The second only beside one of another template."""
        for name in NODES if self.world.all(DaemonSet) else ():
            alive = [each for each in self.at(name) if members.alive(each)]
            marks = {each.metadata.labels["controller-revision-hash"] for each in alive}
            assert len(alive) <= 3
            assert len(alive) < 2 or len(marks) > 1

    def heal(self) -> None:
        for name in NODES:
            self.node_comes(name)
            self.tainted(name, None)
            self.agent(name, True)
        if self.parent.spec.update_strategy.type == "OnDelete":
            self.strategy({"type": "RollingUpdate", "rollingUpdate": None})
        self.rolled(512)

    def settled(self) -> None:
        owned = self.owned(self.parent)
        assert sorted(map(node_of, owned)) == list(NODES)
        assert {vmi.spec.domain.memory.guest for vmi in owned if vmi.spec.domain.memory} == {"512Mi"}
        status = self.parent.status
        assert (status.number_available, status.updated_number_scheduled, status.number_misscheduled) == (3, 3, 0)


TestDaemonSets = DaemonSets.TestCase
TestDaemonSets.settings = CHEAP
