"""A pool under random events: scaled, edited, killed, deleted, its nodes lost, its manager dying in the middle."""

from datetime import timedelta
from typing import Any

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from controllers import pool_rollout
from hostler.api.cdi import DataVolume
from hostler.api.kubevirt.pool import KEPT
from hostler.api.objects import Pod
from tests.unit.controllers.test_pool_world import DISKS, KEEPING, POOLS, VMIS, VMS, Pools
from tests.unit.world import end, run

MEMORIES = ("64Mi", "96Mi", "128Mi")
SOME = st.integers(0, 9)


class PoolMachine(RuleBasedStateMachine):
    """Checks each visit of the pool's controller: what it did, not what befell it."""

    def __init__(self) -> None:
        super().__init__()
        self.lost: set[str] = set()  # UIDs of pods whose node is silent

    @initialize(size=st.integers(1, 4), most=st.sampled_from([1, 2, "50%"]), keeping=st.booleans())
    def begin(self, size: int, most: Any, keeping: bool) -> None:
        kept: Any = {"scaleInStrategy": KEEPING, **DISKS} if keeping else {}
        self.made = Pools(size, maxUnavailable=most, **kept)
        self.made.settle()

    # what the manager does

    @rule(cut=st.sampled_from([None, None, 0, 1, 2]))
    def the_pool_is_visited(self, cut: int | None) -> None:
        before, alive, every = self.up(), self.alive(), self.names()
        size = self.made.parent.spec.replicas
        allowed = max(pool_rollout.most_unavailable(self.made.parent) - (size - len(before)), 0)
        self.made.visit(POOLS, cut=cut)
        if self.names() - every:
            assert len(self.names()) <= size, "never more than there should be, by choice"
        if len(alive) > size:
            assert len(self.alive()) >= size, "never fewer than there should be, by choice"
        elif not self.made.parent.spec.paused:
            assert len(before - self.up()) <= allowed, "never more away than may be, by choice"

    @rule(number=SOME)
    def a_vm_is_visited(self, number: int) -> None:
        self.made.visit(VMS, number)

    @rule(number=SOME)
    def a_guest_is_visited(self, number: int) -> None:
        self.made.visit(VMIS, number)

    @rule()
    def all_have_their_turn(self) -> None:
        self.the_pool_is_visited(None)
        for controller in (VMS, VMIS):
            for number in range(len(self.made.world.all(controller.parent))):
                self.made.visit(controller, number)
        self.time_passes()

    # what befalls it

    @rule()
    def time_passes(self) -> None:
        """Kubelets and agents do their work, but for those that are silent."""
        world = self.made.world
        for pod in world.all(Pod):
            if pod.metadata.uid in self.lost:
                continue
            if pod.metadata.deletion_timestamp:
                world.vanish(pod)
            elif pod.status.phase == "Pending":
                world.change(pod, {"status": {"phase": "Running", "containerStatuses": []}})
                run(world, pod)
        self.made.fill()
        world.now += timedelta(minutes=1)

    @rule(size=st.integers(0, 4))
    def scaled(self, size: int) -> None:
        self.made.change(replicas=size)

    @rule(memory=st.sampled_from(MEMORIES))
    def edited(self, memory: str) -> None:
        self.made.roll(memory)

    @rule(paused=st.booleans())
    def paused(self, paused: bool) -> None:
        self.made.change(paused=paused)

    @rule(number=SOME, phase=st.sampled_from(["Failed", "Succeeded"]))
    def a_guest_ends(self, number: int, phase: str) -> None:
        pods = [each for each in self.made.world.all(Pod) if each.status.phase == "Running"]
        if pods and pods[number % len(pods)].metadata.uid not in self.lost:
            end(self.made.world, pods[number % len(pods)], phase)

    @rule(number=SOME)
    def a_vm_is_deleted(self, number: int) -> None:
        if vms := self.made.vms:
            self.made.world.delete(vms[number % len(vms)])

    @rule(number=SOME)
    def a_node_falls_silent(self, number: int) -> None:
        if pods := self.made.world.all(Pod):
            self.lost.add(pods[number % len(pods)].metadata.uid)

    @precondition(lambda self: self.lost)
    @rule()
    def the_nodes_are_back(self) -> None:
        self.lost.clear()

    # what always holds

    @invariant()
    def one_guest_of_an_index(self) -> None:
        """Each VM has at most one pod, whichever instance it is of."""
        names = [each.metadata.owner_references[0].name for each in self.made.world.all(Pod)]
        assert len(names) == len(set(names))

    def teardown(self) -> None:
        """Left in peace, it is whole: as many as there should be, of the last template, each with its disk."""
        if not hasattr(self, "made"):
            return
        self.lost.clear()
        self.made.change(replicas=2, paused=False)
        self.made.roll("256Mi")
        self.made.settle()
        assert self.made.memories() == ["256Mi"] * 2
        status = self.made.parent.status
        assert (status.replicas, status.ready_replicas) == (2, 2)
        vms = {each.metadata.uid for each in self.made.vms}
        for volume in self.made.world.all(DataVolume):
            owner = volume.metadata.controller
            assert volume.metadata.annotations.get(KEPT) == "web" if owner is None else owner.uid in vms

    def names(self) -> set[str]:
        return {each.metadata.name for each in self.made.vms}

    def alive(self) -> set[str]:
        return {each.metadata.name for each in self.made.vms if not each.metadata.deletion_timestamp}

    def up(self) -> set[str]:
        return self.made.available() & self.alive()


PoolMachine.TestCase.settings = settings(max_examples=20, stateful_step_count=15, deadline=None)
TestPool = PoolMachine.TestCase
