"""A Hypothesis state machine for whatever controls guests: they die, nodes fall silent, users change their minds, and
the manager is late, cut short, or does a thing twice.

A subclass says what it controls, what its users do, what it may never choose to do (`judge`), and what it comes to in
the end (`settled`).
"""

import os
import zlib
from typing import Any, ClassVar

from hypothesis import HealthCheck, Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from controllers import members, vmi
from controllers.settings import ManagerSettings
from hostler.api import launcher
from hostler.api.kubevirt.vmi import VirtualMachineInstance as VMI
from hostler.api.meta import Resource
from hostler.api.objects import Pod
from hostler.runtime.conditions import stamp
from hostler.runtime.plan import AnyController, Create, Delete, Plan
from tests.unit import make
from tests.unit.world import World, end, nature

VMIS = vmi.controller(ManagerSettings(use_emulation=True))
NODES = ("n1", "n2", "n3")
AILING = "Ailing"
MISHAPS = (
    "guest_fails",
    "guest_powers_off",
    "guest_ails",
    "guests_recover",
    "user_deletes",
    "pod_vanishes",
    "orphaned",
    "touched",
    "node_falls_silent",
    "node_returns",
)
CUTS = st.sampled_from([None, None, None, 0, 1, 2, 3])
SOME = st.integers(0, 9)
# the same examples in every run: one that fails for the first time in a release is no use
CHEAP = settings(
    max_examples=int(os.environ.get("MACHINE_EXAMPLES", "40")),
    phases=(Phase.explicit, Phase.generate) if "MACHINE_EXAMPLES" in os.environ else tuple(Phase),
    stateful_step_count=30,
    deadline=None,
    derandomize=True,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.filter_too_much],
)


class Judged(World):
    """A world in which every decision of the set's controller is looked at."""

    def __init__(self, machine: "Machine") -> None:
        super().__init__((*machine.controllers, VMIS))
        self._machine = machine

    def decide(self, controller: AnyController, parent: Resource) -> Plan:
        plan = super().decide(controller, parent)
        if controller is self._machine.controller:
            self._machine.judge(parent, plan)
        return plan


