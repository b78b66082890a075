"""Keeps the status of one VMI true: knows the VMI as it was last seen, and writes what differs."""

from collections.abc import Callable
from contextlib import suppress
from datetime import UTC, datetime

from hostler.api.kubevirt.vmi import VirtualMachineInstance
from hostler.runtime.errors import Conflict, NotFound, Retry
from hostler.runtime.events import Recorder
from hostler.runtime.plan import Event
from hostler.runtime.protocol import Kube, Raw
from launcher.agent import status
from launcher.agent.pods import FINAL, LauncherPod, stranger
from launcher.agent.status import Seen, Sight

WRITES = 5  # tries to write a status that others write, too
NOT_OURS = 60.0  # seconds between looks at a VMI that another pod runs

Patcher = Callable[[VirtualMachineInstance], Raw]


class Reporter:
    """The VMI of one launcher pod."""

    def __init__(self, kube: Kube, recorder: Recorder, node: str, pod: LauncherPod) -> None:
        self.pod = pod
        self._kube = kube
        self._recorder = recorder
        self._node = node
        self._vmi: VirtualMachineInstance | None = None

    def tell(self, event: Event) -> None:
        """A line in the VMI's history."""
        if self._vmi is not None:
            self._recorder.record(self._vmi, event)

    async def look(self) -> VirtualMachineInstance:
        """The VMI as it is now; Retry if it is not this pod's."""
        vmi = await self._get()
        if why := stranger(self.pod, vmi, self._node):
            raise Retry(NOT_OURS, why)
        self._vmi = vmi
        return vmi

    def saw(self, vmi: VirtualMachineInstance) -> bool:
        """Whether this is news: what a watch says may be older than the answer to our last write."""
        known = self._vmi
        if known is None or known.metadata.uid != vmi.metadata.uid:
            return False  # it is asked for when it is needed
        if not newer(vmi, known):
            return False
        self._vmi = vmi
        return True

    @property
    def vmi(self) -> VirtualMachineInstance | None:
        """As it was last seen."""
        return self._vmi

    async def running(self, sight: Sight) -> None:
        """Report a guest that runs."""
        seen = Seen(self.pod, self._node, sight)
        await self._write(lambda vmi: status.report(vmi, seen, datetime.now(UTC)))

    async def trouble(self, message: str) -> None:
        """Report why there is no guest, with an event when that is news."""
        written = await self._write(lambda vmi: status.trouble(vmi, message, datetime.now(UTC)))
        if written is not None:
            self._recorder.record(written, Event("SyncFailed", message, "Warning"))

    async def write(self, make: Patcher) -> VirtualMachineInstance | None:
        """Patch the VMI; `make` is asked again if it changed meanwhile, and may then have nothing to write: None."""
        return await self._write(make)

    def record(self, event: Event) -> None:
        """Tell something of the VMI."""
        if self._vmi is not None:
            self._recorder.record(self._vmi, event)

    async def _get(self) -> VirtualMachineInstance:
        name = self.pod.vmi_name
        if name is None:
            raise Retry(NOT_OURS, "no VMI controls this pod")
        return read(await self._kube.get(VirtualMachineInstance, self.pod.metadata.namespace, name))

    async def _write(self, make: Patcher) -> VirtualMachineInstance | None:
        """Patch the VMI if it says anything else; a write of somebody else in between is read first."""
        for _ in range(WRITES):
            vmi = self._vmi
            if vmi is None or (vmi.status and vmi.status.phase in FINAL):
                return None
            patch = make(vmi)
            if not patch:
                return None
            try:
                self._learn(await self._patch(vmi, patch))
            except Conflict:
                self._learn(await self._again(vmi))
            except NotFound:
                self._vmi = None
            else:
                return self._vmi
        return None

    def _learn(self, answer: VirtualMachineInstance | None) -> None:
        """What was answered, unless a watch has told of something newer while we waited for it."""
        known = self._vmi
        if known and answer and known.metadata.uid == answer.metadata.uid and newer(known, answer):
            return
        self._vmi = answer

    async def _patch(self, vmi: VirtualMachineInstance, patch: Raw) -> VirtualMachineInstance:
        meta = vmi.metadata
        body = patch | {"metadata": patch.get("metadata", {}) | {"resourceVersion": meta.resource_version}}
        return read(await self._kube.patch(VirtualMachineInstance, meta.namespace, meta.name, body))

    async def _again(self, old: VirtualMachineInstance) -> VirtualMachineInstance | None:
        """The VMI as it is now, if it is still the same and still ours."""
        with suppress(NotFound):
            vmi = await self._get()
            if vmi.metadata.uid == old.metadata.uid and not stranger(self.pod, vmi, self._node):
                return vmi
        return None


def newer(one: VirtualMachineInstance, other: VirtualMachineInstance) -> bool:
    return int(one.metadata.resource_version) > int(other.metadata.resource_version)


def read(raw: Raw) -> VirtualMachineInstance:
    return VirtualMachineInstance.model_validate(raw)
