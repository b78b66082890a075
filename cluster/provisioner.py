"""Makes and removes the volumes of the class hostler-shared: folders and block devices on this host.

python -m cluster.provisioner NAME   runs beside the control plane until it is told to end
"""

import asyncio
import contextlib
import logging
import sys

from cluster import claims, disks, registry
from cluster.addons import PROVISIONER
from cluster.claims import BLOCK, Make, PersistentVolume, PersistentVolumeClaim, Refuse, Remove, StorageClass
from cluster.errors import ClusterError
from cluster.layout import Cluster
from hostler.runtime import kube, logs
from hostler.runtime.errors import AlreadyExists, ApiError, NotFound
from hostler.runtime.events import Recorder
from hostler.runtime.plan import Event
from hostler.runtime.protocol import Kube
from hostler.runtime.reflector import Reflector
from hostler.runtime.store import Store

AGAIN = 5.0  # seconds until what failed is tried again
FAILED = "ProvisioningFailed"

log = logging.getLogger("provisioner")


class Provisioner:
    """Looks at all claims and volumes whenever one changes."""

    def __init__(self, cluster: Cluster, api: Kube) -> None:
        self._cluster = cluster
        self._api = api
        self._store = Store()
        self._news = asyncio.Event()
        self._recorder = Recorder(api, PROVISIONER, cluster.name)
        self._refused: set[str] = set()  # UIDs of claims whose owners were told
        self._store.subscribe(lambda *_: self._news.set())

    async def run(self) -> None:
        reflectors = [Reflector(self._api, kind, self._store) for kind in (PersistentVolumeClaim, PersistentVolume)]
        async with asyncio.TaskGroup() as group:
            group.create_task(self._recorder.run())
            for reflector in reflectors:
                group.create_task(reflector.run())
            for reflector in reflectors:
                await reflector.synced.wait()
            await asyncio.to_thread(self._restore)
            while True:
                self._news.clear()
                settled = [await self._carry_out(action) for action in self._plan()]
                with contextlib.suppress(TimeoutError):
                    async with asyncio.timeout(None if all(settled) else AGAIN):
                        await self._news.wait()

    def _plan(self) -> tuple[Make | Remove | Refuse, ...]:
        return claims.plan(self._store.all(PersistentVolumeClaim), self._store.all(PersistentVolume))

    def _restore(self) -> None:
        """Loop devices do not outlive a reboot; volumes do."""
        for volume in self._store.all(PersistentVolume):
            place = self._cluster.volumes / volume.metadata.name
            if volume.ours and volume.spec.volume_mode == BLOCK and (place / disks.IMAGE).exists():
                disks.make_device(place, volume.size)

    async def _carry_out(self, action: Make | Remove | Refuse) -> bool:
        """Whether it need not be tried again soon."""
        try:
            match action:
                case Make(claim):
                    await self._make(claim)
                case Remove(volume):
                    await self._remove(volume)
                case Refuse(claim, why):
                    self._refuse(claim, why)
        except (ApiError, ClusterError, OSError) as error:
            log.warning("failed, trying again", extra={"action": type(action).__name__, "error": str(error)})
            if isinstance(action, Make):
                self._tell(action.claim, Event(FAILED, str(error), "Warning"))
            return False
        return True

    async def _make(self, claim: PersistentVolumeClaim) -> None:
        place = self._cluster.volumes / claim.volume
        if claim.spec.volume_mode == BLOCK:
            path = await asyncio.to_thread(disks.make_device, place, claim.size)
        else:
            path = disks.make_folder(place)
        storage = StorageClass.model_validate(await self._api.get(StorageClass, None, claim.spec.storage_class_name))
        body = claims.volume_body(claim, path, storage.reclaim_policy, self._cluster.name)
        with contextlib.suppress(AlreadyExists):  # its name is the claim's UID: it is the same one
            self._store.observe(PersistentVolume, await self._api.create(PersistentVolume, None, body))
        log.info("made", extra={"volume": claim.volume, "claim": claim.metadata.name})
        self._tell(claim, Event("ProvisioningSucceeded", f"volume {claim.volume} is {path} on this host"))

    async def _remove(self, volume: PersistentVolume) -> None:
        name = volume.metadata.name
        await asyncio.to_thread(disks.remove, self._cluster.volumes / name)
        with contextlib.suppress(NotFound):
            await self._api.delete(PersistentVolume, None, name, uid=volume.metadata.uid)
        log.info("removed", extra={"volume": name})

    def _refuse(self, claim: PersistentVolumeClaim, why: str) -> None:
        if claim.metadata.uid not in self._refused:
            self._refused.add(claim.metadata.uid)
            self._tell(claim, Event(FAILED, why, "Warning"))

    def _tell(self, claim: PersistentVolumeClaim, event: Event) -> None:
        self._recorder.record(claim, event)


async def serve(name: str) -> None:
    """Until SIGTERM."""
    cluster = registry.get(name)
    api = await kube.connect(str(cluster.config("provisioner")), "hostler-provisioner")
    try:
        await Provisioner(cluster, api).run()
    finally:
        await api.close()


if __name__ == "__main__":
    logs.setup()
    asyncio.run(serve(sys.argv[1]))
