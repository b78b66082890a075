"""The API server's own words on apps/v1 and batch/v1 as the judge of ours: the same wrong spec, on both sides.

Everything that it has against a Deployment is to be said of a VirtualMachineDeployment too, at the same field, in the
same words; but for LISTED.
"""

import re
from fnmatch import fnmatchcase
from typing import Any, NamedTuple

import pytest

from tests.integration.apiserver import Answer, ApiServer, Raw

APP = {"app": "x"}
POD: Raw = {"containers": [{"name": "compute", "image": "guest"}]}
VMI: Raw = {"domain": {"memory": {"guest": "64Mi"}, "devices": {}}}
CRON = "CronJob"

INDEXED: Raw = {"completionMode": "Indexed", "completions": 5, "parallelism": 1}
MANY: Raw = {"completionMode": "Indexed", "completions": 100001, "backoffLimitPerIndex": 1}
CODES: Raw = {"operator": "In", "values": [1]}
LOST: Raw = {"type": "DisruptionTarget", "status": "True"}


def rolling(**numbers: Any) -> Raw:
    return {"type": "RollingUpdate", "rollingUpdate": numbers}


def on(action: str = "Count", **rule: Any) -> Raw:
    return {"podFailurePolicy": {"rules": [{"action": action} | rule]}}


def won(*rules: Raw) -> Raw:
    return INDEXED | {"successPolicy": {"rules": list(rules)}}


def labelled(**labels: str) -> Raw:
    return {"selector": {"matchLabels": labels}}


def claims(storage: str) -> Raw:
    spec = {"accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": storage}}}
    return {"volumeClaimTemplates": [{"metadata": {"name": "data"}, "spec": spec}]}


