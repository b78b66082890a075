"""Start, stop, restart: KubeVirt's answers, word by word, and what is written."""

import pytest

from gateway import checks, lifecycle
from gateway.refusals import Refusal
from hostler.api.kubevirt.vm import VirtualMachine
from tests.unit import make

CONFLICT = 'Operation cannot be fulfilled on virtualmachine.kubevirt.io "web": '


def vm(strategy: str | None = "Manual", running: bool | None = None, requests: list | None = None, status: bool = True):
    spec = {"template": {"spec": {"domain": {"devices": {}}}}}
    spec |= {"runStrategy": strategy} if strategy else {"running": running}
    body = {"metadata": make.meta("web"), "spec": spec}
    return VirtualMachine.read(body | ({"status": {"stateChangeRequests": requests or []}} if status else {}))


def told(writes) -> list[str]:
    """A patch in a line: `spec/runStrategy=Always`."""
    lines = []
    for write in writes:
        ops = [op for op in write.ops if op["op"] != "test"]
        lines += [f"{write.target.kind()}{op['path']}={value(op['value'])}" for op in ops]
    return lines


def value(found) -> str:
    if isinstance(found, list):
        return "+".join(each["action"] + (f"({each['uid']})" if "uid" in each else "") for each in found)
    return str(found)


@pytest.mark.parametrize(
    ("machine", "vmi", "paused", "expected"),
    [
        pytest.param(vm("Halted"), None, False, ["VirtualMachine/spec/runStrategy=Always"], id="halted"),
        pytest.param(vm(None, running=False), None, False, ["VirtualMachine/spec/running=True"], id="running: false"),
        pytest.param(vm("Halted"), None, True, ["VirtualMachine/status/stateChangeRequests=Start"], id="paused"),
        pytest.param(vm("Manual"), None, False, ["VirtualMachine/status/stateChangeRequests=Start"], id="manual"),
        pytest.param(
            vm("Manual"),
            make.vmi("web", "Failed"),
            False,
            ["VirtualMachine/status/stateChangeRequests=Stop(uid-web)+Start"],
            id="manual, after it ended",
        ),
        pytest.param(
            vm("RerunOnFailure"),
            make.vmi("web", "Succeeded"),
            False,
            ["VirtualMachine/status/stateChangeRequests=Stop(uid-web)+Start"],
            id="rerun, after it shut down",
        ),
    ],
)
def test_start(machine, vmi, paused, expected):
    assert told(lifecycle.start(machine, vmi, paused=paused)) == expected


def test_a_vm_without_status_gets_one():
    (write,) = lifecycle.start(vm("Manual", status=False), None)
    assert write.subresource == "status"
    assert write.ops == [{"op": "add", "path": "/status", "value": {"stateChangeRequests": [{"action": "Start"}]}}]


@pytest.mark.parametrize(
    ("machine", "vmi", "why"),
    [
        pytest.param(vm("Always"), make.vmi("web", "Running"), "VM is already running", id="running"),
        pytest.param(vm("Always"), None, "Always does not support manual start requests", id="always"),
        pytest.param(vm("Once"), None, "Once does not support manual start requests", id="once"),
        pytest.param(
            vm("RerunOnFailure"),
            make.vmi("web", "Failed"),
            "RerunOnFailure does not support starting VM from failed state",
            id="failed",
        ),
        pytest.param(
            vm("Manual", requests=[{"action": "Start"}]),
            None,
            "unable to complete request: stop/start already underway",
            id="underway",
        ),
    ],
)
def test_start_refused(machine, vmi, why):
    with pytest.raises(Refusal) as caught:
        lifecycle.start(machine, vmi)
    assert (caught.value.code, str(caught.value)) == (409, CONFLICT + why)
    assert caught.value.status["reason"] == "Conflict"


@pytest.mark.parametrize(
    ("machine", "vmi", "grace", "expected"),
    [
        pytest.param(
            vm("Always"), None, None, ["VirtualMachine/spec/runStrategy=Halted"], id="always, though it is down"
        ),
        pytest.param(
            vm("Manual", requests=[{"action": "Start"}]),
            make.vmi("web", "Running"),
            None,
            ["VirtualMachine/status/stateChangeRequests=Stop(uid-web)"],
            id="a stop takes the place of other requests",
        ),
        pytest.param(
            vm("Halted"),
            make.vmi("web", "Running"),
            0,
            [
                "VirtualMachineInstance/spec/terminationGracePeriodSeconds=0",
                "VirtualMachine/status/stateChangeRequests=Stop(uid-web)",
            ],
            id="halted, but faster",
        ),
    ],
)
def test_stop(machine, vmi, grace, expected):
    assert told(lifecycle.stop(machine, vmi, grace)) == expected


