"""Which kubeconfig counts, and what is said when there is none, it is broken, or nobody answers."""

import json
import socket
import sys
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import Any

import pytest
import yaml

from cluster.errors import ClusterError
from hostler.api.objects import Pod
from hostler.cli import main, target
from hostler.cli.kubeconfig import login
from hostler.runtime.errors import Terminal
from hostler.runtime.kube import Api

SECRET = "c2VjcmV0"


def part(what: str, name: str, **content: Any) -> dict[str, Any]:
    return {f"{what}s": [{"name": name, what: content}]}


def whole(server: str = "https://127.0.0.1:1", **place: Any) -> dict[str, Any]:
    context = part("context", "c", cluster="k", user="u", **place)
    return {"current-context": "c"} | context | part("cluster", "k", server=server) | part("user", "u", token=SECRET)


@pytest.fixture
def write(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """Files that KUBECONFIG names, by their content."""

    def write(*contents: dict[str, Any] | str) -> list[str]:
        names = []
        for number, content in enumerate(contents):
            path = tmp_path / f"config-{number}"
            path.write_text(content if isinstance(content, str) else yaml.safe_dump(content))
            names.append(str(path))
        monkeypatch.setenv("KUBECONFIG", ":".join(names))
        return names

    return write


@pytest.fixture
def server() -> Iterator[str]:
    """Answers each GET as a listing of nothing whose version is the token that was shown."""

    class Answer(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            token = self.headers["Authorization"] + " " + self.path.partition("?")[0]
            body = json.dumps({"metadata": {"resourceVersion": token}, "items": []}).encode()
            self.send_response(200)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: Any) -> None:
            pass

    with HTTPServer(("127.0.0.1", 0), Answer) as house:
        thread = threading.Thread(target=house.serve_forever)
        thread.start()
        yield f"http://127.0.0.1:{house.server_port}"
        house.shutdown()
        thread.join()


async def pods(api: Api, place: str) -> str:
    return (await api.list(Pod, place))[1]


@pytest.mark.parametrize(
    ("text", "said"),
    [
        pytest.param("", "does not exist or is empty: run scripts/up", id="empty"),
        pytest.param(f"users: [{{token: {SECRET}, }}", "no YAML at line 1", id="no YAML"),
        pytest.param("\x00", "no YAML", id="binary"),
        pytest.param("just words", "no lists of clusters", id="words"),
        pytest.param("contexts: {a: b}", "no lists of clusters", id="no list"),
        pytest.param("contexts: [a]", "no lists of clusters", id="a list of words"),
        pytest.param("users: [{name: u, user: x}]", "no lists of clusters", id="a user that is a word"),
        pytest.param("kind: Config", "names no current context: kubectl config use-context", id="nothing in it"),
        pytest.param("current-context: gone", "has no context 'gone'", id="no such context"),
        pytest.param(
            {"current-context": "c"} | part("context", "c", cluster="k"), "lacks the cluster of its", id="no cluster"
        ),
        pytest.param(whole() | part("cluster", "k", x=1), "lacks the cluster's server of its", id="no server"),
        pytest.param(whole() | {"users": []}, "lacks the user of its current context 'c'", id="no user"),
    ],
)
def test_what_is_no_kubeconfig_is_one_line_with_its_name(write, text: Any, said: str) -> None:
    (name,) = write(text)
    with pytest.raises((ClusterError, Terminal)) as caught:
        login(None)
    message = str(caught.value)
    assert name in message
    assert said in message
    assert "\n" not in message
    assert SECRET not in message


def test_what_cannot_be_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("KUBECONFIG", str(tmp_path))
    with pytest.raises(ClusterError, match=rf"{tmp_path} cannot be read \(Is a directory\): mend it"):
        login(None)


@pytest.mark.parametrize(
    ("place", "said"),
    [
        pytest.param({"certificate-authority": "gone.crt"}, "gone.crt", id="a file that is not there"),
        pytest.param({"certificate-authority-data": "x"}, "certificates and keys", id="no base64"),
        pytest.param({"certificate-authority-data": SECRET}, "certificates and keys", id="no certificate"),
    ],
)
def test_certificates_that_are_none(write, place: dict[str, str], said: str) -> None:
    (name,) = write(whole() | part("cluster", "k", server="https://127.0.0.1:1", **place))
    with pytest.raises(Terminal, match=rf"{name} cannot be used .*{said}"):
        target.run(pods, None, None)


def test_several_files_are_one(write, server: str) -> None:
    here = {"current-context": "c"} | part("context", "c", cluster="k", user="u", namespace="shop")
    write(here, "", part("user", "u", token="first") | part("cluster", "k", server=server), whole())
    assert target.run(pods, None, None) == "Bearer first /api/v1/namespaces/shop/pods"


def test_the_current_context_is_the_first_file_s(write, server: str) -> None:
    other = {"current-context": "d"} | part("context", "d", cluster="k", user="u", namespace="other")
    write(whole(server, namespace="mine"), other)
    assert target.run(pods, None, None).endswith("/namespaces/mine/pods")
    assert target.run(pods, "named", None).endswith("/namespaces/named/pods")


def test_a_proxy_of_this_host_needs_no_user(write) -> None:
    write(whole("http://127.0.0.1:8001") | part("context", "c", cluster="k"))
    assert login(None).context == "c"


def test_the_option_counts_before_the_environment(write, tmp_path: Path) -> None:
    write(whole())
    with pytest.raises(Terminal, match="elsewhere does not exist"):
        login(tmp_path / "elsewhere")


def test_without_either_it_is_the_user_s(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("KUBECONFIG", "")
    monkeypatch.setenv("HOME", str(tmp_path))
    with pytest.raises(Terminal, match=rf"{tmp_path}/\.kube/config does not exist"):
        login(None)


@pytest.fixture
def nobody() -> Iterator[int]:
    """A port at which nobody listens."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        yield taken.getsockname()[1]


@pytest.mark.parametrize("verb", [["describe", "vm", "web"], ["fence", "status"], ["rollout", "history", "vmds/web"]])
def test_a_server_that_is_away_is_one_line(
    write, nobody: int, verb: list[str], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    write(whole(f"https://127.0.0.1:{nobody}"))
    monkeypatch.setattr(sys, "argv", ["vmctl", *verb])
    with pytest.raises(SystemExit) as ended:
        main.main()
    hint = "is it the right one (KUBECONFIG, --kubeconfig), and up (vmctl cluster status)?"
    assert capsys.readouterr().err == f"error: https://127.0.0.1:{nobody}: connection refused: {hint}\n"
    assert ended.value.code == 1


def test_a_server_without_tls(write, server: str) -> None:
    write(whole(server.replace("http:", "https:")))
    with pytest.raises(Terminal, match=r"^https://127.0.0.1:\d+: TLS fails"):
        target.run(pods, None, None)
