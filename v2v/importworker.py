"""What runs in the pods of an import: `python -m v2v.importworker`, with the job in HOSTLER_JOB.

Exit code 0 is the last word, good or bad; with any other the kubelet starts the container again.
"""

import asyncio
import logging
import os
import sys
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

from hostler.api.imports import ImportPlan, ImportSource, SourceMachine
from hostler.api.meta import Resource
from hostler.runtime import kube, logs
from hostler.runtime.conditions import stamp
from hostler.runtime.errors import ApiError, Retry, Terminal
from hostler.runtime.protocol import Raw
from v2v import verdict
from v2v.credentials import login
from v2v.importpod import CREDENTIALS, ENV, SCRATCH, Job
from v2v.machineimport import CONVERSION
from v2v.verdict import Verdict

LAST_WORD = Path("/dev/termination-log")

log = logging.getLogger(__name__)


def main() -> int:
    logs.setup("info", "text")
    job = Job.model_validate_json(os.environ[ENV])
    try:
        said = Verdict(True, WORK[job.work](job))
    except Terminal as error:
        said = Verdict(False, error.message, error.reason)
    except (Retry, ApiError) as error:
        said, code = Verdict(False, str(error), "Retry"), 1
        LAST_WORD.write_text(verdict.text(said))
        log.warning("to be tried again", extra={"error": str(error)})
        return code
    LAST_WORD.write_text(verdict.text(said))
    log.info("done", extra={"ok": said.ok, "said": said.message})
    return 0


def look(job: Job) -> str:
    """Write the inventory into the source's status."""
    from v2v import sources_vmware  # pyVmomi is large, and a conversion does not need it

    found = sources_vmware.look(job, login(CREDENTIALS) if job.credentials else ("", ""))
    patch(ImportSource, job, {"status": inventory(*found)}, "status")
    return f"{found[0]}: {found[2]} machines"


def inventory(product: str, machines: list[SourceMachine], count: int) -> Raw:
    """The part of a source's status that tells what is there."""
    return {
        "product": product,
        "refreshed": stamp(datetime.now(UTC)),
        "machineCount": count,
        "machines": [told(each) for each in machines],
    }


def told(machine: SourceMachine) -> Raw:
    return machine.model_dump(mode="json", by_alias=True, exclude_none=True)


def off(job: Job) -> str:
    """Switch a machine off."""
    from v2v import sources_vmware

    return sources_vmware.switch_off(job, login(CREDENTIALS))


def convert(job: Job) -> str:
    """Convert a guest, and tell what virt-v2v says meanwhile."""
    from v2v import converter

    def tell(text: str) -> None:
        log.info("virt-v2v", extra={"said": text})
        try:
            patch(ImportPlan, job, {"metadata": {"annotations": {f"{CONVERSION}{job.machine}": text[:200]}}})
        except ApiError as error:
            log.warning("not told", extra={"error": str(error)})  # it is only progress

    return converter.convert(job, SCRATCH, tell)


WORK: dict[str, Callable[[Job], str]] = {"look": look, "off": off, "convert": convert}


def patch(kind: type[Resource], job: Job, change: Raw, subresource: str | None = None) -> None:
    """A merge patch to the object of the job, if it is still that one."""

    async def send() -> None:
        api = await kube.connect(None, "hostler-import-worker")
        try:
            whole = {**change, "metadata": {**change.get("metadata", {}), "uid": job.uid}}
            await api.patch(kind, job.namespace, job.name, whole, subresource)
        finally:
            await api.close()

    asyncio.run(send())


if __name__ == "__main__":
    sys.exit(main())
