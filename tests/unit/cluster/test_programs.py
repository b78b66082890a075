"""Where programs come from: a folder, PATH, the cache, a release, a build, in this order."""

import errno
import shutil
from pathlib import Path

import pytest

from cluster import catalog, download, gobuild, programs
from cluster.catalog import PROGRAMS, Program, Release
from cluster.download import Corrupt, Unreachable
from cluster.errors import ClusterError

ETCD = PROGRAMS["etcd"]


def script(path: Path, says: str) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(f"#!/bin/sh\necho '{says}'\n")
    path.chmod(0o755)
    return path


@pytest.fixture
def world(tmp_path, monkeypatch):
    """An empty cache and PATH; releases cannot be reached, and a build writes what it was asked for."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setenv("PATH", str(tmp_path / "path"))
    monkeypatch.delenv("HOSTLER_PROGRAMS", raising=False)

    def unreachable(release: Release, dest: Path) -> None:
        raise Unreachable("no network")

    monkeypatch.setattr(download, "fetch", unreachable)
    monkeypatch.setattr(gobuild, "build", lambda program, dest: dest.write_text("built"))
    return tmp_path


def find(folder: Path | None = None) -> Path:
    return programs.find(["etcd"], folder, lambda line: None)["etcd"]


def test_a_given_folder_comes_first_whatever_its_version(world, monkeypatch):
    script(world / "path" / "etcd", f"etcd Version: {ETCD.number}")
    given = script(world / "given" / "etcd", "etcd Version: 0.1")
    assert find(world / "given") == given
    monkeypatch.setenv("HOSTLER_PROGRAMS", str(world / "given"))
    assert programs.locate("etcd") == given


def test_path_counts_if_the_version_is_right(world):
    there = script(world / "path" / "etcd", f"etcd Version: {ETCD.number}")
    assert find() == there
    script(there, "etcd Version: 3.4.1")
    assert find().read_text() == "built"


def test_the_cache_is_used_again(world, monkeypatch):
    first = find()
    monkeypatch.setattr(gobuild, "build", lambda program, dest: pytest.fail("built twice"))
    assert find() == first
    assert first.stat().st_mode & 0o111


def test_a_release_before_a_build(world, monkeypatch):
    monkeypatch.setattr(download, "fetch", lambda release, dest: dest.write_text("downloaded"))
    assert find().read_text() == "downloaded"


def test_a_corrupt_release_is_told_and_nothing_is_kept(world, monkeypatch):
    def corrupt(release: Release, dest: Path) -> None:
        dest.write_text("evil")
        raise Corrupt("not what it should be")

    monkeypatch.setattr(download, "fetch", corrupt)
    with pytest.raises(Corrupt):
        find()
    assert not list(programs.cache().glob("programs/*/etcd"))


def test_a_build_that_fails_leaves_nothing(world, monkeypatch):
    def fail(program: Program, dest: Path) -> None:
        dest.write_text("half")
        raise ClusterError("broken")

    monkeypatch.setattr(gobuild, "build", fail)
    with pytest.raises(ClusterError, match="broken"):
        find()
    assert not list(programs.cache().glob("programs/*/etcd"))


def test_progress_is_told(world):
    lines: list[str] = []
    programs.find(["etcd"], None, lines.append)
    assert len(lines) == 2
    assert lines[0].startswith(f"etcd {ETCD.version}: not downloaded (no network): building")
    assert lines[1].startswith(f"etcd {ETCD.version}: built in")


def test_why_it_was_not_downloaded_is_told_with_why_it_was_not_built(world, monkeypatch):
    def fail(program: Program, dest: Path) -> None:
        raise ClusterError("no Go: install Go")

    monkeypatch.setattr(gobuild, "build", fail)
    with pytest.raises(ClusterError, match=r"(?s)no Go: install Go.*etcd .* was not downloaded \(no network\)"):
        find()


def test_a_full_disk_is_no_reason_to_build(world, monkeypatch):
    def full(release: Release, dest: Path) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(download, "fetch", full)
    monkeypatch.setattr(gobuild, "build", lambda program, dest: pytest.fail("built"))
    with pytest.raises(OSError, match="No space left"):
        find()


def test_a_release_for_another_machine_is_not_taken(world, monkeypatch):
    monkeypatch.setattr(catalog, "MACHINE", "vax")
    monkeypatch.setattr(download, "fetch", lambda release, dest: pytest.fail("downloaded"))
    assert find().read_text() == "built"


def test_an_unknown_program_is_told(world):
    with pytest.raises(ClusterError, match="no program named nothing"):
        programs.locate("nothing")


@pytest.mark.parametrize(
    ("name", "says", "expected"),
    [
        ("etcd", "etcd Version: 3.7.3", True),
        ("etcd", "etcd Version: 3.7.30", False),
        ("kube-apiserver", "Kubernetes v1.37.2", True),
        ("kube-apiserver", "Kubernetes v1.36.2", False),
        ("containerd", "containerd github.com/containerd/containerd/v2 2.4.2+unknown", True),
        ("runc", "runc version 1.5.2", True),
        ("coredns", "CoreDNS-1.15.0", True),
        ("helm", "v3.22.0+g1234567", True),
        ("helm", "v3.22", False),
    ],
)
def test_says_version(tmp_path, name, says, expected):
    assert programs.says_version(script(tmp_path / name, says), PROGRAMS[name]) is expected


def test_links_follow_what_was_found(tmp_path):
    one, other = (script(tmp_path / name / "etcd", name) for name in ("one", "other"))
    for target in (one, other, other):
        folder = programs.links({"etcd": target}, tmp_path / "bin")
        assert [(path.name, path.readlink()) for path in folder.iterdir()] == [("etcd", target)]


def test_every_module_pins_what_its_programs_are_built_from():
    for program in PROGRAMS.values():
        lines = (gobuild.MODULES / program.module / "go.mod").read_text().splitlines()
        pinned = [words for line in lines if (words := line.split()) and program.version in words]
        package = program.package
        if package == ".":  # a main of ours, which runs the program's own
            package = (gobuild.MODULES / program.module / "main.go").read_text()
        assert any(word in package for words in pinned for word in words if "/" in word), program.name
    assert {program.module for program in PROGRAMS.values()} == {path.name for path in gobuild.MODULES.iterdir()}


def test_all_names_of_the_catalogue_are_programs():
    assert {*catalog.CONTROL, *catalog.NODE, *catalog.EXTRA} <= set(PROGRAMS)


def test_a_recipe_changes_with_what_is_built():
    recipes = {gobuild.recipe(program) for program in PROGRAMS.values()}
    assert len(recipes) == len(PROGRAMS)


@pytest.mark.skipif(shutil.which("go") is None, reason="no Go here")
def test_a_real_build(tmp_path, monkeypatch):
    module = tmp_path / "modules" / "hello"
    module.mkdir(parents=True)
    (module / "go.mod").write_text("module programs/hello\n\ngo 1.21\n")
    (module / "go.sum").touch()
    monkeypatch.setattr(gobuild, "MODULES", tmp_path / "modules")
    with pytest.raises(ClusterError, match=r"building it v1 failed:\n.*programs/hello/absent"):
        gobuild.build(Program("it", "v1", "hello", "programs/hello/absent"), tmp_path / "it")
    # a package of the standard library, since nothing else is within reach without a network
    gobuild.build(Program("it", "v1", "hello", "cmd/gofmt"), tmp_path / "it")
    assert (tmp_path / "it").stat().st_mode & 0o111


def test_no_go_is_told_with_what_to_do(tmp_path, monkeypatch):
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(ClusterError, match=r"install Go 1\.21 or newer .*HOSTLER_PROGRAMS"):
        gobuild.build(ETCD, tmp_path / "it")


def test_an_old_go_is_told(tmp_path, monkeypatch):
    script(tmp_path / "go", "go1.19.8")
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(ClusterError, match=r"is go1\.19\.8: Go 1\.21 or newer"):
        gobuild.require_go()