SELECTING: tuple[Raw, ...] = (
    {"selector": {}},
    {"selector": None},
    labelled(app="y"),
    {"selector": {"matchExpressions": [{"key": "app", "operator": "In", "values": ["y"]}]}},
    {"selector": {"matchExpressions": [{"key": "app", "operator": "In"}]}},
    {"selector": {"matchExpressions": [{"key": "app", "operator": "Exists", "values": ["x"]}]}},
    {"selector": {"matchExpressions": [{"key": "app", "operator": "Is"}]}},
    labelled(app="not a value"),
    {"minReadySeconds": -1},
)
WRONG: dict[str, tuple[Raw, ...]] = {
    "Deployment": (
        *SELECTING,
        {"replicas": -1},
        {"revisionHistoryLimit": -1},
        {"progressDeadlineSeconds": -1},
        {"progressDeadlineSeconds": 5, "minReadySeconds": 5},
        {"minReadySeconds": 600},
        {"strategy": {"type": "Other"}},
        {"strategy": {"type": "Recreate", "rollingUpdate": {"maxSurge": 1}}},
        {"strategy": rolling(maxSurge=0, maxUnavailable=0)},
        {"strategy": rolling(maxSurge="0%", maxUnavailable=0)},
        {"strategy": rolling(maxSurge="5")},
        {"strategy": rolling(maxSurge="x%")},
        {"strategy": rolling(maxSurge=-1)},
        {"strategy": rolling(maxUnavailable=-1)},
        {"strategy": rolling(maxUnavailable="101%")},
    ),
    "StatefulSet": (
        *SELECTING,
        {"replicas": -1},
        {"podManagementPolicy": "Other"},
        {"updateStrategy": {"type": "Other"}},
        {"updateStrategy": {"type": "OnDelete", "rollingUpdate": {"partition": 1}}},
        {"updateStrategy": rolling(partition=-1)},
        {"updateStrategy": rolling(maxUnavailable=0)},
        {"updateStrategy": rolling(maxUnavailable="0%")},
        {"updateStrategy": rolling(maxUnavailable=-1)},
        {"updateStrategy": rolling(maxUnavailable="101%")},
        {"updateStrategy": rolling(maxUnavailable="x")},
        {"ordinals": {"start": -1}},
        {"persistentVolumeClaimRetentionPolicy": {"whenDeleted": "Keep", "whenScaled": "Retain"}},
        {"persistentVolumeClaimRetentionPolicy": {"whenDeleted": "Retain", "whenScaled": "Keep"}},
        {"serviceName": "Not A Name"},
    ),
    "DaemonSet": (
        *SELECTING,
        {"revisionHistoryLimit": -1},
        {"updateStrategy": {"type": "Other"}},
        {"updateStrategy": rolling(maxSurge=0, maxUnavailable=0)},
        {"updateStrategy": rolling(maxSurge=1, maxUnavailable=1)},
        {"updateStrategy": rolling(maxSurge="x")},
        {"updateStrategy": rolling(maxUnavailable=-1)},
        {"updateStrategy": rolling(maxUnavailable="101%")},
        {"updateStrategy": rolling(maxSurge="101%", maxUnavailable=0)},
    ),
    "Job": (
        *(
            {field: -1}
            for field in (
                "completions",
                "parallelism",
                "backoffLimit",
                "activeDeadlineSeconds",
                "ttlSecondsAfterFinished",
            )
        ),
        INDEXED | {"backoffLimitPerIndex": -1},
        INDEXED | {"backoffLimitPerIndex": 1, "maxFailedIndexes": -1},
        {"completionMode": "Other"},
        {"podReplacementPolicy": "Never"},
        {"completionMode": "Indexed", "parallelism": 1},
        {"backoffLimitPerIndex": 1},
        {"maxFailedIndexes": 1},
        INDEXED | {"maxFailedIndexes": 1},
        INDEXED | {"backoffLimitPerIndex": 1, "maxFailedIndexes": 6},
        INDEXED | {"parallelism": 100001},
        MANY,
        MANY | {"maxFailedIndexes": 100001},
        MANY | {"maxFailedIndexes": 10001},
        MANY | {"maxFailedIndexes": 1, "parallelism": 10001},
        {"managedBy": "kueue"},
        {"managedBy": "acme.io/a b"},
        {"managedBy": f"acme.io/{'x' * 56}"},
        on(),
        on(onExitCodes=CODES, onPodConditions=[LOST]),
        on("FailIndex", onExitCodes=CODES),
        on("Retry", onExitCodes=CODES),
        on(onExitCodes=CODES) | {"podReplacementPolicy": "TerminatingOrFailed"},
        on(onExitCodes=CODES | {"containerName": "main"}),
        on(onExitCodes=CODES | {"values": []}),
        on(onExitCodes=CODES | {"values": [2, 1]}),
        on(onExitCodes=CODES | {"values": [1, 1]}),
        on(onExitCodes=CODES | {"values": [0]}),
        on(onExitCodes=CODES | {"operator": "Other"}),
        on(onExitCodes=CODES | {"values": list(range(1, 257))}),
        on(onPodConditions=[LOST | {"type": "not a name"}]),
        on(onPodConditions=[LOST | {"status": "Perhaps"}]),
        {"podFailurePolicy": {"rules": [{"action": "Count", "onPodConditions": [LOST]}] * 21}},
        won(),
        won({}),
        won({"succeededCount": -1}),
        won({"succeededCount": 6}),
        won({"succeededIndexes": "5"}),
        won({"succeededIndexes": "3-1"}),
        won({"succeededIndexes": "1,1"}),
        won({"succeededIndexes": "1-2-3"}),
        won({"succeededIndexes": "a"}),
        won({"succeededIndexes": "0-1", "succeededCount": 3}),
        {"successPolicy": {"rules": [{"succeededCount": 1}]}},
        INDEXED | {"successPolicy": {"rules": [{"succeededCount": 1}] * 21}},
    ),
    CRON: (
        {"schedule": ""},
        {"schedule": "* * * *"},
        {"schedule": "60 * * * *"},
        {"schedule": "30-10 * * * *"},
        {"schedule": "0 0 * * fri-sun"},
        {"schedule": "TZ=Europe/Berlin 0 * * * *"},
        {"timeZone": "Europe/Nowhere"},
        {"timeZone": "Local"},
        {"timeZone": ""},
        {"concurrencyPolicy": "Sometimes"},
        {"startingDeadlineSeconds": -1},
        {"successfulJobsHistoryLimit": -1},
        {"failedJobsHistoryLimit": -1},
    ),
}
RIGHT: dict[str, tuple[Raw, ...]] = {
    "Deployment": (
        {"minReadySeconds": 599},
        {"strategy": rolling(maxSurge="150%", maxUnavailable="100%")},
        {"strategy": rolling(maxSurge=0)},
        {"selector": {"matchExpressions": [{"key": "tier", "operator": "DoesNotExist"}]}},
    ),
    "StatefulSet": ({"updateStrategy": rolling(partition=9)}, {"ordinals": {"start": 7}}, {"serviceName": ""}),
    "DaemonSet": ({"updateStrategy": rolling(maxSurge=1, maxUnavailable=0)},),
    "Job": (
        {"completionMode": "Indexed"},
        {"parallelism": 0},
        INDEXED | {"backoffLimitPerIndex": 1, "maxFailedIndexes": 5},
        on(onExitCodes=CODES | {"operator": "NotIn", "values": [0]}),
        won({"succeededIndexes": "0,2-4", "succeededCount": 4}),
        {"managedBy": "acme.io/foo"},
    ),
    CRON: ({"schedule": "@hourly"}, {"schedule": "*/5 8-17,20-20/2 * jan-dec MON-fri"}, {"timeZone": "Europe/Berlin"}),
}
CHANGED: dict[str, tuple[tuple[Raw, Raw], ...]] = {
    "Deployment": (({}, labelled(app="x", tier="y")),),
    "DaemonSet": (({}, labelled(app="x", tier="y")),),
    "StatefulSet": (
        ({}, labelled(app="x", tier="y")),
        ({}, {"serviceName": "other"}),
        ({}, {"podManagementPolicy": "Parallel"}),
        (claims("1Gi"), claims("2Gi")),
    ),
    "Job": (
        ({"completions": 2}, {"completions": 3}),
        ({}, {"completions": 2}),
        ({"parallelism": 3}, {"parallelism": None}),
        (INDEXED, {"completions": 6}),
        (INDEXED, {"completionMode": "NonIndexed"}),
        (INDEXED, {"backoffLimitPerIndex": 1}),
        (INDEXED | {"podReplacementPolicy": "Failed"}, {"podFailurePolicy": on(onExitCodes=CODES)["podFailurePolicy"]}),
        (INDEXED, {"successPolicy": {"rules": [{"succeededCount": 1}]}}),
        ({}, {"managedBy": "acme.io/foo"}),
        ({}, {"template": {"metadata": {"annotations": {"a": "b"}}}}),
    ),
    CRON: (({}, {"schedule": "x"}), ({"timeZone": "Etc/UTC"}, {"timeZone": "Europe/Nowhere"})),
}


