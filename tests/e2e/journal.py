"""The judge of `examples/fencing`: the journal on the shared disk, read from the host, and the QEMUs that exist."""

import json
import threading
import time
from dataclasses import dataclass, field
from pathlib import Path

from tests.e2e import seen
from tests.e2e.vmctl import Kubectl

BLOCK = 512


@dataclass(frozen=True)
class Journal:
    """The blocks of the disk: (boot, number) in the order in which they lie there."""

    file: Path

    @classmethod
    def of(cls, kubectl: Kubectl, namespace: str, claim: str = "journal") -> "Journal":
        volume = json.loads(kubectl("get", "pvc", claim, "-n", namespace, "-o", "json"))["spec"]["volumeName"]
        (file,) = Path(kubectl.kubeconfig).parent.glob(f"volumes/{volume}/**/disk.img")
        return cls(file)

    def records(self) -> list[tuple[str, int]]:
        data = self.file.read_bytes()
        blocks = (data[at : at + BLOCK].rstrip(b"\0") for at in range(0, len(data), BLOCK))
        lines = [block.decode().split() for block in blocks if block]
        return [(boot, int(number)) for boot, number in lines]

    def writers(self) -> list[str]:
        """The boots that wrote, in order; each once, unless two wrote at a time."""
        found: list[str] = []
        for boot, _ in self.records():
            if not found or found[-1] != boot:
                found.append(boot)
        return found

    def check(self, acknowledged: int) -> None:
        """No gap, no boot that comes back, and nothing lost that the guest was told was written."""
        records = self.records()
        assert [number for _, number in records] == list(range(len(records))), "a gap, or a block written twice"
        writers = self.writers()
        assert len(writers) == len(set(writers)), f"two wrote at a time: {writers}"
        assert len(records) > acknowledged, "an acknowledged write is lost"


@dataclass
class Census:
    """Counts the QEMUs of a namespace ten times a second: never more than one may have the journal."""

    namespace: str
    most: int = 0
    looks: int = 0
    _over: threading.Event = field(default_factory=threading.Event)
    _thread: threading.Thread | None = None

    def __enter__(self) -> "Census":
        self._thread = threading.Thread(target=self._count, daemon=True)
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._over.set()
        assert self._thread is not None
        self._thread.join()

    def _count(self) -> None:
        while not self._over.is_set():
            self.most = max(self.most, sum(map(len, seen.guests(self.namespace).values())))
            self.looks += 1
            time.sleep(0.1)
