"""A worker's hour: look at the DataVolume, do what the pod's job says, and tell of it all the while."""

import asyncio
import logging
import os
from datetime import UTC, datetime

from hostler.api.cdi import DataVolume
from hostler.runtime import disk_report as report
from hostler.runtime import kube
from hostler.runtime.disk_report import Report
from hostler.runtime.errors import ApiError, NotFound, Terminal
from hostler.runtime.protocol import Kube
from v2v import job as jobs
from v2v import metrics
from v2v.job import Job
from v2v.work import Interrupted, Work, make

BEAT = 3.0  # seconds between two words
LAST_WORD_TRIES = 60  # of what came of it; the API server may be away for some minutes

OK, AGAIN = 0, 75  # exit codes: done or nothing to do; worth another try

log = logging.getLogger(__name__)
_code = OK


def exit_code() -> int:
    """Of the process, once its task is over."""
    return _code


async def fill(namespace: str, name: str, uid: str) -> None:
    """One DataVolume, in the pod that was made for it."""
    job = Job.model_validate_json(os.environ[jobs.ENV])
    metrics.serve(int(os.environ.get("HOSTLER_METRICS_PORT", metrics.PORT)))
    api = await kube.connect(os.environ.get("HOSTLER_KUBECONFIG"), "hostler-disk-worker")
    try:
        if uid == job.uid:
            await Worker(api, namespace, name, job, os.environ["HOSTLER_POD_UID"]).run()
    finally:
        await api.close()


class Worker:
    """Makes one disk and keeps the report of it fresh."""

    def __init__(self, api: Kube, namespace: str, name: str, job: Job, pod: str) -> None:
        self._api = api
        self._place = (namespace, name)
        self._job = job
        self._pod = pod

    async def run(self) -> None:
        said = await self._known()
        if said is None:
            return
        work = make(self._job, said)
        beat = asyncio.create_task(self._beat(work))
        try:
            final = await self._outcome(work)
        finally:
            beat.cancel()
            await asyncio.gather(beat, return_exceptions=True)
        await self._last_word(final)

    async def _known(self) -> Report | None:
        try:
            volume = DataVolume.model_validate(await self._api.get(DataVolume, *self._place))
        except NotFound:
            return None
        return known(volume, self._job)

    async def _outcome(self, work: Work) -> Report:
        """done, failed, or working with the reason why it has to be tried again."""
        try:
            await work.run()
        except Terminal as error:
            log.warning("failed", extra={"reason": error.reason, "error": error.message})
            return work.report(state="failed", reason=error.reason, message=error.message)
        except (Interrupted, OSError) as error:
            log.warning("to be tried again", extra={"error": str(error)})
            return work.report(reason="TransferInterrupted", message=str(error))
        return work.report(state="done", percent=100.0)

    async def _beat(self, work: Work) -> None:
        while True:
            try:
                await self._say(said := work.report())
                metrics.progress(self._job.kind, self._job.uid, said.percent or 0)
            except NotFound:
                pass  # deleted: the pod will be, too
            except ApiError as error:
                log.warning("no word", extra={"error": str(error)})
            await asyncio.sleep(BEAT)

    async def _last_word(self, final: Report) -> None:
        global _code  # noqa: PLW0603 - Celery asks for it after the task
        _code = OK if final.final else AGAIN
        for _ in range(LAST_WORD_TRIES):
            try:
                await self._say(final)
                return
            except NotFound:
                return
            except ApiError as error:
                log.warning("no last word", extra={"error": str(error)})
                await asyncio.sleep(BEAT)
        _code = AGAIN  # all of it is on the volume: doing it again is quick, or at least right

    async def _say(self, said: Report) -> None:
        said = said.model_copy(update={"uid": self._job.uid, "claim": self._job.claim, "pod": self._pod})
        patch = {"metadata": {"annotations": {report.ANNOTATION: said.text(datetime.now(UTC))}}}
        await self._api.patch(DataVolume, *self._place, patch)


def known(volume: DataVolume, job: Job) -> Report | None:
    """What was said of the disk so far; None if there is nothing to do (any more)."""
    if volume.metadata.uid != job.uid or volume.metadata.deletion_timestamp:
        return None
    said = report.read(volume.metadata.annotations, volume.metadata.uid)
    if said is None or said.claim != job.claim:
        return Report()  # of a claim that is gone, with all that was on it
    return None if said.final else said
