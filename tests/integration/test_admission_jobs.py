"""What the API server says of jobs: batch/v1's rules in batch/v1's words."""

from collections.abc import AsyncIterator
from contextlib import nullcontext
from typing import Any

import pytest

from hostler.api.batch import VirtualMachineJob
from hostler.runtime.errors import ApiError
from hostler.runtime.kube import Api, connect
from hostler.runtime.protocol import Raw
from tests.integration.apiserver import ApiServer
from tests.integration.test_jobs import TEMPLATE, job

CLOUD_INIT = {"name": "seed", "cloudInitNoCloud": {"userData": "#!/bin/sh"}}


def path(namespace: str) -> str:
    return f"/apis/hostler.io/v1alpha1/namespaces/{namespace}/virtualmachinejobs"


@pytest.fixture
async def user(hostler: ApiServer) -> AsyncIterator[Api]:
    api = await connect(str(hostler.kubeconfig), "test")
    yield api
    await api.close()


def test_what_is_not_said(hostler: ApiServer, namespace: str) -> None:
    made = hostler.create(path(namespace), job())
    assert made.code == 201, made.message
    spec = made.body["spec"]
    assert (spec["completionMode"], spec["suspend"]) == ("NonIndexed", False)
    assert (spec["parallelism"], spec["completions"]) == (1, 1), "and so it stays, when either changes"
    assert "backoffLimit" not in spec, "it is 6, but none where each index has its own"


NEGATIVE = "must be greater than or equal to 0"
INDEXED: Raw = {"completionMode": "Indexed", "completions": 5}
MANY: Raw = {"completionMode": "Indexed", "completions": 100001, "backoffLimitPerIndex": 1}
HIGH = "when completions are above 100000 and used with backoff limit per index"
CODES: Raw = {"operator": "In", "values": [1]}


def on(action: str = "Count", **rule: Any) -> Raw:
    """A job with one rule for failures."""
    return {"podFailurePolicy": {"rules": [{"action": action} | rule]}}


def won(rule: Raw) -> Raw:
    """A job with one rule for success."""
    return INDEXED | {"successPolicy": {"rules": [rule]}}


