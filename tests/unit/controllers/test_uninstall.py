"""What `helm uninstall` is told."""

from controllers.uninstall import KINDS, refusal


def test_nothing_left_is_no_objection():
    assert refusal({kind: [] for kind in KINDS}, "hostler", 1) == ""


def test_what_is_left_is_named_and_the_ways_out_too():
    found = {"vm": ["default/db"], "vmirs": [], "vmi": ["default/web0", "default/web1"]}
    text = refusal(found, "inn", 7)
    assert "1 vm, 2 vmi" in text
    assert "vmi/default/web1" in text
    assert "kubectl delete vmcronjob,vmjob,vmpool,vm,vmdeploy,vmds,vmsts,vmirs,vmi" in text
    assert "helm uninstall inn --no-hooks" in text
    assert "helm rollback inn 7" in text


def test_a_long_list_is_cut():
    text = refusal({"vmi": [f"default/vm{i}" for i in range(1000)]}, "hostler", 1)
    assert len(text.splitlines()) < 21
