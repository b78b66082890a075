"""python -m tests.bench [boot] [emulation] [fencing] [memory] [migration] [scale] [--kind NAME] [--members N] ..."""

import argparse
import sys

from tests.bench import boot, emulation, fencing, memory, migration, scale
from tests.bench.kinds import LOADS

BENCHMARKS = {
    "boot": boot.run,
    "emulation": emulation.run,
    "fencing": fencing.run,
    "memory": memory.run,
    "migration": migration.run,
    "scale": scale.run,
}


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.bench", description="Benchmarks of Hostler.")
    parser.add_argument("names", nargs="*", metavar="NAME", help=f"of {', '.join(BENCHMARKS)}; all when none is named")
    parser.add_argument("--members", type=int, default=1000, help="scale: members of a set (default 1000)")
    parser.add_argument(
        "--kind", action="append", choices=[each.name for each in LOADS], help="scale: only these kinds"
    )
    parser.add_argument("--single", action="store_true", help="scale: not with twice as many, too")
    parser.add_argument("--idle", type=int, default=20, help="scale: seconds of looking on while nothing changes")
    parser.add_argument("--limit", type=int, default=500, help="scale: seconds for either way (default 500)")
    parser.add_argument(
        "--rounds",
        type=int,
        help="boot: starts of each kind (default 5); emulation: boots (1); scale: runs of each size (3)",
    )
    parser.add_argument("--fences", type=int, default=1, help="fencing: losses of each kind (default 1)")
    parser.add_argument("--moves", type=int, default=100, help="migration: moves back and forth (default 100)")
    options = parser.parse_args()
    unknown = set(options.names) - set(BENCHMARKS)
    if unknown:
        parser.error(f"no benchmark named {', '.join(sorted(unknown))}; there are {', '.join(BENCHMARKS)}")
    for name in options.names or BENCHMARKS:
        BENCHMARKS[name](options)
    return 0


if __name__ == "__main__":
    sys.exit(main())
