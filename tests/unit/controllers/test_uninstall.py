"""What `helm uninstall` is told."""

from controllers.uninstall import refusal


def test_nothing_left_is_no_objection():
    assert refusal([], [], []) == ""


def test_what_is_left_is_named_and_the_ways_out_too():
    text = refusal(["default/db"], ["default/web"], ["default/web0", "default/web1"])
    assert "1 VirtualMachines, 2 VirtualMachineInstances and 1 replica sets" in text
    assert "default/web1" in text
    assert "kubectl delete vm,vmirs,vmi" in text
    assert "--no-hooks" in text


def test_a_long_list_is_cut():
    text = refusal([], [], [f"default/vm{i}" for i in range(1000)])
    assert len(text.splitlines()) < 20
