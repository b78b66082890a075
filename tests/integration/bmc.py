"""A BMC on loopback that is wired to two files: python -m tests.integration.bmc PORT FOLDER

FOLDER/power says on or off, FOLDER/fault how honest the BMC is.
"""

import sys
from pathlib import Path

from cluster.bmc import Machine, Switch

PASSWORD = "right"


def main(port: int, folder: Path) -> None:
    power, fault = folder / "power", folder / "fault"
    wired = Machine(
        "machine",
        lambda: power.read_text() == "on",
        lambda: put(power, "on"),
        lambda: put(power, "off"),
        fault.read_text,
    )
    server = Switch(wired, "127.0.0.1", port, PASSWORD)
    (folder / "ready").touch()
    server.listen()


def put(path: Path, text: str) -> None:
    path.write_text(text)


if __name__ == "__main__":
    main(int(sys.argv[1]), Path(sys.argv[2]))
