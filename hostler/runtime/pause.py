"""Leave everything as it is: a label on a namespace pauses what is in it; on Hostler's own namespace, everything.

    kubectl label namespace hostler hostler.io/paused=true
    kubectl label namespace hostler hostler.io/paused-

Guests run on; nothing is created, changed, deleted or reported until the label goes. Then all is looked at anew.
"""

import logging
from collections.abc import Callable

from hostler.api.objects import Namespace
from hostler.runtime import metrics
from hostler.runtime.plan import Event
from hostler.runtime.protocol import Kind, Raw

LABEL = "hostler.io/paused"
SELECTOR = f"{LABEL}=true"
EVERYTHING, ONE = "all that Hostler runs", "all that Hostler runs in this namespace"

log = logging.getLogger(__name__)


class Pause:
    """Which namespaces are left alone. A Sink of its own: for a Store, what loses its label would be dead for good."""

    def __init__(self, home: str, tell: Callable[[Namespace, Event], None]) -> None:
        self._home = home
        self._tell = tell
        self._paused: dict[str, Namespace] = {}
        self._waiting: list[Callable[[str | None], None]] = []

    def holds(self, namespace: str) -> bool:
        """Whether an object of this namespace ("" for one without) is to be left alone."""
        return self._home in self._paused or namespace in self._paused

    def on_resume(self, wake: Callable[[str | None], None]) -> None:
        """Call this with the namespace that goes on, or None for all."""
        self._waiting.append(wake)

    def observe(self, _kind: Kind, raw: Raw) -> None:
        found = Namespace.model_validate(raw)
        name = found.metadata.name
        if name not in self._paused:
            metrics.PAUSED.labels(name).set(1)
            log.warning("paused", extra={"namespace": name, "all": name == self._home})
            self._tell(found, Event("Paused", f"{self._what(name)} is left as it is", "Warning"))
        self._paused[name] = found

    def forget(self, _kind: Kind, raw: Raw) -> None:
        self._resume(raw["metadata"]["name"])

    def prune(self, _kind: Kind, uids: set[str], _version: str) -> None:
        for name, found in tuple(self._paused.items()):
            if found.metadata.uid not in uids:
                self._resume(name)

    def _resume(self, name: str) -> None:
        found = self._paused.pop(name, None)
        if found is None:
            return
        metrics.PAUSED.remove(name)
        log.warning("resumed", extra={"namespace": name, "all": name == self._home})
        self._tell(found, Event("Resumed", f"{self._what(name)} goes on"))
        for wake in self._waiting:
            wake(None if name == self._home else name)

    def _what(self, name: str) -> str:
        return EVERYTHING if name == self._home else ONE
