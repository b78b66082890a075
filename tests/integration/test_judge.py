"""Kubernetes' own controllers as the judge: what they do with pods, ours do with virtual machines.

Each scenario (tests/integration/judge/scenarios.py) is played on both sides at once, with kube-controller-manager and
with the manager, on one API server. After each step the guests, the counts, the conditions, and what came and went must
be the same, but for the table in tests/integration/judge/differences.py.
"""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from fnmatch import fnmatch
from pathlib import Path

import pytest

from cluster import programs
from hostler.runtime.kube import connect
from tests.integration.apiserver import ApiServer, kube_controller_manager
from tests.integration.judge.differences import DIFFERENCES
from tests.integration.judge.scenarios import SCENARIOS
from tests.integration.judge.script import Scenario
from tests.integration.judge.side import Kubernetes, News, Ours, Side
from tests.integration.judge.verdict import Listed, Trial, Verdict
from tests.integration.manager import Manager

CONTROLLERS = ("deployment", "replicaset", "statefulset", "daemonset", "job", "cronjob", "ttl-after-finished")


@pytest.fixture(scope="module")
def verdicts(
    hostler: ApiServer, tmp_path_factory: pytest.TempPathFactory, request: pytest.FixtureRequest
) -> dict[str, Verdict]:
    """All scenarios that were asked for, side by side."""
    folder = tmp_path_factory.mktemp("judge")
    program = programs.find(["kube-controller-manager"])["kube-controller-manager"]
    manager = Manager(hostler.account("hostler", "hostler-manager"), folder, "judged", "--events-per-second", "1000")
    params = [item.callspec.params.get("scenario") for item in request.session.items if hasattr(item, "callspec")]
    chosen = [each for each in SCENARIOS if each in params] or list(SCENARIOS)
    controllers = [f"{each}-controller" for each in CONTROLLERS]
    names = namespace(hostler, "judge-kubernetes"), namespace(hostler, "judge-ours")
    kubeconfigs = str(hostler.kubeconfig), str(folder / "judged.kubeconfig")
    with kube_controller_manager(program, hostler, folder, controllers), manager.running():
        found = asyncio.run(judge(kubeconfigs, names, chosen))
    asyncio.run(sweep(kubeconfigs, names))
    return found


@asynccontextmanager
async def both_sides(
    kubeconfigs: tuple[str, str], names: tuple[str, str], news: News
) -> AsyncIterator[tuple[Side, Side]]:
    """The two namespaces, as their user and the nodes' agents see them."""
    api, agent = await connect(kubeconfigs[0], "judge"), await connect(kubeconfigs[1], "judge-agent")
    yield Kubernetes(api, agent, names[0], news), Ours(api, agent, names[1], news)
    await api.close()
    await agent.close()


async def judge(kubeconfigs: tuple[str, str], names: tuple[str, str], scenarios: list[Scenario]) -> dict[str, Verdict]:
    news = News()
    async with both_sides(kubeconfigs, names, news) as sides:
        reflectors = [each for side in sides for each in side.reflectors()]
        watching = [asyncio.create_task(each.run()) for each in reflectors]
        await asyncio.gather(*(each.synced.wait() for each in reflectors))
        trials = [Trial(each, sides, news, DIFFERENCES) for each in scenarios]
        found = await asyncio.gather(*(each.run() for each in trials))
        for each in watching:
            each.cancel()
    return {each.scenario.name: each for each in found}


async def sweep(kubeconfigs: tuple[str, str], names: tuple[str, str]) -> None:
    async with both_sides(kubeconfigs, names, News()) as sides:
        for side in sides:
            await side.sweep()


def namespace(server: ApiServer, prefix: str) -> str:
    answer = server.create("/api/v1/namespaces", {"metadata": {"generateName": f"{prefix}-"}})
    assert answer.code == 201, answer.message
    return str(answer.body["metadata"]["name"])


@pytest.mark.parametrize("scenario", SCENARIOS, ids=[each.name for each in SCENARIOS])
def test_ours_does_what_kubernetes_does(verdicts: dict[str, Verdict], scenario: Scenario) -> None:
    found = verdicts[scenario.name].unlisted
    print(*verdicts[scenario.name].story, sep="\n")
    assert not found, "\n".join(["differs:", *map(str, found)])


@pytest.mark.parametrize(
    "listed", [each for each in DIFFERENCES if each.always], ids=lambda each: f"{each.scenario} {each.item}"
)
def test_every_listed_difference_is_still_there(verdicts: dict[str, Verdict], listed: Listed) -> None:
    if not any(fnmatch(name, listed.scenario) for name in verdicts):
        pytest.skip("its scenario was not asked for")
    assert any(listed in each.listed for each in verdicts.values()), f"no longer: {listed}"


def test_every_reason_is_in_the_docs() -> None:
    text = (Path(__file__).parents[2] / "docs" / "judge.md").read_text()
    assert not [each.why for each in DIFFERENCES if each.why not in text]
