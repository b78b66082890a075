"""One of the two that are compared: a namespace, what its controllers did there, and a stand-in for its nodes.

Who made what is known by the label `app`, which a scenario's template has; of which state of the template a guest is,
by the annotation `judge`, a letter.
"""

import asyncio
import json
from collections import defaultdict
from collections.abc import Awaitable
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any

from hostler.api import apps, launcher
from hostler.api.meta import Resource
from hostler.api.objects import ControllerRevision, Event, Node, Pod
from hostler.runtime.errors import ApiError, NotFound
from hostler.runtime.kube import Api
from hostler.runtime.protocol import Kind, Raw
from hostler.runtime.reflector import Reflector
from tests.integration.judge.kinds import COUNTS, KUBERNETES, OURS, Words
from tests.integration.judge.reading import (
    MARK,
    MORE,
    app,
    dying,
    job_letter,
    job_mark,
    joined,
    mark,
    node,
    now,
    owner,
    place,
    ready,
    told,
)

NODE = "judge"  # where guests are that are not bound to a node
GONE = "gone"
ENDED = "xfs"  # letters of those that run no more


class Binding(Resource):
    """What a scheduler posts."""

    group_version, plural = "v1", "bindings"


class News:
    """Wakes who waits for something to happen on either side."""

    def __init__(self) -> None:
        self._event = asyncio.Event()

    def tell(self) -> None:
        self._event.set()
        self._event = asyncio.Event()

    def next(self) -> Awaitable[Any]:
        """Of what happens from now on."""
        return self._event.wait()


@dataclass
class Record:
    """What happened to a workload, in order."""

    moves: list[str] = field(default_factory=list)
    sizes: list[str] = field(default_factory=list)  # of a deployment's sets
    turns: list[str] = field(default_factory=list)  # of conditions
    events: set[str] = field(default_factory=set)  # type and reason; how often is not counted, for both sum them up


