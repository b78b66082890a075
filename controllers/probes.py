"""The guest's probes, as probes of its launcher container: the kubelet asks the guest by the pod's address.

What only the guest's agent can answer is asked by a program in the container (launcher/pod/probe.py).
"""

from hostler.api import launcher
from hostler.api.kubevirt.vmi import Probe, VirtualMachineInstance
from hostler.runtime.protocol import Raw

BOOT = 10  # seconds that a guest has more than its liveness probe says, as in KubeVirt: libvirt comes up first
NETWORK = {"httpGet", "tcpSocket"}


def probes(vmi: VirtualMachineInstance) -> Raw:
    """The container's livenessProbe and readinessProbe, where the VMI has them."""
    given = {"livenessProbe": (vmi.spec.liveness_probe, BOOT), "readinessProbe": (vmi.spec.readiness_probe, 0)}
    return {name: of_container(probe, vmi, delay) for name, (probe, delay) in given.items() if probe is not None}


def of_container(probe: Probe, vmi: VirtualMachineInstance, delay: int) -> Raw:
    """What the kubelet does; its timings are the probe's own."""
    words: Raw = probe.model_dump(mode="json", by_alias=True, exclude_unset=True)
    result = {key: value for key, value in words.items() if key not in ("exec", "guestAgentPing")}
    if delay:
        result["initialDelaySeconds"] = (probe.initial_delay_seconds or 0) + delay
    if not NETWORK & result.keys():
        domain = launcher.domain_name(vmi.metadata.namespace, vmi.metadata.name)
        inside = probe.exec.command if probe.exec else ()
        result["exec"] = {"command": [*launcher.PROBE, domain, str(probe.timeout_seconds or 1), *inside]}
    return result