@pytest.mark.parametrize(
    ("spec", "field", "says"),
    [
        ({"completions": -1}, "spec.completions", NEGATIVE),
        ({"parallelism": -1}, "spec.parallelism", NEGATIVE),
        ({"backoffLimit": -1}, "spec.backoffLimit", NEGATIVE),
        ({"activeDeadlineSeconds": -1}, "spec.activeDeadlineSeconds", NEGATIVE),
        ({"ttlSecondsAfterFinished": -1}, "spec.ttlSecondsAfterFinished", NEGATIVE),
        ({"backoffLimitPerIndex": -1} | INDEXED, "spec.backoffLimitPerIndex", NEGATIVE),
        ({"maxFailedIndexes": -1, "backoffLimitPerIndex": 1} | INDEXED, "spec.maxFailedIndexes", NEGATIVE),
        ({"completionMode": "Other"}, "spec.completionMode", "Unsupported value"),
        ({"selector": {"matchLabels": {}}}, "spec.selector", "not supported by hostler"),
        ({"manualSelector": True}, "spec.manualSelector", "not supported by hostler"),
        ({"podReplacementPolicy": "Never"}, "spec.podReplacementPolicy", "Unsupported value"),
        (
            {"completionMode": "Indexed", "parallelism": 1},
            "spec.completions: Required value", "when completion mode is Indexed",
        ),
        (
            {"maxFailedIndexes": 1} | INDEXED,
            "spec.backoffLimitPerIndex: Required value", "when maxFailedIndexes is specified",
        ),
        ({"backoffLimitPerIndex": 1}, "spec.backoffLimitPerIndex", "requires indexed completion mode"),
        ({"maxFailedIndexes": 1}, "spec.maxFailedIndexes", "requires indexed completion mode"),
        (
            {"maxFailedIndexes": 6, "backoffLimitPerIndex": 1} | INDEXED,
            "spec.maxFailedIndexes", "must be less than or equal to completions",
        ),
        (
            {"parallelism": 100001} | INDEXED,
            "spec.parallelism", "must be less than or equal to 100000 when completion mode is Indexed",
        ),
        (
            MANY | {"maxFailedIndexes": 100001}, "spec.maxFailedIndexes", "must be less than or equal to 100000",
        ),
        (MANY, "spec.maxFailedIndexes: Required value", "must be specified when completions is above 100000"),
        (
            MANY | {"maxFailedIndexes": 10001}, "spec.maxFailedIndexes", f"must be less than or equal to 10000 {HIGH}",
        ),
        (
            MANY | {"maxFailedIndexes": 1, "parallelism": 10001}, "spec.parallelism",
            f"must be less than or equal to 10000 {HIGH}",
        ),
        ({"managedBy": "kueue"}, "spec.managedBy", 'must be a domain-prefixed path (such as "acme.io/foo")'),
        ({"managedBy": f"acme.io/{'x' * 56}"}, "spec.managedBy", "Too long: may not be more than 63"),
        (on(), "spec.podFailurePolicy.rules[0]", "specifying one of OnExitCodes and OnPodConditions is required"),
        (
            on(onExitCodes=CODES, onPodConditions=[{"type": "DisruptionTarget"}]),
            "spec.podFailurePolicy.rules[0]", "specifying both OnExitCodes and OnPodConditions is not supported",
        ),
        (
            on("FailIndex", onExitCodes=CODES), "spec.podFailurePolicy.rules",
            "requires the backoffLimitPerIndex to be set",
        ),
        (on("Retry", onExitCodes=CODES), "spec.podFailurePolicy.rules[0].action", "Unsupported value"),
        (
            on(onExitCodes=CODES) | {"podReplacementPolicy": "TerminatingOrFailed"}, "spec.podReplacementPolicy",
            'Unsupported value: "TerminatingOrFailed": supported values: "Failed"',
        ),
        (
            on(onExitCodes=CODES | {"containerName": "main"}),
            "spec.podFailurePolicy.rules[0].onExitCodes.containerName",
            "must be one of the container or initContainer names in the pod template",
        ),
        (
            on(onExitCodes=CODES | {"values": []}), "spec.podFailurePolicy.rules[0].onExitCodes.values",
            "at least one value is required",
        ),
        (
            on(onExitCodes=CODES | {"values": [2, 1]}), "spec.podFailurePolicy.rules[0].onExitCodes.values",
            "must be ordered",
        ),
        (
            on(onExitCodes=CODES | {"values": [1, 1]}), "spec.podFailurePolicy.rules[0].onExitCodes.values[1]",
            "Duplicate value",
        ),
        (
            on(onExitCodes=CODES | {"values": [0]}), "spec.podFailurePolicy.rules[0].onExitCodes.values",
            "must not be 0 for the In operator",
        ),
        (
            on(onExitCodes=CODES | {"values": list(range(1, 257))}),
            "spec.podFailurePolicy.rules[0].onExitCodes.values", "Too many: 256: must have at most 255 items",
        ),
        (
            on(onExitCodes=CODES | {"operator": "Near"}), "spec.podFailurePolicy.rules[0].onExitCodes.operator",
            "Unsupported value",
        ),
        (
            on(onPodConditions=[{"type": "a b"}]), "spec.podFailurePolicy.rules[0].onPodConditions[0].type",
            "name part must consist of alphanumeric characters",
        ),
        (
            on(onPodConditions=[{"type": "Ready", "status": "Maybe"}]),
            "spec.podFailurePolicy.rules[0].onPodConditions[0].status", "Unsupported value",
        ),
        (
            {"podFailurePolicy": {"rules": [{"action": "Count", "onExitCodes": CODES}] * 21}},
            "spec.podFailurePolicy.rules", "Too many: 21: must have at most 20 items",
        ),
        (
            {"successPolicy": {"rules": [{"succeededCount": 1}]}}, "spec.successPolicy",
            "requires indexed completion mode",
        ),
        (
            {"successPolicy": {"rules": []}} | INDEXED, "spec.successPolicy.rules: Required value",
            "at least one rules must be specified when the successPolicy is specified",
        ),
        (
            won({}), "spec.successPolicy.rules[0]: Required value",
            "at least one of succeededCount or succeededIndexes must be specified",
        ),
        (won({"succeededCount": -1}), "spec.successPolicy.rules[0].succeededCount", NEGATIVE),
        (
            won({"succeededCount": 6}), "spec.successPolicy.rules",
            "must be less than or equal to 5 (the number of specified completions)",
        ),
        (
            won({"succeededIndexes": "1-2-3"}), "spec.successPolicy.rules[0].succeededIndexes",
            "error parsing succeededIndexes: an index interval can have at most two parts separated by '-'",
        ),
        (
            won({"succeededIndexes": "1,x"}), "spec.successPolicy.rules[0].succeededIndexes",
            "error parsing succeededIndexes: cannot convert string to integer for index",
        ),
        (
            won({"succeededIndexes": "1,3-5"}), "spec.successPolicy.rules",
            'error parsing succeededIndexes: too large index: "5"',
        ),
        (
            won({"succeededIndexes": "3,1-2"}), "spec.successPolicy.rules",
            "error parsing succeededIndexes: non-increasing order",
        ),
        (
            won({"succeededIndexes": "3-2"}), "spec.successPolicy.rules",
            "error parsing succeededIndexes: non-increasing order",
        ),
        (
            won({"succeededIndexes": "1,3-4", "succeededCount": 4}), "spec.successPolicy.rules",
            "must be less than or equal to 3 (the number of indexes in the specified succeededIndexes field)",
        ),
        ({"template": {}}, "spec.template.spec", "missing virtual machine template."),
        ({"env": [{"name": "A"}]}, "spec.env", "env is for script"),
        ({"script": "true", "env": [{"name": "A-B"}]}, "spec.env[0].name", "must be the name of a shell variable: A-B"),
        ({"template": {"spec": {"domain": {"devices": {}}}}}, "spec.template.spec.domain", "no memory requested"),
        (
            {"script": "true", "template": {"spec": TEMPLATE["spec"] | {"volumes": [CLOUD_INIT]}}},
            "spec.script", "script needs cloud-init for itself",
        ),
    ],
)  # fmt: skip
def test_bad_jobs(hostler: ApiServer, namespace: str, spec: Raw, field: str, says: str) -> None:
    answer = hostler.create(path(namespace), job(**spec))
    assert answer.code == 422, answer.body
    assert field in answer.message
    assert says in answer.message


