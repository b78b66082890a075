"""A replica set of guests, whatever happens."""

from typing import Any

from hypothesis import strategies as st
from hypothesis.stateful import initialize, rule

from controllers import members, replicaset
from hostler.api.kubevirt.vmirs import VirtualMachineInstanceReplicaSet as ReplicaSet
from hostler.runtime import selectors
from hostler.runtime.plan import Plan
from tests.unit import make
from tests.unit.machine import CHEAP, Machine, created, deleted


class ReplicaSets(Machine):
    controllers = (replicaset.CONTROLLER,)

    @initialize(replicas=st.integers(2, 4))
    def begin(self, replicas: int) -> None:
        self.world.add(make.replica_set(replicas))
        self.world.settle()

    @rule(replicas=st.integers(0, 4))
    def scaled(self, replicas: int) -> None:
        self.world.change(self.parent, {"spec": {"replicas": replicas}})

    @rule(number=st.integers(0, 9))
    def shrunk(self, number: int) -> None:
        """Just when one of its guests does not work."""
        self.guest_ails(number)
        self.scaled(max(len(self.members(self.parent)) - 1, 0))
        self.paused(False)
        self.touched(0)

    @rule(paused=st.booleans())
    def paused(self, paused: bool) -> None:
        self.world.change(self.parent, {"spec": {"paused": paused}})

    @rule(number=st.integers(0, 9), app=st.sampled_from(["web", "stray"]))
    def relabelled(self, number: int, app: str) -> None:
        if found := self.guests():
            self.world.change(found[number % len(found)], {"metadata": {"labels": {"app": app}}})

    def members(self, parent: ReplicaSet) -> list[Any]:
        """Those that it owns, and those that it is about to."""
        found = [*self.owned(parent), *(each for each in self.guests() if not each.metadata.controller)]
        own = [each for each in found if selectors.matches(parent.spec.selector, each.metadata.labels)]
        return [each for each in own if members.alive(each)]

    def judge(self, parent: ReplicaSet, plan: Plan) -> None:
        alive, wanted = self.members(parent), parent.spec.replicas or 0
        made, gone = len(created(plan)), {each.metadata.name for each in deleted(plan)}
        assert not parent.spec.paused or not (made or gone)
        assert not made or len(alive) + made <= wanted
        assert len(gone) <= max(len(alive) - wanted, 0)
        ready = {each.metadata.name for each in alive if members.ready(each)}
        unready = {each.metadata.name for each in alive} - ready
        assert not gone & ready or unready <= gone, "who does not work goes first"

    def heal(self) -> None:
        self.world.change(self.parent, {"spec": {"paused": None, "replicas": 3}})

    def settled(self) -> None:
        assert [members.ready(each) for each in self.members(self.parent)] == [True] * 3
        status = self.parent.status
        assert (status.replicas, status.ready_replicas) == (3, 3)


TestReplicaSets = ReplicaSets.TestCase
TestReplicaSets.settings = CHEAP
