"""What the supervisor is told: which programs to run, in which order, and how one knows that they are ready."""

import hashlib
import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path


@dataclass(frozen=True)
class Ready:
    """How one knows that a program does its work; the first that is given counts, none: it runs."""

    url: str = ""  # answers 200
    ca: str = ""  # the authority of its certificate
    socket: str = ""  # a path as the program sees it
    port: int = 0  # listened on in the program's network namespace


@dataclass(frozen=True)
class Spec:
    """One program to keep running."""

    name: str
    argv: tuple[str, ...]
    after: tuple[str, ...] = ()  # programs that must have been ready before it starts
    ready: Ready = Ready()
    env: dict[str, str] = field(default_factory=dict)
    cgroup: str = ""  # none: the supervisor's
    stamp: str = ""  # when it changes the program is started anew

    @property
    def identity(self) -> str:
        """The same for as long as what runs need not be started anew."""
        return hashlib.sha256(json.dumps(asdict(self)).encode()).hexdigest()[:16]

    def depth(self, others: dict[str, "Spec"]) -> int:
        """How many must be started before it, one after the other."""
        return max((1 + others[name].depth(others) for name in self.after if name in others), default=0)


def save(path: Path, specs: Sequence[Spec]) -> None:
    fresh = path.with_name(f".{path.name}")
    fresh.touch()
    fresh.chmod(0o600)  # a proxy's address may have a password in it
    fresh.write_text(json.dumps([asdict(spec) for spec in specs], indent=1))
    fresh.replace(path)


def digest(path: Path) -> str:
    """Tells one list from another."""
    return hashlib.sha256(path.read_bytes()).hexdigest()


def load(path: Path) -> list[Spec]:
    return [
        Spec(**item | {"argv": tuple(item["argv"]), "after": tuple(item["after"]), "ready": Ready(**item["ready"])})
        for item in json.loads(path.read_text())
    ]


def stamp(program: Path, *files: Path) -> str:
    """Tells which build of a program runs, and with what in its files."""
    parts = [str(program.resolve()).encode(), *(file.read_bytes() for file in files)]
    return hashlib.sha256(b"\0".join(parts)).hexdigest()[:16]