@pytest.mark.parametrize(
    ("machine", "vmi", "grace", "why"),
    [
        pytest.param(vm("Manual"), None, None, "VM is not running", id="not there"),
        pytest.param(vm("RerunOnFailure"), make.vmi("web", "Succeeded"), None, "VM is not running", id="ended"),
        pytest.param(
            vm("Halted"),
            make.vmi("web", "Running"),
            60,
            "Halted only supports manual stop requests with a shorter graceperiod",
            id="halted",
        ),
    ],
)
def test_stop_refused(machine, vmi, grace, why):
    with pytest.raises(Refusal) as caught:
        lifecycle.stop(machine, vmi, grace)
    assert (caught.value.code, str(caught.value)) == (409, CONFLICT + why)


def test_restart():
    running = make.vmi("web", "Running")
    wish = "VirtualMachine/status/stateChangeRequests=Stop(uid-web)+Start"
    assert told(lifecycle.restart(vm("Always"), running)) == [wish]
    hurry = "VirtualMachineInstance/spec/terminationGracePeriodSeconds=1"
    assert told(lifecycle.restart(vm("Always"), running, 0)) == [hurry, wish]


@pytest.mark.parametrize(
    ("strategy", "vmi", "grace", "code", "why"),
    [
        ("Always", make.vmi("web", "Running"), 5, 400, "For force restart, only gracePeriod=0 is supported for now"),
        ("Always", make.vmi("web", "Running"), -1, 400, "gracePeriod has to be greater or equal to 0"),
        ("Halted", None, None, 409, CONFLICT + "VM is not running: Halted"),
        ("Once", None, None, 409, CONFLICT + "RunStategy Once does not support manual restart requests"),
        ("Always", None, None, 409, CONFLICT + "VM is not running"),
    ],
)
def test_restart_refused(strategy, vmi, grace, code, why):
    with pytest.raises(Refusal) as caught:
        lifecycle.restart(vm(strategy), vmi, grace)
    assert (caught.value.code, str(caught.value)) == (code, why)


def guest(phase: str = "Running", spec: dict | None = None, **conditions):
    made = make.vmi("web", phase, spec=spec or {})
    listed = [{"type": name, "status": "True"} for name in conditions]
    return type(made).read(made.model_dump(by_alias=True) | {"status": {"phase": phase, "conditions": listed}})


NO_ACPI = {"domain": {"devices": {}, "features": {"acpi": {"enabled": False}}}}
PROBED = {"livenessProbe": {"tcpSocket": {"port": 80}}}
NO_SERIAL = {"domain": {"devices": {"autoattachSerialConsole": False, "autoattachGraphicsDevice": False}}}
VMI = 'Operation cannot be fulfilled on virtualmachineinstance.kubevirt.io "web": '
BAN = "Pausing VMIs with a non-GuestAgentPing LivenessProbe is not supported"


@pytest.mark.parametrize(
    ("check", "vmi", "code", "why"),
    [
        (checks.pause, guest("Scheduled"), 409, VMI + "VM is not running"),
        (checks.pause, guest(Paused=1), 409, VMI + "VMI is already paused"),
        (checks.pause, guest(spec=PROBED), 403, f'virtualmachineinstance.kubevirt.io "web" is forbidden: {BAN}'),
        (checks.unpause, guest("Pending"), 409, VMI + "VMI is not running"),
        (checks.unpause, guest(), 409, VMI + "VMI is not paused"),
        (checks.soft_reboot, guest(Paused=1), 409, VMI + "VMI is paused"),
        (
            checks.soft_reboot,
            guest(spec=NO_ACPI),
            409,
            VMI + "VMI neither have the agent connected nor the ACPI feature enabled",
        ),
        (checks.console, guest(spec=NO_SERIAL), 400, "No serial consoles are present."),
        (checks.vnc, guest(spec=NO_SERIAL), 400, "No graphics devices are present."),
        (checks.console, guest("Scheduling"), 400, "VMI is not running"),
        (checks.vnc, guest("Failed"), 409, VMI + "VMI is in failed status"),
        (checks.port_forward, guest(Paused=1), 409, VMI + "VMI is paused"),
        (checks.guest_agent, guest(), 409, VMI + "VMI does not have guest agent connected"),
    ],
)
def test_checks(check, vmi, code, why):
    with pytest.raises(Refusal) as caught:
        check(vmi)
    assert (caught.value.code, str(caught.value)) == (code, why)


@pytest.mark.parametrize(
    ("check", "vmi"),
    [
        (checks.pause, guest()),
        (checks.unpause, guest(Paused=1)),
        (checks.soft_reboot, guest(AgentConnected=1, spec=NO_ACPI)),
        (checks.soft_reboot, guest()),
        (checks.console, guest()),
        (checks.vnc, guest(Paused=1)),
        (checks.port_forward, guest()),
        (checks.guest_agent, guest(AgentConnected=1)),
    ],
)
def test_what_is_allowed(check, vmi):
    check(vmi)