def test_what_batch_has_to_say_of_indexes(hostler: ApiServer, namespace: str) -> None:
    wanted = INDEXED | {
        "backoffLimitPerIndex": 1,
        "maxFailedIndexes": 5,
        "managedBy": "kueue.x-k8s.io/multikueue",
        "podReplacementPolicy": "Failed",
        "podFailurePolicy": {
            "rules": [
                {"action": "FailIndex", "onExitCodes": CODES | {"containerName": "compute"}},
                {"action": "FailJob", "onExitCodes": {"operator": "NotIn", "values": [0, 2, 3221225477]}},
                {"action": "Ignore", "onPodConditions": [{"type": "DisruptionTarget"}]},
            ]
        },
        "successPolicy": {"rules": [{"succeededIndexes": "0,2-4", "succeededCount": 4}, {"succeededCount": 5}]},
    }
    made = hostler.create(path(namespace), job(**wanted))
    assert made.code == 201, made.message
    last = made.body["spec"]["podFailurePolicy"]["rules"][2]
    assert last["onPodConditions"] == [{"type": "DisruptionTarget", "status": "True"}]


def test_names_and_the_last_index_are_a_host_name(hostler: ApiServer, namespace: str) -> None:
    wide = {"completionMode": "Indexed", "completions": 101}
    assert hostler.create(path(namespace), job("x" * 59, **wide)).code == 201
    for name in ("x" * 60, "a.b"):
        answer = hostler.create(path(namespace), job(name, **wide))
        assert answer.code == 422
        assert f"will not able to create pod with invalid DNS label: {name}-100" in answer.message


def test_an_index_that_nobody_asked_for_is_in_the_host_name_too(hostler: ApiServer, namespace: str) -> None:
    answer = hostler.create(path(namespace), job("a.b", completionMode="Indexed"))
    assert (answer.code, "invalid DNS label: a.b-0" in answer.message) == (422, True)


@pytest.mark.parametrize(
    ("given", "change", "kept"),
    [
        pytest.param({}, {"parallelism": 2}, (1, 2), id="one guest stays one"),
        pytest.param({}, {"completions": 1}, (1, 1), id="to say what is so"),
        pytest.param({"parallelism": 2}, {"parallelism": 3}, (None, 3), id="a work queue stays one"),
        pytest.param({"completions": 3}, {"parallelism": 2}, (3, 2), id="only parallelism was not said"),
        pytest.param({"completionMode": "Indexed"}, {"parallelism": 0}, (1, 0), id="an index can be paused"),
    ],
)
async def test_sizes_that_were_not_said(user: Api, namespace: str, given: Raw, change: Raw, kept: Any) -> None:
    await user.create(VirtualMachineJob, namespace, job(**given))
    spec = (await user.patch(VirtualMachineJob, namespace, "sum", {"spec": change}))["spec"]
    assert (spec.get("completions"), spec["parallelism"]) == kept


def test_names_are_labels_too(hostler: ApiServer, namespace: str) -> None:
    assert hostler.create(path(namespace), job("x" * 63)).code == 201
    answer = hostler.create(path(namespace), job("x" * 64))
    assert (answer.code, "metadata.name: must be no more than 63 characters" in answer.message) == (422, True)


