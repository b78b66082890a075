"""What is meant to differ from Kubernetes' own workloads, and why; docs/judge.md has the same reasons."""

from tests.integration.judge.verdict import PICTURE, Listed

LEAVING = "a guest that is shutting down is not Ready: its own condition says so"
ENDED = "KubeVirt's replica sets delete a guest that has ended; Kubernetes leaves that to its pod garbage collector"
BROKEN = "a guest that does not work, and is of an old template, is replaced; Kubernetes waits for it for ever"
HALFWAY = "the reason depends on which pods a controller has seen when it writes: Kubernetes says now this, now that"
MISSED = (
    "the status of a cron job that was changed meanwhile is refused: the next look misses a job, or does not know one"
)

DIFFERENCES = (
    Listed("statefulset-*", "*", "readyReplicas", "*", "*", LEAVING),
    Listed("statefulset-*", "*", "availableReplicas", "*", "*", LEAVING),
    Listed("daemonset-*", "*", "numberReady", "*", "*", LEAVING),
    Listed("daemonset-*", "*", "numberAvailable", "*", "*", LEAVING),
    Listed("daemonset-*", "*", "numberUnavailable", "*", "*", LEAVING),
    Listed("deployment-loses-a-failed-guest", "*", PICTURE, "Aaf", "Aa", ENDED),
    Listed("deployment-loses-a-failed-guest", "*", PICTURE, "AAf", "AA", ENDED),
    Listed("deployment-loses-a-failed-guest", "*", "moves", "+a", "+a -f", ENDED),
    Listed("statefulset-broken-template", "3 *", PICTURE, "Aa", "Ab", BROKEN),
    Listed("statefulset-broken-template", "3 *", "moves", "", "-a1 +b1", BROKEN),
    Listed("statefulset-broken-template", "3 *", "currentReplicas", "2", "1", BROKEN),
    Listed("statefulset-broken-template", "3 *", "updatedReplicas", "0", "1", BROKEN),
    Listed("deployment-*", "*", "Progressing", "True NewReplicaSet*", "True ReplicaSetUpdated", HALFWAY, always=False),
    Listed("deployment-*", "*", "Progressing", "True ReplicaSetUpdated", "True NewReplicaSet*", HALFWAY, always=False),
    Listed("cronjob-replaces", "end", "events", "* Normal *", "Normal MissingJob *", MISSED, always=False),
    Listed("cronjob-*", "end", "events", "*Warning UnexpectedJob*", "*", MISSED, always=False),
)
