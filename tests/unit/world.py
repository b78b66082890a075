"""A cluster in a dict: planners run against it, may be cut short, and must settle all the same.

    world = World([vmi.controller(SETTINGS), replicaset.CONTROLLER])
    world.add(make.replica_set(3))
    world.settle()

`cut` breaks off a plan after so many writes, as a crash would; the next visit must make up for it.
"""

from collections.abc import Callable, Container, Iterable
from contextlib import suppress
from datetime import datetime, timedelta
from typing import Any

from hostler.api import launcher
from hostler.api.kubevirt.vmi import VirtualMachineInstance
from hostler.api.meta import Resource
from hostler.api.objects import Pod
from hostler.runtime.apply import changes
from hostler.runtime.conditions import stamp
from hostler.runtime.errors import AlreadyExists
from hostler.runtime.plan import AnyController, Create, Delete, Patch, Plan
from hostler.runtime.protocol import Kind, Raw
from hostler.runtime.store import Key, Store
from tests.unit.hostler.runtime.fake_kube import merge
from tests.unit.make import NOON

ROUNDS = 200
Place = tuple[Kind, Key]


class World:
    """Objects as the API server holds them, and a clock that moves by a minute a round."""

    def __init__(self, controllers: Iterable[AnyController]) -> None:
        self.controllers = tuple(controllers)
        self.objects: dict[Place, Raw] = {}
        self.store = Store()  # the same, as planners see it
        self.now: datetime = NOON
        self.writes = 0
        self._version = 0
        self._dead: set[str] = set()  # UIDs
        self._births: dict[Key, int] = {}

    def add(self, obj: Resource) -> None:
        """Put an object there, as a user would."""
        body = obj.model_dump(mode="json", by_alias=True, exclude_unset=True)
        if body["metadata"]["uid"] in self._dead:  # of the same name, and another all the same
            body["metadata"]["uid"] += f"-{self._version}"
        self._put(type(obj), body)

    def all(self, kind: Kind) -> list[Any]:
        return sorted(self.store.all(kind), key=lambda obj: (obj.metadata.namespace, obj.metadata.name))

    def get(self, kind: Kind, name: str) -> Any:
        return next(obj for obj in self.all(kind) if obj.metadata.name == name)

    def change(self, obj: Resource, patch: Raw) -> None:
        """Merge-patch an object, as a user or an agent would."""
        place = self._place(obj)
        new = merge(self.objects[place], patch)
        gone = new["metadata"].get("deletionTimestamp") and not new["metadata"].get("finalizers")
        if gone:
            self._remove(place)
        else:
            self._put(place[0], new)

    def delete(self, obj: Resource) -> None:
        """As the API server does: at once, or when the last finalizer is gone; a pod when the kubelet has ended it."""
        place = self._place(obj)
        if place not in self.objects or self.objects[place]["metadata"]["uid"] != obj.metadata.uid:
            return
        if obj.metadata.finalizers or isinstance(obj, Pod):
            self._put(place[0], merge(self.objects[place], {"metadata": {"deletionTimestamp": stamp(self.now)}}))
        else:
            self._remove(place)

    def vanish(self, obj: Resource) -> None:
        """Gone without a trace, as a pod that somebody force-deletes."""
        self._remove(self._place(obj))

    def visit(self, controller: AnyController, parent: Resource, cut: int | None = None) -> int:
        """Plan and carry out, but no more than `cut` writes; how many it would have been."""
        return self.carry_out(parent, self.decide(controller, parent), cut)

    def decide(self, controller: AnyController, parent: Resource) -> Plan:
        return controller.plan(parent, controller.look(self.store, parent), self.now)

    def carry_out_late(self, parent: Resource, plan: Plan) -> bool:
        """Others may have written since it was decided: as the API server takes it then; whether it took all of it."""
        for action in plan.actions:
            if not self._taken(action):
                return False
        if self._place(parent) in self.objects and (
            status := changes(getattr(parent, "status", None), plan.status or {})
        ):
            self.change(parent, {"status": status})
        return True

    def _taken(self, action: Create | Delete | Patch) -> bool:
        """Carry out an action, unless its precondition does not hold; that it is done already is as good."""
        if isinstance(action, Create):
            meta = action.body["metadata"]
            found = self.objects.get((action.kind, (meta["namespace"], meta["name"])))
            if found is not None:
                return bool(found["metadata"].get("ownerReferences") == meta.get("ownerReferences"))
        if isinstance(action, Patch):
            found = self.objects.get(self._place(action.target))
            if found is None or found["metadata"]["resourceVersion"] != action.target.metadata.resource_version:
                return False
        self._act(action)
        return True

    def carry_out(self, parent: Resource, plan: Plan, cut: int | None = None) -> int:
        steps: list[Callable[[], None]] = [lambda action=action: self._act(action) for action in plan.actions]  # type: ignore[misc]
        if status := changes(getattr(parent, "status", None), plan.status or {}):
            steps.append(lambda: self.change(parent, {"status": status}))
        with suppress(AlreadyExists):
            for step in steps[:cut]:
                self.writes += 1
                step()
        return len(steps)

    def round(self) -> None:
        """Everybody's turn: each controller visits each of its objects, then a minute passes."""
        for controller in self.controllers:
            for parent in self.all(controller.parent):
                if self._place(parent) in self.objects:
                    self.visit(controller, self.get(controller.parent, parent.metadata.name))
        nature(self)
        self.now += timedelta(minutes=1)

    def settle(self) -> None:
        """Until nobody has anything left to do."""
        for _ in range(ROUNDS):
            before = self._version
            self.round()
            if self._version == before:
                return
        raise AssertionError(f"no rest after {ROUNDS} rounds: {self.picture()}")

    def picture(self) -> list[str]:
        """What there is, in words that two runs share."""
        return [f"{kind.__name__} {name} {phase(raw)}".strip() for (kind, (_, name)), raw in self._sorted()]

    def _sorted(self) -> list[tuple[Place, Raw]]:
        return sorted(self.objects.items(), key=lambda item: (item[0][0].__name__, item[0][1]))

    def _act(self, action: Create | Delete | Patch) -> None:
        match action:
            case Create(kind, body):
                key = (body["metadata"]["namespace"], body["metadata"]["name"])
                if (kind, key) in self.objects:
                    owners = self.objects[kind, key]["metadata"].get("ownerReferences")
                    assert owners != body["metadata"].get("ownerReferences"), f"{key} exists"
                    raise AlreadyExists(409, "AlreadyExists", f"{key} is not its own")
                self._births[key] = self._births.get(key, 0) + 1
                born = {"uid": f"uid-{key[1]}-{self._births[key]}", "creationTimestamp": stamp(self.now)}
                self._put(kind, merge(body, {"metadata": born}))
            case Delete(target):
                self.delete(target)
            case Patch(target, patch):
                if self._place(target) in self.objects:
                    self.change(target, patch)

    def _put(self, kind: Kind, body: Raw) -> None:
        meta = body["metadata"]
        self._version += 1
        meta["resourceVersion"] = str(self._version)
        self.objects[kind, (meta.get("namespace", ""), meta["name"])] = body
        self.store.observe(kind, body)

    def _remove(self, place: Place) -> None:
        """The garbage collector takes what the dead one owned."""
        self._version += 1
        uid = self.objects.pop(place)["metadata"]["uid"]
        self.store.remove(*place, uid)
        self._dead.add(uid)
        for kind, key in tuple(self.objects):
            if (kind, key) not in self.objects:
                continue  # it went with another one
            refs = self.objects[kind, key]["metadata"].get("ownerReferences", ())
            if refs and all(ref["uid"] == uid for ref in refs):
                self.delete(kind.read(self.objects[kind, key]))

    def _place(self, obj: Resource) -> Place:
        return type(obj), (obj.metadata.namespace, obj.metadata.name)