class Listed(NamedTuple):
    """What the API server says of Kubernetes' kind, and ours in another way."""

    field: str  # a pattern
    theirs: str  # a pattern of what it says
    ours: str  # a part of what is said of ours instead, at whatever field
    why: str


SCHEMA = "the schema names the very field, and lists the values itself"
ONCE = "said once, at the field that is wrong"
WHOLE = "a rule that needs the whole spec can name a list, but none of its items"
REGEX = "a regular expression reads it, and says what would be right"
NUMBER = "what is neither a number nor a percentage is not 0"

LISTED = (
    Listed("spec.selector", "*: invalid label selector", "", ONCE),
    Listed("spec.selector", "Invalid value: {*}", "", ONCE),
    Listed("spec.template.metadata.labels", "*does not match template*", "Required value", ONCE),
    Listed("spec.strategy", "Unsupported value: *", "Unsupported value", SCHEMA),
    Listed("spec.updateStrategy", "*", "Unsupported value", SCHEMA),
    Listed("spec.podManagementPolicy", "*must be 'OrderedReady' or 'Parallel'", "Unsupported value", SCHEMA),
    Listed("spec.updateStrategy.rollingUpdate.maxUnavailable", '*"x": cannot be 0', "a valid percent string", NUMBER),
    Listed("spec.managedBy", "*Invalid path*", "must be a domain-prefixed path", REGEX),
    Listed("spec.schedule", "*beyond end of range*", "beyond end of range", REGEX),
    Listed("spec.schedule", "*", "must be five fields as in", REGEX),
    Listed("spec.podFailurePolicy.rules[[]0].action", "*backoffLimitPerIndex*", "backoffLimitPerIndex", WHOLE),
    Listed("spec.podFailurePolicy.rules[[]0].onExitCodes.values[[]0]", "*must not be 0*", "must not be 0", WHOLE),
    Listed("spec.successPolicy.rules[[]0].succeededCount", "*less than or equal to*", "less than or equal to", WHOLE),
    Listed("spec.successPolicy.rules[[]0].succeededIndexes", "*too large index*", "too large index", WHOLE),
    Listed("spec.successPolicy.rules[[]0].succeededIndexes", "*non-increasing order*", "non-increasing order", WHOLE),
    Listed("spec.successPolicy.rules[[]0].succeededIndexes", "*at most two parts*", "at most two parts", REGEX),
    Listed("spec.successPolicy.rules[[]0].succeededIndexes", "*convert string*", "cannot convert string", REGEX),
)