class Side:
    """What both have in common: everything in the namespace as it is, and a record of how it came to be."""

    words: Words

    def __init__(self, api: Api, agent: Api, namespace: str, news: News) -> None:
        self.api, self.agent, self.namespace = api, agent, namespace
        self.records: dict[str, Record] = defaultdict(Record)
        self.slow: set[str] = set()  # workloads whose guests take their time to go
        self._found: dict[Kind, dict[str, Raw]] = defaultdict(dict)
        self._busy: set[str] = set()
        self._tasks: set[asyncio.Task[None]] = set()
        self._news = news

    # what is seen

    def reflectors(self) -> list[Reflector]:
        kinds: tuple[Kind, ...] = (*self.words.all, ControllerRevision, Event)
        return [Reflector(self.api, kind, self, namespace=self.namespace) for kind in kinds]

    def observe(self, kind: Kind, raw: Raw) -> None:
        before = self._found[kind].get(raw["metadata"]["uid"])
        self._found[kind][raw["metadata"]["uid"]] = raw
        self._write_down(kind, before, raw)
        if kind is Pod:
            self._attend(raw)
        elif kind is Event:
            self._hear(raw)
        self._news.tell()

    def forget(self, kind: Kind, raw: Raw) -> None:
        before = self._found[kind].pop(raw["metadata"]["uid"], None)
        if before is not None and self._moves(kind, raw) and not dying(before):
            self.records[app(raw)].moves.append(f"-{self.letter(before)}{place(before)}")
        self._news.tell()

    def prune(self, kind: Kind, uids: set[str], version: str) -> None:
        """Only the first listing is of interest."""

    def _moves(self, kind: Kind, raw: Raw) -> bool:
        """Guests, and the jobs of cron jobs."""
        return kind is self.words.guest or (kind is self.words.job and bool(owner(raw)))

    def _write_down(self, kind: Kind, before: Raw | None, raw: Raw) -> None:
        record = self.records[app(raw)]
        if self._moves(kind, raw):
            if before is None:
                record.moves.append(f"+{mark(raw) or 'job'}{place(raw)}")
            elif dying(raw) and not dying(before):
                record.moves.append(f"-{self.letter(before)}{place(raw)}")
        elif kind is self.words.replica_set:
            if before is None or before["spec"]["replicas"] != raw["spec"]["replicas"]:
                letter = raw["spec"]["template"]["metadata"]["annotations"][MARK]
                record.sizes.append(f"{letter}={raw['spec']['replicas']}")
        elif kind in self.words.workloads.values():
            known, fresh = told(before) if before else {}, told(raw)
            turns = (each for each in fresh if fresh[each].split()[0] != known.get(each, "").partition(" ")[0])
            self.records[raw["metadata"]["name"]].turns += (f"{each} {fresh[each].split()[0]}" for each in turns)

    def _hear(self, event: Raw) -> None:
        """An event is told of a workload, or of a deployment's set."""
        about, told_of = event["regarding"], f"{event['type']} {event['reason']}"
        if about["kind"] in {each.kind() for each in self.words.workloads.values()}:
            self.records[about["name"]].events.add(told_of)
        elif replica_set := self._found[self.words.replica_set].get(about["uid"]):
            self.records[app(replica_set)].events.add(f"set: {told_of}")

    def all(self, kind: Kind) -> list[Raw]:
        return sorted(self._found[kind].values(), key=lambda raw: str(raw["metadata"]["name"]))

    def guests(self, name: str) -> list[Raw]:
        return [each for each in self.all(self.words.guest) if app(each) == name]

    def workload(self, kind: str, name: str) -> Raw | None:
        return next((each for each in self.all(self.words.workloads[kind]) if each["metadata"]["name"] == name), None)

    def letter(self, guest: Raw) -> str:
        """x: being deleted; f, s: it has ended; A: a ready one of the template a; a: one that is not; ?: not placed."""
        if dying(guest):
            return "x"
        if not mark(guest):
            return job_letter(guest)
        phase = guest.get("status", {}).get("phase", "")
        if phase in ("Failed", "Succeeded"):
            return "f" if phase == "Failed" else "s"
        if not self.placed(guest):
            return "?"
        return mark(guest).upper() if ready(guest) else mark(guest)

    def picture(self, kind: str, name: str, *, anywhere: bool = False) -> str:
        """A letter for each guest; by number or by node where they have one. Of a cron job, its jobs.

        `anywhere`: whichever node it is. Behind a job's guests: . it is complete, ! it has failed, z it is suspended.
        """
        workload = self.workload(kind, name)
        if workload is None or dying(workload):  # the garbage collector is not here
            return GONE
        if kind == "cronjob":
            return "".join(sorted(job_letter(each) for each in self.all(self.words.job) if app(each) == name))
        guests = self.guests(name)
        places: dict[str, list[str]] = defaultdict(list)
        for each in guests:
            places[place(each)].append(self.letter(each))
        if kind == "statefulset":
            highest = max(map(int, places), default=-1)
            return "".join(joined(places.get(str(number), ["-"])) for number in range(highest + 1))
        row = [joined(letters) if at else "".join(sorted(letters)) for at, letters in sorted(places.items())]
        if anywhere:
            row.sort()
        return "".join(row) + (job_mark(workload) if kind == "job" else "")

    def status(self, kind: str, name: str) -> dict[str, Any]:
        """The counts, the conditions, and whether the status is of this generation."""
        workload = self.workload(kind, name)
        if workload is None or dying(workload):
            return {}
        said = workload.get("status") or {}
        seen = {each: said.get(each) or 0 for each in COUNTS[kind]} | told(workload)
        if kind in MORE:
            return seen | MORE[kind](said)
        if kind == "deployment":
            sets = [each for each in self.all(self.words.replica_set) if app(each) == name]
            seen |= {"revision": workload["metadata"].get("annotations", {}).get(apps.REVISION), "sets": len(sets)}
        else:
            pages = [each["revision"] for each in self.all(ControllerRevision) if app(each) == name]
            seen |= {"revisions": len(pages), "revision": max(pages, default=0)}
        return seen | {"observed": said.get("observedGeneration") == workload["metadata"]["generation"]}

    def caught_up(self, kind: str, name: str) -> bool:
        """Whether the status is of what there is now."""
        workload = self.workload(kind, name)
        if workload is None or dying(workload):
            return True
        if kind == "cronjob":
            placed = {owner(each) for each in self.guests(name) if self.placed(each)}
            return placed >= set(self._running_jobs(name))
        letters = [self.letter(each) for each in self.guests(name)]
        running = [each for each in letters if each not in ENDED]
        status, up = self.status(kind, name), sum(map(str.isupper, running))
        if kind == "job":
            uncounted = (workload.get("status") or {}).get("uncountedTerminated") or {}
            counted = status["active"] == len(running) and status["ready"] == up
            return bool(counted and not any(uncounted.values()))
        if not status["observed"] or "x" in letters:
            return bool(status["observed"])
        if kind == "daemonset":
            return bool(status["numberReady"] == up or status["numberMisscheduled"])
        return bool(status["readyReplicas"] == up and status["replicas"] == len(running))

    def _running_jobs(self, name: str) -> list[str]:
        jobs = [each for each in self.all(self.words.job) if app(each) == name and job_letter(each) == "j"]
        return [str(each["metadata"]["uid"]) for each in jobs]

    # what nodes and schedulers do

    def placed(self, guest: Raw) -> bool:
        pod = self.pod(guest)
        return pod is not None and bool(pod["spec"].get("nodeName"))

    def pod(self, guest: Raw) -> Raw | None:
        """What runs it."""
        raise NotImplementedError

    def _attend(self, pod: Raw) -> None:
        """Whatever waits for a node gets one at once; what is deleted goes at once, unless that is the script's."""
        if not pod["spec"].get("nodeName"):
            self._once(f"bind {pod['metadata']['uid']}", self._bind(pod))
        elif dying(pod) and app(pod) not in self.slow:
            self._once(f"end {pod['metadata']['uid']}", self.let_go(pod))

    def _once(self, key: str, work: Any) -> None:
        if key in self._busy:
            work.close()
            return
        self._busy.add(key)
        task = asyncio.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _bind(self, pod: Raw) -> None:
        target = {"apiVersion": "v1", "kind": "Node", "name": node(pod) or NODE}
        body = {"metadata": {"name": pod["metadata"]["name"]}, "target": target}
        with suppress(ApiError):  # it may have gone meanwhile
            await self.api.create(Binding, self.namespace, body)

    async def let_go(self, pod: Raw) -> None:
        with suppress(ApiError):
            meta = pod["metadata"]
            await self.api.delete(Pod, self.namespace, meta["name"], uid=meta["uid"], grace=0)

    async def set_pod(self, pod: Raw, phase: str, state: Raw, *, is_ready: bool) -> None:
        name, image = launcher.COMPUTE, pod["spec"]["containers"][0]["image"]
        compute = {"name": name, "ready": is_ready, "state": state, "image": image, "imageID": "x", "restartCount": 0}
        told = [
            {"type": "PodScheduled", "status": "True"},
            {"type": "Ready", "status": str(is_ready), "lastTransitionTime": now()},
        ]
        status = {"phase": phase, "containerStatuses": [compute], "conditions": told}
        await self.api.patch(Pod, self.namespace, pod["metadata"]["name"], {"status": status}, "status")

    async def start(self, guest: Raw) -> None:
        """It is Ready."""
        pod = self.pod(guest)
        assert pod is not None
        await self.set_pod(pod, "Running", {"running": {"startedAt": now()}}, is_ready=True)

    async def ail(self, guest: Raw) -> None:
        """It is not Ready any more."""
        pod = self.pod(guest)
        assert pod is not None
        await self.set_pod(pod, "Running", {"running": {"startedAt": now()}}, is_ready=False)

    async def end(self, guest: Raw, code: int) -> None:
        pod = self.pod(guest)
        assert pod is not None
        ended = {"exitCode": code, "startedAt": pod["metadata"]["creationTimestamp"], "finishedAt": now()}
        ended["message"] = self.last_words(code)
        await self.set_pod(pod, "Failed" if code else "Succeeded", {"terminated": ended}, is_ready=False)

    def last_words(self, code: int) -> str:
        """What the container leaves behind."""
        return ""

    async def sweep(self) -> None:
        """Leave nothing to the controllers and nodes of other tests; those of this one have ended."""
        kinds: tuple[Kind, ...] = (*self.words.workloads.values(), self.words.replica_set, self.words.guest, Pod)
        for kind in kinds:
            found, _ = await self.api.list(kind, self.namespace)
            await asyncio.gather(*(self._remove(kind, each["metadata"]) for each in found))
        for each in (await self.api.list(Node, labels=MARK))[0]:
            await self.api.delete(Node, None, each["metadata"]["name"])

    async def _remove(self, kind: Kind, meta: Raw) -> None:
        with suppress(NotFound):
            if meta.get("finalizers"):
                await self.api.patch(kind, self.namespace, meta["name"], {"metadata": {"finalizers": None}})
            await self.api.delete(kind, self.namespace, meta["name"], grace=0)

    # what a user writes

    def template(self, kind: str, name: str, letter: str, **more: Any) -> Raw:
        """`more`: what a pod's and a virtual machine's spec both have."""
        raise NotImplementedError

    def body(self, kind: str, name: str, spec: Raw) -> Raw:
        """A workload of the template a; `template` in the spec: more of the guests' spec; of a cron job, its `job`."""
        more = dict(spec)
        template = {"template": self.template(kind, name, "a", **more.pop("template", {}))}
        if kind == "cronjob":
            job = {"metadata": {"labels": {"app": name}}, "spec": more.pop("job", {}) | template}
            return {"metadata": {"name": name}, "spec": more | {"jobTemplate": job}}
        if kind != "job":
            template["selector"] = {"matchLabels": {"app": name}}
        return {"metadata": {"name": name}, "spec": more | template}


