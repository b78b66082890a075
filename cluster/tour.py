"""The examples, one after another, as a person would run them: each in a namespace of its own that is gone afterwards.

An example is a folder of examples/ with an executable `run`; it prints what a person would type and what comes back,
and fails when something is not as its page says. It finds kubectl and vmctl on its PATH, and in the environment:
KUBECONFIG, whose current namespace is the example's, and HOSTLER_CLUSTER, the cluster of this host, if it is one.
"""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from tempfile import TemporaryDirectory

from cluster import proxy, registry
from cluster.errors import ClusterError
from cluster.host import run

EXAMPLES = Path(__file__).parents[1] / "examples"
LIMIT = 900.0  # seconds for one example
GONE = "300s"  # for a namespace to be deleted


@dataclass(frozen=True)
class Stop:
    """One example, and how it went."""

    name: str
    seconds: float
    code: int
    lines: list[str] = field(repr=False)

    @property
    def passed(self) -> bool:
        return self.code == 0


@dataclass(frozen=True)
class Guide:
    """Leads through examples on one cluster; `say` gets each line as it comes."""

    kubectl: Path
    kubeconfig: Path
    cluster: str  # "" if it is not of this host
    say: Callable[[str], None] = print

    def visit(self, name: str) -> Stop:
        """Run one example to its end."""
        start = time.monotonic()
        lines: list[str] = []
        with self._namespace(f"tour-{name}") as config:
            process = subprocess.Popen(
                [str(EXAMPLES / name / "run")], env=self._environment(config), stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, errors="replace", start_new_session=True,
            )  # fmt: skip
            try:
                for line in _lines(process, start + LIMIT):
                    lines.append(line)
                    self.say(line)
            finally:
                _end(process)
        return Stop(name, time.monotonic() - start, process.returncode, lines)

    def _environment(self, config: Path) -> dict[str, str]:
        programs = (str(self.kubectl.parent), str(Path(sys.executable).parent), os.environ.get("PATH", ""))
        kept = {key: value for key, value in os.environ.items() if key != "HOSTLER_CLUSTER"}
        known = {"HOSTLER_CLUSTER": self.cluster} if self.cluster else {}
        own = proxy.places(registry.get(self.cluster)) if self.cluster else ()
        where = {"PATH": ":".join(programs), "KUBECONFIG": str(config), "TERM": "dumb", "COLUMNS": "120"}
        return proxy.direct(kept | known, *own) | where

    @contextmanager
    def _namespace(self, name: str) -> Iterator[Path]:
        """A kubeconfig that is at home in a new namespace; what an earlier visit left there goes first."""
        kubectl = (self.kubectl, f"--kubeconfig={self.kubeconfig}")
        run(*kubectl, "delete", "namespace", name, "--ignore-not-found", f"--timeout={GONE}")
        run(*kubectl, "create", "namespace", name)
        with TemporaryDirectory() as folder:
            config = Path(folder, "kubeconfig")
            config.write_text(self.kubeconfig.read_text())
            config.chmod(0o600)
            run(self.kubectl, f"--kubeconfig={config}", "config", "set-context", "--current", f"--namespace={name}")
            try:
                yield config
            finally:
                run(*kubectl, "delete", "namespace", name, "--ignore-not-found", f"--timeout={GONE}")


def _lines(process: "subprocess.Popen[str]", deadline: float) -> Iterator[str]:
    """What it prints; when its time is over it is ended, and says so."""
    assert process.stdout is not None
    late = False

    def expire(*_: object) -> None:
        nonlocal late
        late = True
        os.killpg(process.pid, signal.SIGKILL)

    before = signal.signal(signal.SIGALRM, expire)
    signal.setitimer(signal.ITIMER_REAL, max(deadline - time.monotonic(), 0.1))
    try:
        for line in process.stdout:
            yield line.rstrip("\n")
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)
    if late:
        yield f"error: no end within {LIMIT:.0f} s"


def _end(process: "subprocess.Popen[str]") -> None:
    """Nothing of it is left, what it started in the background included."""
    assert process.stdout is not None
    with suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
    process.wait()
    process.stdout.close()


def examples(wanted: Sequence[str] = ()) -> list[str]:
    """The names of the examples, in the order of examples/tour; only the wanted ones, if any are named."""
    known = [line for line in (EXAMPLES / "tour").read_text().split("\n") if line and not line.startswith("#")]
    for name in wanted:
        if name not in known:
            raise ClusterError(f"no example {name!r}: there are {', '.join(known)}")
    return [name for name in known if not wanted or name in wanted]