def body(kind: str, spec: Raw, *, ours: bool) -> Raw:
    """An object of either side with this spec, and with what else it must have."""
    if kind == CRON:
        job = body("Job", spec.get("jobTemplate", {}), ours=ours)["spec"]
        return named(kind, {"schedule": "0 0 1 1 *", "jobTemplate": {"spec": job}} | spec, ours=ours)
    guest: Raw = VMI if ours else POD | ({"restartPolicy": "Never"} if kind == "Job" else {})
    template = {"metadata": {"labels": APP}, "spec": dict(guest)}
    if "volumeClaimTemplates" in spec and ours:
        template["spec"] = {
            "domain": {"memory": {"guest": "64Mi"}, "devices": {"disks": [{"name": "data", "disk": {}}]}}
        }
    base: Raw = {} if kind == "Job" else labelled(**APP)
    whole = {key: value for key, value in (base | spec).items() if value is not None}
    return named(kind, whole | {"template": template}, ours=ours)


def group(kind: str, *, ours: bool) -> str:
    return "hostler.io/v1alpha1" if ours else "batch/v1" if kind in ("Job", CRON) else "apps/v1"


def named(kind: str, spec: Raw, *, ours: bool) -> Raw:
    whole = f"VirtualMachine{kind}" if ours else kind
    return {"apiVersion": group(kind, ours=ours), "kind": whole, "metadata": {"name": "x"}, "spec": spec}


def place(kind: str, namespace: str, *, ours: bool) -> str:
    plural = f"{'virtualmachine' if ours else ''}{kind.lower()}s"
    return f"/apis/{group(kind, ours=ours)}/namespaces/{namespace}/{plural}"


Causes = list[tuple[str, str]]


def causes(answer: Answer) -> Causes:
    """A policy's refusal has the field in its text."""
    denied = re.search(r"denied request: (spec\S*): (.*)", answer.message, re.S)
    return [(denied[1], denied[2])] if denied else answer.causes


def unsaid(theirs: Causes, ours: Causes) -> Causes:
    """What theirs says and ours does not, at the same field, and which is not listed."""
    return [each for each in theirs if not any(same(each, said) for said in ours) and not listed(each, ours)]


