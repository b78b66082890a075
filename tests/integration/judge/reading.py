"""What an object says, whichever side it is of."""

from collections.abc import Callable, Iterable
from datetime import UTC, datetime

from hostler.api.batch import INDEX
from hostler.runtime import conditions
from hostler.runtime.protocol import Raw

MARK = "judge"  # annotation: which state of the template; label of nodes: whose they are


def now() -> str:
    return conditions.stamp(datetime.now(UTC))


def app(raw: Raw) -> str:
    return str(raw["metadata"].get("labels", {}).get("app", ""))


def mark(raw: Raw) -> str:
    return str(raw["metadata"].get("annotations", {}).get(MARK, ""))


def owner(raw: Raw) -> str:
    return next((each["uid"] for each in raw["metadata"].get("ownerReferences", ()) if each.get("controller")), "")


def dying(raw: Raw) -> bool:
    return bool(raw["metadata"].get("deletionTimestamp"))


def said(raw: Raw) -> list[Raw]:
    return list((raw.get("status") or {}).get("conditions") or ())


def ready(raw: Raw) -> bool:
    return any(each["type"] == "Ready" and each["status"] == "True" for each in said(raw))


def told(raw: Raw) -> dict[str, str]:
    """What each condition says."""
    return {each["type"]: f"{each['status']} {each.get('reason', '')}".strip() for each in said(raw)}


def node(guest: Raw) -> str:
    """That a daemon set's guest is bound to."""
    affinity = (guest["spec"].get("affinity") or {}).get("nodeAffinity") or {}
    required = affinity.get("requiredDuringSchedulingIgnoredDuringExecution") or {}
    fields = [field for term in required.get("nodeSelectorTerms", ()) for field in term.get("matchFields", ())]
    return next((field["values"][0] for field in fields if field["key"] == "metadata.name"), "")


def place(guest: Raw) -> str:
    """The number that a stateful set's or an indexed job's guest has, or the last character of a daemon set's node."""
    labels = guest["metadata"].get("labels", {})
    number = labels.get("apps.kubernetes.io/pod-index") or labels.get(INDEX, "")
    return str(number) or node(guest)[-1:]


def joined(letters: Iterable[str]) -> str:
    """One letter, or two guests of one place in parentheses."""
    row = "".join(sorted(letters))
    return row if len(row) == 1 else f"({row})"


def job_mark(job: Raw) -> str:
    marks = {"Complete": ".", "Failed": "!", "Suspended": "z"}
    return "".join(marks.get(each["type"], "") for each in said(job) if each["status"] == "True")


def job_letter(job: Raw) -> str:
    """j: runs; c: complete; f: failed; x: being deleted."""
    return "x" if dying(job) else {".": "c", "!": "f"}.get(job_mark(job), "j")


def of_job(status: Raw) -> Raw:
    times = {each: status.get(each) is not None for each in ("startTime", "completionTime")}
    return times | {each: status.get(each) or "-" for each in ("completedIndexes", "failedIndexes")}


def of_cron_job(status: Raw) -> Raw:
    last = {each: status.get(each) is not None for each in ("lastScheduleTime", "lastSuccessfulTime")}
    return {"active": len(status.get("active") or ())} | last


MORE: dict[str, Callable[[Raw], Raw]] = {"job": of_job, "cronjob": of_cron_job}
