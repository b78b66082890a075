"""What is meant to differ from Kubernetes' own workloads, and why; docs/judge.md says the same to users."""

from tests.integration.judge.verdict import PICTURE, Listed

LEAVING = "a guest that is shutting down is not Ready: its own condition says so"
DIFFERENCES = (
    Listed("statefulset-*", "*", "readyReplicas", "*", "*", LEAVING),
    Listed("statefulset-*", "*", "availableReplicas", "*", "*", LEAVING),
    Listed(
        "deployment-loses-a-failed-guest",
        "*",
        PICTURE,
        "Aaf",
        "Aa",
        "KubeVirt's replica sets delete a guest that has ended; Kubernetes' leave that to the pod garbage collector",
    ),
    Listed(
        "deployment-loses-a-failed-guest",
        "*",
        PICTURE,
        "AAf",
        "AA",
        "as before",
    ),
    Listed("deployment-loses-a-failed-guest", "*", "moves", "+a", "+a -f", "as before"),
    Listed(
        "statefulset-broken-template",
        "*",
        PICTURE,
        "Aa",
        "Ab",
        "a guest that does not work, and is of an old template, is replaced: Kubernetes waits for it for ever",
    ),
    Listed("statefulset-broken-template", "*", "*", "*", "*", "as before"),
    Listed(
        "deployment-recreated",
        "* gone",
        "Progressing",
        "True NewReplicaSetAvailable",
        "True ReplicaSetUpdated",
        "Kubernetes says this, too, when it sees the old set with some of its pods gone",
        always=False,
    ),
)
