"""What the API server holds of fencing: what a device may be told, and that nothing is fenced without a proof."""

import pytest

PATH = "/apis/hostler.io/v1alpha1"


def node_fencing(name, **device):
    devices = [{"name": "bmc", "agent": "fence_ipmilan", "parameters": {"ip": "10.0.0.1"}} | device]
    return {
        "apiVersion": "hostler.io/v1alpha1",
        "kind": "NodeFencing",
        "metadata": {"name": name},
        "spec": {"levels": [{"devices": devices}]},
    }


def operation(name, **spec):
    whole = {"nodeName": "n", "bootID": "b", "mode": "Enforce", "reason": "test", "requestedBy": "test"} | spec
    return {
        "apiVersion": "hostler.io/v1alpha1",
        "kind": "FenceOperation",
        "metadata": {"name": name},
        "spec": whole,
    }


PROOF = {"kind": "PowerOff", "at": "2026-01-01T00:00:00Z", "message": "off"}


@pytest.mark.parametrize(
    ("device", "says"),
    [
        pytest.param({"agent": "sh"}, "the name of a fence agent", id="any program"),
        pytest.param({"agent": "fence_x; rm"}, "the name of a fence agent", id="a shell's words"),
        pytest.param({"parameters": {"password": "x"}}, "secretRef", id="a password in the open"),
        pytest.param({"parameters": {"action": "on"}}, "not for a parameter", id="an action"),
        pytest.param({"parameters": {"ipmitool_path": "/bin/sh"}}, "not for a parameter", id="a program"),
        pytest.param({"parameters": {"password_script": "/x"}}, "not for a parameter", id="a script"),
        pytest.param({"parameters": {"ip": "1\naction=on"}}, "one line", id="a second line"),
        pytest.param({"timeoutSeconds": 0}, "timeoutSeconds", id="no time"),
        pytest.param({"retries": 99}, "retries", id="for ever"),
    ],
)
def test_devices_that_are_refused(hostler, device, says):
    answer = hostler.create(f"{PATH}/nodefencings", node_fencing("bad", **device), dryRun="All")
    assert answer.code == 422
    assert says in answer.message


def test_a_level_needs_a_device(hostler):
    body = node_fencing("bad")
    body["spec"]["levels"] = [{"devices": []}]
    assert "at least one device" in hostler.create(f"{PATH}/nodefencings", body).message
    body["spec"]["levels"] = []
    assert "at least one level" in hostler.create(f"{PATH}/nodefencings", body).message


def test_a_good_one(hostler):
    answer = hostler.create(f"{PATH}/nodefencings", node_fencing("good", secretRef={"name": "bmc", "prefix": "good."}))
    assert answer.code == 201, answer.message


def test_nothing_is_fenced_without_a_proof(hostler):
    assert hostler.create(f"{PATH}/fenceoperations", operation("proof")).code == 201
    status = f"{PATH}/fenceoperations/proof/status"
    for phase in ("Fenced", "Recovering", "Recovered"):
        refused = hostler.merge(status, {"status": {"phase": phase}})
        assert refused.code == 422
        assert "without a proof" in refused.message
    assert hostler.merge(status, {"status": {"phase": "Verifying"}}).code == 200
    assert hostler.merge(status, {"status": {"phase": "Fenced", "proof": PROOF}}).code == 200
    changed = hostler.merge(status, {"status": {"proof": PROOF | {"message": "else"}}})
    assert "never changed" in changed.message
    assert "never changed" in hostler.merge(status, {"status": {"proof": None}}).message


def test_an_incident_does_not_change(hostler):
    assert hostler.create(f"{PATH}/fenceoperations", operation("fixed")).code == 201
    path = f"{PATH}/fenceoperations/fixed"
    assert "does not change" in hostler.merge(path, {"spec": {"nodeName": "other"}}).message
    said = {"by": "admin", "message": "I pulled the plug"}
    refused = hostler.merge(path, {"spec": {"acknowledgement": said | {"by": "somebody"}}})
    assert "spec.acknowledgement.by: must be you, admin" in refused.message
    assert hostler.merge(path, {"spec": {"acknowledgement": said}}).code == 200
    assert "taken back" in hostler.merge(path, {"spec": {"acknowledgement": None}}).message
