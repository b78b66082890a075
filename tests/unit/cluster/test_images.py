"""What an image's tag depends on, where its base comes from, and what the command line refuses."""

import re
import subprocess
from pathlib import Path

import pytest

from cluster import image_builder, image_debian, image_inputs, images
from cluster.image_debian import Mirrors, mirrors
from hostler.runtime.errors import Terminal

ROOT = Path(__file__).parents[3]


@pytest.fixture
def tree(tmp_path):
    """A small repository."""
    for path, content in {"room/a.py": "a", "room/deep/b.py": "b", "other/c.py": "c", "lock": "l"}.items():
        file = tmp_path / "tree" / path
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(content)
    return tmp_path / "tree"


def digest(tree, tmp_path, sources=("room", "lock"), base="base"):
    context = tmp_path / f"context{len(list(tmp_path.iterdir()))}"
    context.mkdir()
    image_inputs.lay_out(sources, context, tree)
    return image_inputs.digest(context, base)


def write(path, content):
    path.parent.mkdir(exist_ok=True)
    path.write_text(content)


@pytest.mark.parametrize(
    ("change", "differs"),
    [
        pytest.param(lambda tree: None, False, id="nothing"),
        pytest.param(lambda tree: (tree / "room/a.py").touch(), False, id="a time"),
        pytest.param(lambda tree: write(tree / "other/c.py", "d"), False, id="what is not a source of it"),
        pytest.param(
            lambda tree: write(tree / "room/__pycache__/a.cpython-311.pyc", "x"), False, id="what Python left"
        ),
        pytest.param(lambda tree: (tree / "room/a.py").chmod(0o600), False, id="who else may read"),
        pytest.param(lambda tree: write(tree / "room/deep/b.py", "c"), True, id="a source"),
        pytest.param(lambda tree: write(tree / "lock", "m"), True, id="a single file"),
        pytest.param(lambda tree: (tree / "room/a.py").chmod(0o755), True, id="a program now"),
        pytest.param(lambda tree: (tree / "room/a.py").rename(tree / "room/z.py"), True, id="a name"),
        pytest.param(lambda tree: write(tree / "room/new.py", ""), True, id="an empty file"),
    ],
)
def test_what_changes_the_digest(tree, tmp_path, change, differs):
    before = digest(tree, tmp_path)
    assert re.fullmatch("[0-9a-f]{12}", before)
    change(tree)
    assert (digest(tree, tmp_path) != before) is differs


def test_another_base_is_another_image(tree, tmp_path):
    assert digest(tree, tmp_path, base="1") != digest(tree, tmp_path, base="2")


DEB822 = """\
Types: deb
# URIs: http://snapshot.debian.org/archive/debian
URIs: https://mirror.example.org/debian/
Suites: bookworm bookworm-updates
Components: main
 contrib
Signed-By: /usr/share/keyrings/debian-archive-keyring.gpg

Types: deb
URIs: https://mirror.example.org/debian-security
Suites: bookworm-security
Components: main
"""

OTHERS = """\
deb [arch=amd64 signed-by=/etc/apt/keyrings/docker.asc] https://download.docker.com/linux/debian bookworm stable
deb [arch=amd64] https://download.virtualbox.org/virtualbox/debian bookworm contrib
deb https://pkg.jenkins.io/debian binary/
deb https://pkgs.tailscale.com/stable/debian bookworm main
deb [signed-by=/etc/apt/keyrings/jellyfin.gpg] https://repo.jellyfin.org/debian bookworm main
deb https://repo.mongodb.org/apt/debian bookworm/mongodb-org/7.0 main
deb https://apt.grafana.com stable main
deb https://packages.element.io/debian default main
deb http://archive.ubuntu.com/ubuntu noble-updates main
"""