@pytest.mark.parametrize(
    ("change", "field"),
    [
        ({"completions": 5}, "spec.completions"),
        ({"script": "false"}, "spec.script"),
        ({"env": [{"name": "A", "value": "2"}]}, "spec.env"),
        ({"template": {"spec": {"domain": {"memory": {"guest": "65Mi"}}}}}, "spec.template"),
        ({"template": {"metadata": {"labels": {"a": "b"}}}}, "spec.template"),
        ({"completionMode": "Indexed"}, "spec.completionMode"),
        ({"managedBy": "acme.io/foo"}, "spec.managedBy"),
        (on(onExitCodes=CODES), "spec.podFailurePolicy"),
    ],
)
async def test_what_may_not_change(user: Api, hostler: ApiServer, namespace: str, change: Raw, field: str) -> None:
    hostler.create(path(namespace), job(script="true", completions=3, env=[{"name": "A", "value": "1"}]))
    with pytest.raises(ApiError) as refused:
        await user.patch(VirtualMachineJob, namespace, "sum", {"spec": change})
    assert field in str(refused.value)
    assert "field is immutable" in str(refused.value)


@pytest.mark.parametrize(
    ("change", "says"),
    [
        (
            {"completions": 6},
            "spec.completions: Invalid value: can only be modified in tandem with spec.parallelism",
        ),
        ({"completions": 6, "parallelism": 5}, "can only be modified in tandem with spec.parallelism"),
        ({"backoffLimitPerIndex": 2}, "spec.backoffLimitPerIndex: Invalid value: field is immutable"),
        (
            {"successPolicy": {"rules": [{"succeededCount": 2}]}},
            "spec.successPolicy: Invalid value: field is immutable",
        ),
        ({"completions": 6, "parallelism": 6}, ""),
        ({"completions": 2, "parallelism": 2}, ""),
    ],
)
async def test_an_elastic_job(user: Api, hostler: ApiServer, namespace: str, change: Raw, says: str) -> None:
    policy = {"rules": [{"succeededCount": 1}]}
    hostler.create(path(namespace), job(backoffLimitPerIndex=1, successPolicy=policy, **INDEXED))
    expected = pytest.raises(ApiError, match=says) if says else nullcontext()
    with expected:
        await user.patch(VirtualMachineJob, namespace, "sum", {"spec": change})


AFFINITY: Raw = {"requiredDuringSchedulingIgnoredDuringExecution": {"nodeSelectorTerms": [{}]}}
PLACED: Raw = {
    "metadata": {"labels": {"queue": "a"}, "annotations": {"b": "c"}},
    "spec": {
        "nodeSelector": {"zone": "a"},
        "tolerations": [{"key": "gpu", "operator": "Exists"}],
        "affinity": {"nodeAffinity": AFFINITY},
    },
}


async def test_a_job_that_sleeps_may_be_sent_elsewhere(user: Api, hostler: ApiServer, namespace: str) -> None:
    """Until it has run; and what its guests are may not change even then."""

    async def change(template: Raw) -> bool:
        try:
            await user.patch(VirtualMachineJob, namespace, "sum", {"spec": {"template": template}})
        except ApiError as refused:
            if "spec.template: Invalid value: field is immutable" in str(refused):
                return False
            raise
        return True

    hostler.create(path(namespace), job(suspend=True))
    assert await change(PLACED)
    assert await change({"spec": {"nodeSelector": None, "affinity": None}})
    assert not await change({"spec": {"domain": {"memory": {"guest": "65Mi"}}}})
    assert not await change({"spec": {"hostname": "other"}})
    assert not await change({"spec": {"affinity": {"podAffinity": {}}}})
    started: Raw = {"status": {"startTime": "2026-06-01T12:00:00Z"}}
    await user.patch(VirtualMachineJob, namespace, "sum", started, "status")
    assert not await change(PLACED)
    await user.patch(VirtualMachineJob, namespace, "sum", {"status": {"startTime": None}}, "status")
    assert await change(PLACED)
    await user.patch(VirtualMachineJob, namespace, "sum", {"spec": {"suspend": False}})
    assert not await change({"spec": {"nodeSelector": {"zone": "b"}}})


async def test_what_may_change(user: Api, hostler: ApiServer, namespace: str) -> None:
    hostler.create(path(namespace), job())
    change = {"parallelism": 3, "suspend": True, "backoffLimit": 1, "activeDeadlineSeconds": 9}
    await user.patch(VirtualMachineJob, namespace, "sum", {"spec": change | {"ttlSecondsAfterFinished": 1}})