def same(theirs: tuple[str, str], ours: tuple[str, str]) -> bool:
    """The same sort of error with the same words; the value between them may be written in another way."""
    sort, _, rest = theirs[1].partition(": ")
    words = rest.partition(": ")[2] if sort == "Invalid value" else rest
    if sort == "Unsupported value":
        return theirs[0] == ours[0] and sorted(values(theirs[1])) == sorted(values(ours[1]))
    return theirs[0] == ours[0] and ours[1].startswith(sort) and words in ours[1]


def values(text: str) -> list[str]:
    return re.findall(r'"(.*?)"', text)


def listed(theirs: tuple[str, str], ours: Causes) -> bool:
    found = {
        each
        for each in LISTED
        if fnmatchcase(theirs[0], each.field)
        and fnmatchcase(theirs[1], each.theirs)
        and any(each.ours in text for _, text in ours)
    }
    SEEN.update(found)
    return bool(found)


SEEN: set[Listed] = set()


def shown(spec: Any) -> str:
    return str(spec).replace("'", "").replace(" ", "")[:90]


@pytest.mark.parametrize(
    ("kind", "spec"),
    [pytest.param(kind, spec, id=f"{kind}-{shown(spec)}") for kind, specs in WRONG.items() for spec in specs],
)
def test_wrong_from_the_start(hostler: ApiServer, namespace: str, kind: str, spec: Raw) -> None:
    theirs, ours = (
        hostler.create(place(kind, namespace, ours=each), body(kind, spec, ours=each), dryRun="All")
        for each in (False, True)
    )
    assert theirs.code == 422, f"Kubernetes takes it: {theirs.message}"
    assert ours.code == 422, f"ours does not mind: {ours.message}; Kubernetes says {theirs.causes}"
    left = unsaid(theirs.causes, causes(ours))
    assert not left, f"\nnot said: {left}\nsaid:     {causes(ours)}"


@pytest.mark.parametrize(
    ("kind", "spec", "change"),
    [
        pytest.param(kind, spec, change, id=f"{kind}-{shown(change)}")
        for kind, changes in CHANGED.items()
        for spec, change in changes
    ],
)
def test_wrong_to_change(hostler: ApiServer, namespace: str, kind: str, spec: Raw, change: Raw) -> None:
    answers = []
    for ours in (False, True):
        path = place(kind, namespace, ours=ours)
        made = hostler.create(path, body(kind, spec, ours=ours))
        assert made.code == 201, made.message
        answers.append(hostler.merge(f"{path}/x", {"spec": change}))
        hostler.request("DELETE", f"{path}/x")
    theirs, own = answers
    assert theirs.code == 422, f"Kubernetes takes it: {theirs.message}"
    assert own.code == 422, f"ours does not mind; Kubernetes says {theirs.causes}"
    left = unsaid(theirs.causes, causes(own))
    assert not left, f"\nnot said: {left}\nsaid:     {causes(own)}"


@pytest.mark.parametrize(
    ("kind", "spec"),
    [pytest.param(kind, spec, id=f"{kind}-{shown(spec)}") for kind, specs in RIGHT.items() for spec in specs],
)
def test_right(hostler: ApiServer, namespace: str, kind: str, spec: Raw) -> None:
    """What Kubernetes takes, ours takes."""
    for ours in (False, True):
        answer = hostler.create(place(kind, namespace, ours=ours), body(kind, spec, ours=ours), dryRun="All")
        assert answer.code == 201, answer.message


def test_every_listed_difference_is_still_there(request: pytest.FixtureRequest) -> None:
    cases = sum(map(len, WRONG.values())) + sum(map(len, CHANGED.values()))
    ran = [item for item in request.session.items if item.name.startswith("test_wrong")]
    if len(ran) < cases:
        pytest.skip("some of the cases were not asked for")
    assert not [(each.field, each.theirs) for each in LISTED if each not in SEEN]
