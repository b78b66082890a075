"""PID 1 from its first moment."""

import subprocess
import sys
from pathlib import Path

from hostler.api import launcher
from launcher.pod import pid1
from launcher.pod.guard import NO_GUEST


def test_a_sigterm_from_before_it_began_ends_it(tmp_path: Path) -> None:
    (tmp_path / "dev").mkdir()
    code = f"from launcher.pod import pid1, places; pid1.Places = lambda: places.Places({str(tmp_path)!r}); pid1.main()"
    held = launcher.PID1[: launcher.PID1.index("python3")]
    early = ("sh", "-c", 'kill -TERM $$; exec "$@"', "sh", sys.executable, "-c", code)
    done = subprocess.run([*held, *early], cwd=Path(pid1.__file__).parents[2], timeout=20, check=False)
    assert done.returncode == NO_GUEST[0]
    assert NO_GUEST[1] in (tmp_path / "dev/termination-log").read_text()