class Machine(RuleBasedStateMachine):
    """A world with one set of guests in it."""

    controllers: ClassVar[tuple[AnyController, ...]]  # the set's first

    def __init__(self) -> None:
        super().__init__()
        self.world = Judged(self)
        self.late: tuple[Resource, Plan] | None = None  # decided, and not carried out yet
        self.silent: set[str] = set()  # nodes

    # what a subclass says

    def judge(self, parent: Any, plan: Plan) -> None:
        """Fails if the set's controller chose what it may not."""

    def settled(self) -> None:
        """Fails if the set is not as it should be at rest."""

    def heal(self) -> None:
        """Undo what keeps the set from coming to rest."""

    # what there is

    @property
    def controller(self) -> AnyController:
        return self.controllers[0]

    @property
    def parent(self) -> Any:
        (found,) = self.world.all(self.controller.parent)
        return found

    def owned(self, owner: Resource) -> list[VMI]:
        return list(self.world.store.owned(VMI, owner.metadata.uid))

    def guests(self) -> list[VMI]:
        return self.world.all(VMI)

    def running(self) -> list[Pod]:
        return [each for each in self.world.all(Pod) if each.status.phase == "Running"]

    def node(self, pod: Pod) -> str:
        """Where a pod is."""
        return NODES[zlib.crc32(pod.metadata.name.encode()) % len(NODES)]

    def on_silent_nodes(self) -> set[str]:
        return {each.metadata.name for each in self.world.all(Pod) if self.node(each) in self.silent}

    # what the manager does

    @precondition(lambda self: self.late is None)
    @rule(cut=CUTS, twice=st.booleans())
    def visit(self, cut: int | None, twice: bool) -> None:
        """Cut short as by a crash; or twice."""
        for _ in range(1 + twice):
            parent = self.parent
            self.world.carry_out(parent, self.world.decide(self.controller, parent), cut)

    @precondition(lambda self: self.late is None)
    @rule()
    def think(self) -> None:
        self.late = self.parent, self.world.decide(self.controller, self.parent)

    @precondition(lambda self: self.late is not None)
    @rule()
    def act(self) -> None:
        """Much may have happened since it was decided."""
        assert self.late is not None
        self.world.carry_out_late(*self.late)
        self.late = None

    @precondition(lambda self: len(self.controllers) > 1)
    @rule(number=SOME, cut=CUTS)
    def visit_others(self, number: int, cut: int | None) -> None:
        """The controllers of what is between the set and its guests."""
        for controller in self.controllers[1:]:
            if found := self.world.all(controller.parent):
                parent = found[number % len(found)]
                self.world.carry_out(parent, self.world.decide(controller, parent), cut)

    @rule()
    def visit_guests(self) -> None:
        for each in self.guests():
            if any(each.metadata.uid == one.metadata.uid for one in self.guests()):
                self.world.visit(VMIS, each)

    @precondition(lambda self: self.late is None)
    @rule(fast=st.booleans())
    def go_on(self, fast: bool) -> None:
        """All goes well for a while, if the nodes are not too slow."""
        for _ in range(2):
            self.visit(None, False)
            for controller in self.controllers[1:]:
                for each in self.world.all(controller.parent):
                    self.world.visit(controller, self.world.get(controller.parent, each.metadata.name))
            self.visit_guests()
            if fast:
                self.nodes_work()
            self.wait(20)

    # what happens to guests

    @rule()
    def nodes_work(self) -> None:
        nature(self.world, self.on_silent_nodes())

    @rule(seconds=st.sampled_from([1, 20, 90]))
    def wait(self, seconds: int) -> None:
        self.world.now += make.timedelta(seconds=seconds)

    @rule(what=st.sampled_from(MISHAPS), number=SOME)
    def mishap(self, what: str, number: int) -> None:
        """One rule for all of them, so that they are not most of what happens."""
        getattr(self, what)(number)

    def guest_fails(self, number: int) -> None:
        if found := self.running():
            end(self.world, found[number % len(found)], "Failed")

    def guest_powers_off(self, number: int) -> None:
        if found := self.running():
            end(self.world, found[number % len(found)], "Succeeded")

    def user_deletes(self, number: int) -> None:
        if found := self.guests():
            self.world.delete(found[number % len(found)])

    def pod_vanishes(self, number: int) -> None:
        if found := self.world.all(Pod):
            self.world.vanish(found[number % len(found)])

    def guest_ails(self, number: int) -> None:
        """Its probe fails."""
        if found := [each for each in self.guests() if members.ready(each)]:
            self.say_ready(found[number % len(found)], False)

    def guests_recover(self, _: int = 0) -> None:
        for each in self.guests():
            if each.status and any(c.type == "Ready" and c.reason == AILING for c in each.status.conditions):
                self.say_ready(each, True)

    def touched(self, number: int) -> None:
        """Somebody writes to an object, which makes what was decided before about it out of date."""
        kinds = (VMI, *(each.parent for each in self.controllers))
        found = [each for kind in kinds for each in self.world.all(kind)]
        self.world.change(found[number % len(found)], {"metadata": {"annotations": {"touched": stamp(self.world.now)}}})

    def orphaned(self, number: int) -> None:
        if found := self.guests():
            self.world.change(found[number % len(found)], {"metadata": {"ownerReferences": []}})

    # what happens to nodes

    def node_falls_silent(self, number: int) -> None:
        """Its pods are not ready, and may be told to go, but nobody knows whether they do."""
        node, evicted = NODES[number % len(NODES)], number % 2 == 0
        self.silent.add(node)
        for pod in self.running():
            if self.node(pod) == node:
                self.pod_ready(pod, False)
                if evicted:
                    self.world.delete(pod)

    def node_returns(self, number: int) -> None:
        """Half of the time with nothing on it: it was fenced."""
        node, fenced = NODES[number % len(NODES)], number % 2 == 0
        if node not in self.silent:
            return
        self.silent.remove(node)
        for pod in self.world.all(Pod):
            if self.node(pod) == node:
                if fenced:
                    self.world.vanish(pod)
                elif pod.status.phase == "Running":
                    self.pod_ready(pod, True)

    def pod_ready(self, pod: Pod, ready: bool) -> None:
        compute = {"name": launcher.COMPUTE, "ready": True}
        told = [{"type": "Ready", "status": str(ready), "lastTransitionTime": stamp(self.world.now)}]
        self.world.change(pod, {"status": {"conditions": told, "containerStatuses": [compute]}})

    def say_ready(self, guest: VMI, ready: bool) -> None:
        others = [c for c in guest.status.conditions if c.type != "Ready"] if guest.status else []
        known = [each.model_dump(by_alias=True, exclude_unset=True) for each in others]
        told = {"type": "Ready", "status": str(ready), "lastTransitionTime": stamp(self.world.now)}
        told |= {} if ready else {"reason": AILING}
        self.world.change(guest, {"status": {"conditions": [*known, told]}})

    # what always holds

    @invariant()
    def one_pod_each(self) -> None:
        """Never two pods that may run a guest of one name, and none without its VMI."""
        pods = [each for each in self.world.all(Pod) if each.status.phase in ("Pending", "Running")]
        names = [each.metadata.annotations[launcher.DOMAIN] for each in pods]
        assert len(names) == len(set(names))
        owners = {each.metadata.controller.uid for each in self.world.all(Pod) if each.metadata.controller}
        assert owners <= {each.metadata.uid for each in self.guests()}

    def teardown(self) -> None:
        """In the end all is well, and stays so without a write."""
        for number in (3, 1, 5):
            self.node_returns(number)
        self.guests_recover()
        self.heal()
        self.world.settle()
        self.settled()
        before = self.world.writes
        self.world.round()
        assert self.world.writes == before


def created(plan: Plan, kind: Any = VMI) -> list[Any]:
    return [each.body for each in plan.actions if isinstance(each, Create) and each.kind is kind]


def deleted(plan: Plan) -> list[VMI]:
    """Guests that were not at their end already."""
    targets = [each.target for each in plan.actions if isinstance(each, Delete)]
    return [each for each in targets if isinstance(each, VMI) and members.alive(each)]
