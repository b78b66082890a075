"""The user's kubeconfig: our context comes and goes, everything else stays as it was."""

import os
from pathlib import Path

import pytest
import yaml

from cluster import kubeconfig, layout, pki, registry
from cluster.errors import ClusterError
from cluster.layout import Cluster
from hostler.cli.cluster import introduce


def config(current: str, *names: str) -> dict:
    return {
        "apiVersion": "v1",
        "kind": "Config",
        "current-context": current,
        "clusters": [{"name": name, "cluster": {"server": f"https://{name}"}} for name in names],
        "users": [{"name": name, "user": {"token": name}} for name in names],
        "contexts": [{"name": name, "context": {"cluster": name, "user": name}} for name in names],
    }


@pytest.mark.parametrize(
    ("existing", "expected"),
    [
        pytest.param({}, config("ours", "ours"), id="no file yet"),
        pytest.param(config("work", "work"), config("ours", "work", "ours"), id="beside others"),
        pytest.param(config("work", "ours", "work"), config("ours", "work", "ours"), id="an old one of ours"),
        pytest.param({"clusters": None}, config("ours", "ours"), id="empty lists as kubectl writes them"),
    ],
)
def test_merge(existing, expected):
    assert kubeconfig.merge(existing, config("ours", "ours")) == expected


@pytest.mark.parametrize(
    ("existing", "expected"),
    [
        pytest.param(config("ours", "work", "ours"), config("", "work"), id="no other becomes current by itself"),
        pytest.param(config("work", "work", "ours"), config("work", "work"), id="the user's choice stays"),
        pytest.param(config("work", "work"), config("work", "work"), id="not there"),
    ],
)
def test_without(existing, expected):
    assert kubeconfig.without(existing, "ours") == expected


@pytest.fixture
def cluster(tmp_path, monkeypatch):
    monkeypatch.setattr(layout, "CLUSTERS", tmp_path / "clusters")
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    made = Cluster("ours", 0, 1)
    pki.issue(made)
    kubeconfig.write_all(made)
    return made


def test_added_and_removed_leaves_the_file_as_it_was(cluster):
    path = kubeconfig.users_file()
    kubeconfig.save(path, before := config("work", "work"))
    kubeconfig.add_to_users(cluster)
    assert kubeconfig.load(path)["current-context"] == "ours"
    assert path.stat().st_mode & 0o777 == 0o600
    kubeconfig.remove_from_users(cluster)
    assert kubeconfig.load(path) == before | {"current-context": ""}


def test_a_file_that_we_made_goes_with_us(cluster):
    kubeconfig.add_to_users(cluster)
    kubeconfig.remove_from_users(cluster)
    assert not kubeconfig.users_file().exists()


def test_a_context_of_the_same_name_that_is_not_ours_stays(cluster):
    kubeconfig.save(kubeconfig.users_file(), theirs := config("ours", "ours"))
    kubeconfig.remove_from_users(cluster)
    assert kubeconfig.load(kubeconfig.users_file()) == theirs


def test_a_link_stays_a_link(cluster, tmp_path):
    (target := tmp_path / "elsewhere").write_text("{}")
    path = kubeconfig.users_file()
    path.parent.mkdir(parents=True)
    path.symlink_to(target)
    kubeconfig.add_to_users(cluster)
    assert path.is_symlink()
    assert kubeconfig.load(target)["current-context"] == "ours"


@pytest.mark.parametrize("text", ["[1, 2]", "{", "just words"])
def test_what_is_no_kubeconfig_is_told_and_left_alone(cluster, text):
    path = kubeconfig.users_file()
    path.parent.mkdir(parents=True)
    path.write_text(text)
    with pytest.raises(ClusterError, match=r"\.kube/config"):
        kubeconfig.add_to_users(cluster)
    assert path.read_text() == text


def test_the_administrator_can_be_taken_elsewhere_and_components_hold_no_copies(cluster):
    user = yaml.safe_load(cluster.kubeconfig.read_text())["users"][0]["user"]
    assert set(user) == {"client-certificate-data", "client-key-data"}
    component = yaml.safe_load(cluster.config("scheduler").read_text())["users"][0]["user"]
    assert component["client-key"] == str(cluster.pki / "scheduler.key")


