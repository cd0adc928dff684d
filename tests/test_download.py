"""Published data sets are fetched, checked and unpacked; offline, the error says which file to put where."""

from __future__ import annotations

import hashlib
import http.server
import io
import tarfile
import threading
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import whitewolf as ww
from whitewolf import cli
from whitewolf.data import download
from whitewolf.data.download import PUBLISHED, Published


class Server:
    """Files on an address of this machine."""

    def __init__(self) -> None:
        self.files: dict[str, bytes] = {}
        self.asked: list[str] = []
        outer = self

        class Handler(http.server.BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                outer.asked.append(self.path)
                content = outer.files.get(self.path)
                self.send_response(200 if content is not None else 404)
                self.end_headers()
                self.wfile.write(content or b"")

            def log_message(self, *_: Any) -> None:
                pass

        self.http = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.address = f"http://127.0.0.1:{self.http.server_port}"
        threading.Thread(target=self.http.serve_forever, daemon=True).start()


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[Server]:
    for name in ("http_proxy", "HTTP_PROXY", "https_proxy", "HTTPS_PROXY", "all_proxy", "ALL_PROXY"):
        monkeypatch.delenv(name, raising=False)
    made = Server()
    yield made
    made.http.shutdown()
    made.http.server_close()


def publish(
    server: Server, monkeypatch: pytest.MonkeyPatch, name: str, content: bytes, of: str | None = None, right: bytes = b""
) -> None:
    server.files[f"/{name}"] = content
    md5 = hashlib.md5(right or content).hexdigest()
    monkeypatch.setitem(PUBLISHED, "trial", [Published(name, f"{server.address}/{name}", f"md5:{md5}", of)])


def tarred(**files: bytes) -> bytes:
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w:gz") as archive:
        for name, content in files.items():
            member = tarfile.TarInfo(name)
            member.size = len(content)
            archive.addfile(member, io.BytesIO(content))
    return packed.getvalue()


def test_a_file_is_fetched_once(server: Server, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    publish(server, monkeypatch, "a.bin", b"hello")
    for _ in range(2):
        (path,) = download("trial", tmp_path / "new")
        assert path.read_bytes() == b"hello"
    assert server.asked == ["/a.bin"]


def test_what_has_another_checksum_is_not_kept(server: Server, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    publish(server, monkeypatch, "a.bin", b"hellp", right=b"hello")
    with pytest.raises(
        ww.FileFormatError, match=r"a.bin: expected md5:5d41402abc4b2a76b9719d911017c592, got md5:.*; nothing was kept"
    ):
        download("trial", tmp_path)
    assert list(tmp_path.iterdir()) == []
    (tmp_path / "a.bin").write_bytes(b"other")
    with pytest.raises(ww.FileFormatError, match="remove it to fetch it anew"):
        download("trial", tmp_path)


def test_archives_are_unpacked(server: Server, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    publish(server, monkeypatch, "a.tar.gz", tarred(**{"in/b.txt": b"one", "c.txt": b"two"}))
    download("trial", tmp_path)
    assert (tmp_path / "in" / "b.txt").read_bytes() == b"one" and (tmp_path / "c.txt").read_bytes() == b"two"
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w") as archive:
        archive.writestr("words", "to be or not")
    publish(server, monkeypatch, "w.zip", packed.getvalue(), of="words", right=b"to be or not")  # the checksum of what is inside
    download("trial", tmp_path)
    assert (tmp_path / "words").read_bytes() == b"to be or not"


def test_an_archive_cannot_write_elsewhere(server: Server, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    publish(server, monkeypatch, "a.tar.gz", tarred(**{"../evil.txt": b"one"}))
    with pytest.raises(ww.FileFormatError, match="expected files inside, got one named '../evil.txt'"):
        download("trial", tmp_path / "in")
    assert not (tmp_path / "evil.txt").exists()


def test_offline_the_error_says_which_file_to_put_where(
    server: Server, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    gone = [Published("train-images-idx3-ubyte.gz", f"{server.address}/none", "md5:f68b3c2dcbeaaa9fbdd348bbdeb94873")]
    monkeypatch.setitem(PUBLISHED, "mnist", gone)
    arguments = ["train", "lenet", "--data", str(tmp_path / "mnist"), "--download", "--out", str(tmp_path / "run")]
    assert cli.main(arguments) == 1
    err = capsys.readouterr().err
    assert f"put train-images-idx3-ubyte.gz (md5:f68b3c2dcbeaaa9fbdd348bbdeb94873) into {tmp_path / 'mnist'}" in err
    assert err.count("\n") == 1 and list((tmp_path / "mnist").iterdir()) == []


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["train", "lenet", "--download"], "expected --data PATH with --download"),
        (["train", "dqn", "--download", "--data", "x"], "expected no --download"),
    ],
)
def test_what_cannot_be_fetched_is_one_line(
    arguments: list[str], words: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert cli.main([*arguments, "--out", str(tmp_path)]) == 1
    assert words in capsys.readouterr().err


def test_nothing_is_fetched_unless_it_is_asked_for(server: Server, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    publish(server, monkeypatch, "a.bin", b"hello")
    monkeypatch.setitem(PUBLISHED, "mnist", PUBLISHED["trial"])
    assert cli.main(["train", "lenet", "--data", str(tmp_path), "--out", str(tmp_path / "run")]) == 1
    assert server.asked == []
    with pytest.raises(ValueError, match="expected a data set among mnist"):
        download("imagenet", tmp_path)
