"""What runs on the cluster before anything else."""

import re
from pathlib import Path

from cluster import addons

MAIN = Path(addons.__file__).parent / "go" / "coredns" / "main.go"
DIRECTORY = {"prometheus": "metrics"}  # a plugin whose source is not in a folder of its name


def test_coredns_is_built_with_the_plugins_that_its_corefile_names():
    """One that is missing is an error only when the cluster starts; one too many is built for nothing."""
    named = set(re.findall(r"^  ([a-z]+)", addons.corefile(["192.0.2.1"]), re.M))
    assert named >= {"kubernetes", "prometheus"}
    built = set(re.findall(r"coredns/plugin/([a-z]+)\"", MAIN.read_text()))
    assert {DIRECTORY.get(each, each) for each in named} == built
