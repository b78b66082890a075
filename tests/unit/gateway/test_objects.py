"""What becomes of a patch that the API server does not take."""

import pytest

from gateway.lifecycle import Write
from gateway.objects import carry_out
from gateway.refusals import Refusal
from hostler.runtime.errors import Conflict, Invalid
from tests.unit import make
from tests.unit.hostler.runtime.fake_kube import FakeKube

BUSY = "the server rejected our request due to an error in our request"
WRONG = (
    'VirtualMachine.kubevirt.io "web" is invalid: spec.template.spec.domain.devices.disks: bus sata cannot be plugged'
)


@pytest.mark.parametrize(
    ("error", "code", "says"),
    [
        pytest.param(Conflict(409, "Conflict", "modified"), 409, "cannot be fulfilled", id="somebody was faster"),
        pytest.param(Invalid(422, "Invalid", BUSY), 409, "cannot be fulfilled", id="a test of the patch failed"),
        pytest.param(Invalid(422, "Invalid", WRONG), 422, "bus sata", id="it is not allowed"),
    ],
)
async def test_a_refusal_keeps_its_meaning(error: Exception, code: int, says: str) -> None:
    kube = FakeKube()

    def refuse(*_: object) -> None:
        raise error

    kube.refuse = refuse
    with pytest.raises((Refusal, Invalid), match=says) as refused:
        await carry_out(kube, Write(make.vm(), []))
    assert getattr(refused.value, "code", getattr(refused.value, "status", None)) == code
