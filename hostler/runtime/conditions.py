"""Conditions: a list of dicts, keyed by type, whose lastTransitionTime moves only when the status does."""

from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from typing import NamedTuple

from hostler.api.meta import Model
from hostler.runtime.protocol import Raw


class Condition(NamedTuple):
    """What a condition is to say; an empty reason or message is left out."""

    status: bool
    reason: str = ""
    message: str = ""


def stamp(now: datetime) -> str:
    """A time as Kubernetes writes it."""
    return now.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def parse(text: str) -> datetime:
    """A time as Kubernetes writes it, with or without fractions of a second."""
    return datetime.fromisoformat(text)


def update(existing: Iterable[Model], wanted: Mapping[str, Condition | None], now: datetime) -> list[Raw]:
    """The conditions with those of `wanted` set, or removed where None; the others stay as they are."""
    left = dict(wanted)
    result = []
    for model in existing:
        raw = model.model_dump(mode="json", by_alias=True, exclude_unset=True)
        if raw["type"] not in left:
            result.append(raw)
        elif (condition := left.pop(raw["type"])) is not None:
            result.append(_set(raw, condition, now))
    result += [_set({"type": kind}, condition, now) for kind, condition in left.items() if condition is not None]
    return result


def _set(old: Raw, wanted: Condition, now: datetime) -> Raw:
    status = "True" if wanted.status else "False"
    since = old.get("lastTransitionTime") if old.get("status") == status else None
    new: Raw = {"type": old["type"], "status": status, "lastTransitionTime": since or stamp(now)}
    if "lastProbeTime" in old:
        new["lastProbeTime"] = old["lastProbeTime"]
    if wanted.reason:
        new["reason"] = wanted.reason
    if wanted.message:
        new["message"] = wanted.message
    return new
