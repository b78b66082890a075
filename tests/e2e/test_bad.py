"""Bad input shows where the user looks, and disturbs nobody."""

import json

from tests.e2e import seen
from tests.e2e.manifests import vmi


def test_wrong_image_and_missing_claim_show_and_disturb_nobody(kubectl, namespace):
    no_image = vmi("no-image", volumes=[{"name": "root", "containerDisk": {"image": "docker.io/hostler/nothing:1"}}])
    no_claim = vmi("no-claim", volumes=[{"name": "root", "persistentVolumeClaim": {"claimName": "absent"}}])
    for guest in (no_image, no_claim, vmi("good")):
        kubectl("apply", "-n", namespace, "-f", "-", stdin=json.dumps(guest))
    kubectl("wait", "-n", namespace, "--for=condition=Ready", "vmi/good", "--timeout=120s")

    def told(name: str, text: str) -> bool:
        conditions = seen.get(kubectl, namespace, "vmi", name).get("status", {}).get("conditions", [])
        return any(text in f"{c.get('reason')} {c.get('message')}" for c in conditions if c["status"] == "False")

    seen.until("the missing claim is told", lambda: told("no-claim", "absent"))
    seen.until("the wrong image is told", lambda: told("no-image", "nothing:1"))
    seen.until(
        "an event says so, too",
        lambda: any("absent" in message for _, message in seen.events(kubectl, namespace, "no-claim")),
        60,
    )
    kubectl("delete", "-n", namespace, "vmi", "no-image", "no-claim", "--timeout=120s")
    assert seen.running(kubectl, namespace, "app=good") == ["good"]
