"""What the chart makes of fencing's values."""

import subprocess
from pathlib import Path

import pytest
import yaml

from cluster import programs

CHART = Path(__file__).parents[2] / "charts" / "hostler"


def rendered(*values):
    helm = programs.find(["helm"])["helm"]
    options = [word for value in values for word in ("--set", value)]
    command = [helm, "template", "hostler", CHART, "--namespace=here", "--kube-version=1.37.0", *options]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        raise ValueError(done.stderr)
    return [each for each in yaml.safe_load_all(done.stdout) if each]


def find(objects, kind, name):
    found = [each for each in objects if each["kind"] == kind and each["metadata"]["name"] == name]
    return found[0] if found else None


def container(objects, kind, name):
    (only,) = find(objects, kind, name)["spec"]["template"]["spec"]["containers"]
    return only, {each["name"]: each.get("value") for each in only["env"]}


def test_it_observes_unless_somebody_says_otherwise():
    assert container(rendered(), "Deployment", "hostler-fencing")[1]["HOSTLER_MODE"] == "Observe"
    enforced = rendered("fencing.mode=Enforce", "fencing.mostAtOnce=2")
    _, environment = container(enforced, "Deployment", "hostler-fencing")
    assert (environment["HOSTLER_MODE"], environment["HOSTLER_MOST_AT_ONCE"]) == ("Enforce", "2")


@pytest.mark.parametrize("value", ["fencing.mode=Maybe", "fencing.mostAtOnce=0", "fencing.replicas=0", "fencing.x=1"])
def test_what_is_refused(value):
    with pytest.raises(ValueError, match="fencing"):
        rendered(value)


def test_it_reads_no_secret_but_its_own():
    roles = [each for each in rendered("fencing.secretNames={one,two}") if each["kind"] == "Role"]
    (role,) = [each for each in roles if each["metadata"] == find(roles, "Role", "hostler-fencing")["metadata"]]
    (rule,) = [rule for rule in role["rules"] if "secrets" in rule["resources"]]
    assert (rule["resourceNames"], rule["verbs"]) == (["one", "two"], ["get"])
    cluster = find(rendered(), "ClusterRole", "hostler-fencing")
    assert not [rule for rule in cluster["rules"] if "secrets" in rule["resources"]]


def test_an_acknowledgement_is_not_its_to_give():
    cluster = find(rendered(), "ClusterRole", "hostler-fencing")
    (rule,) = [rule for rule in cluster["rules"] if "fenceoperations" in rule["resources"]]
    assert not {"patch", "update"} & set(rule["verbs"])


def test_the_agent_knows_its_boot():
    agent, environment = container(rendered(), "DaemonSet", "hostler-agent")
    assert environment["HOSTLER_NODE_LEASE"] == "true"
    assert environment["HOSTLER_BOOT_ID_FILE"] in {mount["mountPath"] for mount in agent["volumeMounts"]}


def test_without_it():
    objects = rendered("fencing.enabled=false")
    assert not [each for each in objects if each["metadata"]["name"].startswith(("hostler-fencing", "hostler-fence-"))]
    assert container(objects, "DaemonSet", "hostler-agent")[1]["HOSTLER_NODE_LEASE"] == "false"
