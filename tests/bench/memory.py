"""Memory of one VM beyond QEMU and its guest, and what the pod asks for, beside what KubeVirt accounts.

KubeVirt 1.9 accounts 240 MiB fixed + 8 a vCPU + 32 for graphics + guest/512 for the same guest, whatever is used.
"""

import argparse
import statistics
import time
from typing import Any

from tests.bench import guests, process, report
from tests.bench.kubectl import Kubectl

NAMESPACE = "default"
GUESTS = 3
SETTLE = 20  # seconds after the first line: libvirtd gives back what starting took


def run(_options: argparse.Namespace) -> None:
    kubectl = Kubectl()
    node = guests.nodes(kubectl)[0]
    names = [f"bench-memory-{i}" for i in range(GUESTS)]
    try:
        samples = [_measure(kubectl, name, node) for name in names]
    finally:
        kubectl("delete", "vmi", "-n", NAMESPACE, *names, "--ignore-not-found", "--wait=true")
    result = summary(samples)
    report.write("memory", result)
    print(_table(result))


def summary(samples: list[dict[str, float]]) -> dict[str, Any]:
    medians = {key: round(statistics.median(sample[key] for sample in samples), 1) for key in samples[0]}
    kubevirt = 240 + 8 + 32 + guests.MEMORY_MIB / 512
    accounted = medians["pod_request_mib"] - guests.MEMORY_MIB
    ratio = round(accounted / kubevirt, 2)
    return {
        "guests": len(samples),
        **medians,
        "accounted_mib": accounted,
        "kubevirt_accounts_mib": kubevirt,
        "ratio": ratio,
    }


def _measure(kubectl: Kubectl, name: str, node: str) -> dict[str, float]:
    kubectl.apply(guests.vmi(name, node), namespace=NAMESPACE)
    pod = guests.pod_of(kubectl, name, NAMESPACE)
    guests.console_line(kubectl, pod["metadata"]["name"], NAMESPACE, guests.FIRST_LINE)
    time.sleep(SETTLE)
    found = guests.processes(pod["metadata"]["uid"])
    qemu = [pid for pid, program in found.items() if program.startswith("qemu-system")]
    rest = [pid for pid in found if pid not in qemu]
    request = pod["spec"]["containers"][0]["resources"]["requests"]["memory"]
    return {
        "beyond_qemu_pss_mib": sum(process.proportional_mib(pid) for pid in rest),
        "beyond_qemu_rss_mib": sum(process.resident_mib(pid) for pid in rest),
        "qemu_rss_mib": sum(process.resident_mib(pid) for pid in qemu),
        "pod_request_mib": mebibytes(request),
    } | {f"{program}_rss_mib": process.resident_mib(pid) for pid, program in found.items()}


def mebibytes(quantity: str) -> float:
    """A Kubernetes quantity of memory in MiB."""
    units = {"Ki": 2**10, "Mi": 2**20, "Gi": 2**30, "k": 10**3, "M": 10**6, "G": 10**9, "": 1}
    number = quantity.rstrip("KMGTikm")
    return float(number) * units[quantity[len(number) :]] / 2**20


def _table(result: dict[str, Any]) -> str:
    rows: list[tuple[object, ...]] = [
        (
            "accounted beyond the guest's memory, MiB",
            result["accounted_mib"],
            result["kubevirt_accounts_mib"],
            result["ratio"],
        ),
        ("libvirtd, PID 1, pause: PSS, MiB", result["beyond_qemu_pss_mib"], "-", "-"),
        ("libvirtd, PID 1, pause: RSS, MiB", result["beyond_qemu_rss_mib"], "-", "-"),
        ("QEMU with its guest: RSS, MiB", result["qemu_rss_mib"], "-", "-"),
    ]
    rows += [
        (f"  {key}", value, "-", "-")
        for key, value in result.items()
        if key.endswith("_rss_mib") and key not in ("beyond_qemu_rss_mib", "qemu_rss_mib")
    ]
    title = f"memory: one VM of {guests.MEMORY_MIB} MiB, median of {result['guests']}"
    return report.table(title, ("what", "hostler", "KubeVirt accounts", "ratio"), rows)