def nature(world: World, silent: Container[str] = ()) -> None:
    """What kubelets and node agents do in a minute: dying pods go, new ones run, and so do their guests.

    `silent`: names of pods on nodes of which nobody hears.
    """
    for pod in world.all(Pod):
        if pod.metadata.name in silent:
            continue
        if pod.metadata.deletion_timestamp:
            world.vanish(pod)
        elif pod.status.phase == "Pending":
            world.change(pod, {"status": {"phase": "Running", "containerStatuses": []}})
            run(world, pod)


def run(world: World, pod: Pod) -> None:
    name = pod.metadata.annotations.get(launcher.DOMAIN)
    vmi = next((each for each in world.all(VirtualMachineInstance) if each.metadata.name == name), None)
    if vmi is not None and vmi.status.phase in ("Pending", "Scheduling"):
        ready = {"type": "Ready", "status": "True", "lastTransitionTime": stamp(world.now)}
        passed = [each.model_dump(by_alias=True) for each in vmi.status.phase_transition_timestamps]
        passed.append({"phase": "Running", "phaseTransitionTimestamp": stamp(world.now)})
        status = {"phase": "Running", "phaseTransitionTimestamps": passed, "conditions": [ready]}
        world.change(vmi, {"status": status})


def end(world: World, pod: Pod, phase: str) -> None:
    """The guest ends, and its pod with it."""
    world.change(pod, {"status": {"phase": phase}})


def survives(scene: Callable[[], World]) -> None:
    """Wherever the plan of any object is cut, the end is the same as without."""
    smooth = scene()
    smooth.settle()
    for controller in scene().controllers:
        for parent in scene().all(controller.parent):
            steps = scene().visit(controller, parent, cut=0)
            for cut in range(steps + 1):
                broken = scene()
                broken.visit(controller, broken.get(controller.parent, parent.metadata.name), cut)
                broken.settle()
                assert broken.picture() == smooth.picture()


def phase(raw: Raw) -> str:
    return str((raw.get("status") or {}).get("phase", ""))
