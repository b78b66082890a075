"""What happens to the workloads. Letters: see Side.letter and Side.picture."""

from typing import Any

from hostler.runtime.protocol import Raw
from tests.integration.judge.script import (
    edited,
    ended,
    gone,
    killed,
    made,
    nodes,
    relabelled,
    rolled,
    scenario,
    slowly,
    start,
    tainted,
    untainted,
)


def rolling(**numbers: Any) -> Raw:
    return {"type": "RollingUpdate", "rollingUpdate": numbers}


SCENARIOS = (
    scenario(
        "deployment-rolls",
        {"replicas": 3, "strategy": rolling(maxSurge=1, maxUnavailable=0)},
        made("aaa"),
        start("AAA"),
        rolled("b", "AAAb"),
        start("AABb"),
        start("ABBb"),
        start("BBB"),
        rolled("a", "BBBa"),
    ),
    scenario(
        "statefulset-ordered",
        {"replicas": 3},
        made("a"),
        start("Aa"),
        start("AAa"),
        start("AAA"),
        edited("AA", replicas=2),
        rolled("b", "Ab"),
        start("bB"),
        start("BB"),
    ),
    scenario(
        "statefulset-parallel",
        {"replicas": 3, "podManagementPolicy": "Parallel"},
        made("aaa"),
        start("AAA"),
        edited("A", replicas=1),
    ),
    scenario(
        "daemonset-nodes",
        {},
        made(""),
        nodes("aa", "1", "2"),
        start("AA"),
        tainted("1", "NoExecute", "A"),
        untainted("1", "aA"),
        relabelled("2", None, "a"),
        start("A"),
        rolled("b", "b"),
    ),
    scenario(
        "job-completions",
        {"completions": 3, "parallelism": 2},
        made("aa"),
        start("AA"),
        ended("as", most=1, letters="A"),
    ),
    scenario("job-failure", {"backoffLimit": 0}, made("a"), ended("f", 1)),
)
_ = (gone, killed, slowly)
