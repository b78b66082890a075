"""PID 1 of the launcher pod: prepare, then guard.

Two programs in one process: preparing needs modules that would cost 3 MB in every pod for as long as its guest runs,
so PID 1 replaces itself by a lean one (`pid1.py DOMAIN GRACE`) when all is prepared.

SIGTERM is blocked when each of them begins (hostler.api.launcher.PID1): it waits until there is a handler.
"""

# ruff: noqa: PTH100, PTH119, PTH120
# (pathlib would cost every pod a megabyte for as long as its guest runs)

import os
import signal
import sys

if not __package__:  # in the image this file is run by its path; its folder is the package
    folder = os.path.dirname(os.path.abspath(__file__))
    sys.path.append(os.path.dirname(folder))
    __package__ = os.path.basename(folder)
    __import__(__package__)

from .guard import NO_GUEST, Guard, report
from .places import Places, environment

PREPARE_FAILED = 64


def main() -> None:
    places = Places()
    os.set_blocking(2, False)  # whoever reads what we say may rest; this lasts into the next program
    if len(sys.argv) == 3:
        sys.exit(report(places, *Guard(places, sys.argv[1], float(sys.argv[2])).run()))
    signal.signal(signal.SIGTERM, lambda *_: os._exit(report(places, NO_GUEST)))
    signal.pthread_sigmask(signal.SIG_UNBLOCK, (signal.SIGTERM,))
    domain, grace = prepared(places)
    # Nothing may be lost between two programs: the next one unblocks these when it can hear them.
    signal.pthread_sigmask(signal.SIG_BLOCK, (signal.SIGTERM, signal.SIGCHLD))
    command = (sys.executable, "-S", "-E", os.path.abspath(__file__), domain, str(grace))
    os.execve(command[0], command, environment(places))  # noqa: S606 - no shell is what we want


def prepared(places: Places) -> tuple[str, int]:
    """The domain's name and grace period, once all that it needs is there."""
    from .errors import PrepareError
    from .prepare import prepare

    try:
        return prepare(os.environ.get("HOSTLER_PREPARE", ""), places)
    except PermissionError as error:
        why = f"{error.filename}: user {os.getuid()} may not read this; in an image, chown it to 107:107"
        sys.exit(report(places, (PREPARE_FAILED, "PrepareFailed", why)))
    except (PrepareError, OSError) as error:
        sys.exit(report(places, (PREPARE_FAILED, "PrepareFailed", str(error))))


if __name__ == "__main__":
    main()