@pytest.mark.parametrize(
    ("sources", "expected"),
    [
        pytest.param([], Mirrors(), id="not a Debian host"),
        pytest.param(["deb https://deb.nodesource.com/node_20.x nodistro main"], Mirrors(), id="only others' packages"),
        pytest.param(
            ["deb [arch=amd64] http://ftp.fr.debian.org/debian bookworm main contrib\n"],
            Mirrors(main="http://ftp.fr.debian.org/debian"),
            id="old style",
        ),
        pytest.param(
            [DEB822],
            Mirrors("https://mirror.example.org/debian", "https://mirror.example.org/debian-security"),
            id="deb822",
        ),
        pytest.param(["# deb http://old.example.org/debian bookworm main"], Mirrors(), id="a comment"),
        pytest.param(["deb cdrom:[Debian 12]/ bookworm main"], Mirrors(), id="a disc"),
        pytest.param(["deb mirror+http://list.example.org/debian bookworm main"], Mirrors(), id="a list of mirrors"),
        pytest.param(
            [
                "Types: deb\nURIs: mirror+file:///etc/apt/mirrors/debian.list\nSuites: bookworm\nComponents: main\n",
                OTHERS,
            ],
            Mirrors(),
            id="a list of mirrors, and what others have below /debian",
        ),
        pytest.param(
            [
                OTHERS,
                "deb http://intern.example.org/apt/d bookworm main",
                "deb http://intern.example.org/apt/d bookworm-updates main",
            ],
            Mirrors(main="http://intern.example.org/apt/d"),
            id="by the suites that only Debian has",
        ),
        pytest.param([DEB822.replace("Types", "Enabled: no\nTypes")], Mirrors(), id="switched off"),
        pytest.param([DEB822.replace("Types: deb", "Types: deb-src")], Mirrors(), id="sources only"),
        pytest.param(
            ["deb http://security.debian.org bullseye-security main # comment"],
            Mirrors(security="http://security.debian.org"),
            id="security by its suite",
        ),
        pytest.param(
            [
                "deb http://snapshot.debian.org/archive/debian/20200101T000000Z bookworm main\n"
                "deb http://snapshot.debian.org/archive/debian/20200101T000000Z bookworm-updates main\n"
                "deb http://archive.debian.org/debian buster main"
            ],
            Mirrors(),
            id="archives of another time",
        ),
    ],
)
def test_mirrors(sources, expected):
    assert mirrors(sources) == expected


def test_host_mirrors_reads_what_apt_reads(tmp_path):
    (tmp_path / "sources.list.d").mkdir()
    (tmp_path / "sources.list.d" / "debian.sources.save").write_text(DEB822.replace("mirror.", "old."))
    assert image_debian.host_mirrors(tmp_path) == Mirrors()
    (tmp_path / "sources.list.d" / "debian.sources").write_text(DEB822)
    assert image_debian.host_mirrors(tmp_path).main == "https://mirror.example.org/debian"


@pytest.mark.parametrize("image", images.IMAGES.values(), ids=lambda image: image.name)
def test_every_source_is_there(image):
    assert [source for source in image.sources if not (ROOT / source).exists()] == []


@pytest.mark.parametrize("image", images.IMAGES.values(), ids=lambda image: image.name)
def test_what_is_copied_is_a_source(image):
    """A file that a Containerfile copies but the digest leaves out would change without a rebuild."""
    containerfile = ROOT / image.sources[0] / "Containerfile"
    text = containerfile.read_text() if containerfile.exists() else ""
    copied = [words for line in re.findall(r"^COPY (?!--from)(.*)$", text, re.M) for words in line.split()[:-1]]
    folders = [path.rstrip("/").removesuffix("/*.py") for path in copied]
    assert [path for path in folders if not any(Path(path).is_relative_to(source) for source in image.sources)] == []


def test_unknown_name(tmp_path, monkeypatch, capsys):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    with pytest.raises(Terminal, match="no image 'huge': there are hostler, hostler-launcher, hostler-v2v, legacy,"):
        images.build(["huge"])
    assert images.main(["huge"]) == 2
    assert "no image 'huge'" in capsys.readouterr().err
    assert list(tmp_path.iterdir()) == []


def test_pause_is_built_once_and_without_the_tools_of_other_images(tmp_path, monkeypatch, capsys):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setattr(image_builder.Builder, "_buildah", lambda self, *command: pytest.fail("buildah is run"))
    first = images.build(["pause"], tmp_path / "out")
    assert first["pause"].ref == "docker.io/hostler/pause:1"
    assert first["pause"].tar.parent == tmp_path / "out"
    content = first["pause"].tar.read_bytes()
    assert "pause: built" in capsys.readouterr().err
    assert images.build(["pause"], tmp_path / "out") == first
    assert capsys.readouterr().err == "pause: up to date\n"
    images.build(["pause"], tmp_path / "out", fresh=True)
    assert first["pause"].tar.read_bytes() == content


def test_missing_tools_are_told_before_anything_is_done(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    monkeypatch.setenv("PATH", "")
    with pytest.raises(Terminal, match="apt-get install buildah mmdebstrap"):
        images.build(["pause", "tiny"])
    assert list(tmp_path.iterdir()) == []


def test_the_keyring_that_mmdebstrap_needs_is_installed():
    script = '. scripts/lib.sh; need_packages() { echo "$@"; }; need_cluster_packages'
    said = subprocess.run(["bash", "-c", script], cwd=ROOT, capture_output=True, text=True, check=True).stdout
    assert "/usr/share/keyrings/debian-archive-keyring.gpg:debian-archive-keyring" in said.split()


def test_debians_keys_are_trusted_on_any_host(tmp_path, monkeypatch):
    monkeypatch.setattr(image_debian, "KEYRING", tmp_path / "keyring.gpg")
    assert not [option for option in image_debian.options() if option.startswith("--keyring")]
    (tmp_path / "keyring.gpg").touch()
    assert f"--keyring={tmp_path / 'keyring.gpg'}" in image_debian.options()