def of(server: str, cluster: str = "ours") -> dict:
    """A kubeconfig that has our name."""
    whole = config("ours", "ours")
    whole["clusters"][0]["cluster"]["server"] = server
    whole["contexts"][0]["context"]["cluster"] = cluster
    return whole


@pytest.mark.parametrize(
    ("existing", "said"),
    [
        pytest.param(of("https://company.example.org"), r"a cluster 'ours' \(https://company", id="another server"),
        pytest.param(of("https://10.128.32.2:6443", "work"), "a context 'ours' .*'work'", id="another's context"),
        pytest.param(of("") | {"clusters": [], "contexts": []}, "a user 'ours'", id="somebody's token"),
    ],
)
def test_what_is_somebody_elses_is_not_replaced(cluster, capsys, monkeypatch, existing, said):
    monkeypatch.delenv("KUBECONFIG", raising=False)
    kubeconfig.save(kubeconfig.users_file(), existing)
    with pytest.raises(kubeconfig.Taken, match=f"{said}.*kubectl config delete-context ours; .*delete-user ours"):
        kubeconfig.add_to_users(cluster)
    introduce(cluster, merge=True)
    assert kubeconfig.load(kubeconfig.users_file()) == existing
    told = capsys.readouterr().err
    assert "warning: " in told
    assert f"export KUBECONFIG={cluster.kubeconfig}" in told, "its own is used meanwhile"


def test_what_is_of_a_cluster_of_this_host_is_replaced(cluster, monkeypatch):
    monkeypatch.setattr(registry, "host_networks", list)
    for name in ("ours", "other"):
        registry.claim(name, 0)
    kubeconfig.save(kubeconfig.users_file(), of(registry.get("other").server))
    kubeconfig.add_to_users(cluster)
    assert kubeconfig.load(kubeconfig.users_file()) == kubeconfig.load(cluster.kubeconfig)


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give a file away")
def test_the_file_stays_its_owners(cluster):
    """With `sudo -E` it is root who writes into a user's home."""
    home, file = Path.home(), kubeconfig.users_file()
    home.mkdir()
    os.chown(home, 1234, 1235)

    def owners() -> set[tuple[int, int]]:
        return {(path.stat().st_uid, path.stat().st_gid) for path in (file, file.parent)}

    kubeconfig.add_to_users(cluster)
    assert owners() == {(1234, 1235)}, "a new one is the home's"
    os.chown(file, 1236, 1237)
    kubeconfig.add_to_users(cluster)
    assert owners() == {(1234, 1235), (1236, 1237)}
    kubeconfig.save(file, kubeconfig.merge(kubeconfig.load(file), config("work", "work")))
    kubeconfig.remove_from_users(cluster)
    assert owners() == {(1234, 1235), (1236, 1237)}
    assert file.stat().st_mode & 0o777 == 0o600


def test_a_list_of_kubeconfigs_becomes_one_file(cluster, tmp_path):
    kubectl = tmp_path / "kubectl"
    kubectl.write_text('#!/bin/sh\necho "# $KUBECONFIG $*"\n')
    kubectl.chmod(0o755)
    with kubeconfig.one_file("/a::/b", kubectl) as file:
        assert file.read_text() == "# /a::/b config view --raw --minify --flatten\n"
        assert file.stat().st_mode & 0o777 == 0o600
    assert not file.exists()
    with kubeconfig.one_file("/a", kubectl) as file:
        assert file == Path("/a")


def test_whose_a_kubeconfig_is(cluster, tmp_path, monkeypatch):
    monkeypatch.setattr(registry, "host_networks", list)
    registry.claim("ours", 1)
    assert kubeconfig.own_cluster(cluster.kubeconfig) == cluster
    kubeconfig.save(tmp_path / "other", of("https://company.example.org"))
    assert kubeconfig.own_cluster(tmp_path / "other") is None
    assert kubeconfig.own_cluster(tmp_path / "none") is None
