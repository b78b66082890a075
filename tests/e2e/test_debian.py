"""A whole Debian with systemd: cloud-init sets it up, its agent talks to us, and it ends by its power button."""

import time

from tests.e2e import seen
from tests.e2e.manifests import vmi

# the answer is worked out in the guest, so that an echo of what we wrote is not taken for it
USER_DATA = """#cloud-config
runcmd:
  - [sh, -c, "echo hostler-test: $(hostname) counts $((6 * 7)) > /dev/ttyS0"]
  - [touch, /run/all-done]
"""


def test_debian_boots_with_cloud_init_and_its_agent_and_powers_off(kubectl, namespace, debian):
    devices = {
        "disks": [{"name": name, "disk": {"bus": "virtio"}} for name in ("root", "seed")],
        "interfaces": [{"name": "default", "masquerade": {}}],
        "rng": {},
    }
    volumes = [
        {"name": "root", "containerDisk": {"image": debian}},
        {"name": "seed", "cloudInitNoCloud": {"userData": USER_DATA}},
    ]
    domain = {"memory": {"guest": "512Mi"}, "devices": devices}
    # the guest makes the file at its very end: by then the agent answers for long
    probe = {"exec": {"command": ["test", "-e", "/run/all-done"]}, "periodSeconds": 2, "timeoutSeconds": 10}
    guest = vmi("trixie", domain=domain, volumes=volumes, readinessProbe=probe, terminationGracePeriodSeconds=240)
    kubectl.apply(namespace, guest)
    kubectl("wait", "-n", namespace, "--for=condition=AgentConnected", "vmi/trixie", "--timeout=600s")
    kubectl("wait", "-n", namespace, "--for=condition=Ready", "vmi/trixie", "--timeout=600s")
    assert "counts 42" in seen.console(kubectl, namespace, "trixie", "hostler-test: trixie", 60)

    def told():
        status = seen.get(kubectl, namespace, "vmi", "trixie")["status"]
        return status.get("guestOSInfo", {}).get("id") == "debian" and status["interfaces"][0]

    interface = seen.until("the agent tells the system and its addresses", told)
    assert interface["ipAddress"]
    pod = seen.launcher_pod(kubectl, namespace, "trixie")["metadata"]["name"]
    started = time.monotonic()
    kubectl("delete", "-n", namespace, "vmi", "trixie", "--timeout=300s")
    assert time.monotonic() - started < 230, f"{pod}: it was destroyed, not shut down"