class Kubernetes(Side):
    """Pods, by the kube-controller-manager."""

    words = KUBERNETES

    def pod(self, guest: Raw) -> Raw | None:
        return guest

    def template(self, kind: str, name: str, letter: str, **more: Any) -> Raw:
        policy = {"restartPolicy": "Never"} if kind in ("job", "cronjob") else {}
        container = {"name": launcher.COMPUTE, "image": "guest"}
        return marked(name, letter, {"containers": [container]} | policy | more)


class Ours(Side):
    """Virtual machine instances, by `python -m controllers`."""

    words = OURS

    def pod(self, guest: Raw) -> Raw | None:
        uid = guest["metadata"]["uid"]
        return next((each for each in self.all(Pod) if owner(each) == uid), None)

    def template(self, kind: str, name: str, letter: str, **more: Any) -> Raw:
        return marked(name, letter, {"domain": {"memory": {"guest": "64Mi"}, "devices": {}}} | more)

    async def start(self, guest: Raw) -> None:
        await super().start(guest)
        await self._say(guest, is_ready=True)

    async def ail(self, guest: Raw) -> None:
        await self._say(guest, is_ready=False)

    def last_words(self, code: int) -> str:
        """As the launcher's PID 1 writes them when the guest wrote its exit code."""
        return json.dumps({"reason": "GuestFailed" if code else "Completed", "message": "", "exitCode": code})

    async def _say(self, guest: Raw, *, is_ready: bool) -> None:
        """What a node's agent reports."""
        running = {"phase": "Running", "phaseTransitionTimestamp": now()}
        told = {"type": "Ready", "status": str(is_ready), "lastTransitionTime": now()}
        status = {"phase": "Running", "phaseTransitionTimestamps": [running], "conditions": [told]}
        # a user's word on a status is not taken
        await self.agent.patch(self.words.guest, self.namespace, guest["metadata"]["name"], {"status": status})


def marked(name: str, letter: str, spec: Raw) -> Raw:
    return {"metadata": {"labels": {"app": name}, "annotations": {MARK: letter}}, "spec": spec}
