"""Published archives, small ones of the same layout in their place."""

import functools
import hashlib
import io
import tarfile
import threading
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer

import pytest

from kws.errors import InputError, KwsError
from kws.published import PUBLISHED, PublishedSet, fetch, fetched_folder
from kws.speech_commands import locate


def make_archive(path, prefix):
    """Words without a folder around them, their names with or without ``./`` before."""
    names = ["yes/a_nohash_0.wav", "no/b_nohash_0.wav", "_background_noise_/tap.wav",
             "validation_list.txt", "testing_list.txt", "LICENSE"]  # fmt: skip
    with tarfile.open(path, "w:gz") as tar:
        if prefix:
            folder = tarfile.TarInfo(prefix)
            folder.type, folder.mode = tarfile.DIRTYPE, 0o755
            tar.addfile(folder)
        for name in names:
            info = tarfile.TarInfo(prefix + name)
            info.size = len(name)
            tar.addfile(info, io.BytesIO(name.encode()))
    content = path.read_bytes()
    return PublishedSet(
        name="speech-commands-v9",
        file=path.name,
        size_bytes=len(content),
        sha256=hashlib.sha256(content).hexdigest(),
    )


@pytest.fixture
def mirror(tmp_path, monkeypatch):
    """A folder on a server, and its address."""
    for name in ("http_proxy", "HTTP_PROXY"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr("urllib.request._opener", None)
    folder = tmp_path / "mirror"
    folder.mkdir()

    class Handler(SimpleHTTPRequestHandler):
        def log_message(self, *_):
            pass

    handler = functools.partial(Handler, directory=str(folder))
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
        yield folder, f"http://127.0.0.1:{server.server_port}"
        server.shutdown()


@pytest.mark.parametrize("prefix", ["", "./"])
def test_a_set_is_fetched_from_a_mirror_once(mirror, tmp_path, prefix):
    folder, url = mirror
    published = make_archive(folder / "speech.tar.gz", prefix)
    told = []
    found = fetch(published, tmp_path / "cache", mirror=url, on_download=lambda *n: told.append(n))
    assert told[-1] == (published.size_bytes, published.size_bytes)
    assert (found / "yes" / "a_nohash_0.wav").is_file()
    assert locate(found, tmp_path / "cache") == found
    assert not list((tmp_path / "cache" / "downloads").glob("*.gz*[!k]"))
    (folder / "speech.tar.gz").unlink()
    assert fetch(published, tmp_path / "cache", mirror=url) == found
    assert fetched_folder(published, tmp_path / "cache") == found


def test_the_address_of_the_file_itself_is_understood(mirror, tmp_path):
    folder, url = mirror
    published = make_archive(folder / "renamed.tar.gz", "")
    assert fetch(published, tmp_path / "c", mirror=f"{url}/renamed.tar.gz").is_dir()


def test_an_archive_that_a_person_has_is_used_and_left(tmp_path):
    published = make_archive(tmp_path / "mine.tgz", "./")
    found = fetch(published, tmp_path / "cache", file=tmp_path / "mine.tgz")
    assert (found / "testing_list.txt").is_file()
    assert (tmp_path / "mine.tgz").is_file()


def test_what_a_killed_process_left_of_the_unpacking_is_deleted(tmp_path):
    published = make_archive(tmp_path / "speech.tar.gz", "")
    left = tmp_path / "cache" / "archives" / f".sha256-{published.sha256}.0123.part"
    other = left.with_name(".0123456789.4567.part")
    for folder in (left, other):
        (folder / "yes").mkdir(parents=True)
    found = fetch(published, tmp_path / "cache", file=tmp_path / "speech.tar.gz")
    assert {entry.name for entry in found.parent.iterdir()} == {found.name, other.name}


def test_a_set_is_not_fetched_by_two_processes_at_once(mirror, tmp_path):
    folder, url = mirror
    published = make_archive(folder / "speech.tar.gz", "")

    def second(*_):
        with pytest.raises(InputError, match=r"another process is fetching speech\.tar\.gz"):
            fetch(published, tmp_path / "cache", mirror=url)

    assert fetch(published, tmp_path / "cache", mirror=url, on_download=second).is_dir()


def test_a_fetched_archive_that_could_not_be_unpacked_is_not_fetched_again(tmp_path):
    published = make_archive(tmp_path / "speech.tar.gz", "")
    downloads = tmp_path / "cache" / "downloads"
    downloads.mkdir(parents=True)
    (tmp_path / "speech.tar.gz").rename(downloads / "speech.tar.gz")
    assert fetch(published, tmp_path / "cache", mirror="http://127.0.0.1:9").is_dir()
    assert not (downloads / "speech.tar.gz").exists()


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda content: content + b"x", r"mine\.tgz is not mine\.tgz: it has .* bytes"),
        (lambda content: content[:-1] + b"x", r"its SHA-256 is .* is expected"),
    ],
)
def test_another_file_is_refused(tmp_path, change, message):
    published = make_archive(tmp_path / "mine.tgz", "")
    (tmp_path / "mine.tgz").write_bytes(change((tmp_path / "mine.tgz").read_bytes()))
    with pytest.raises(InputError, match=message):
        fetch(published, tmp_path / "cache", file=tmp_path / "mine.tgz")
    assert not (tmp_path / "cache").exists()


def test_a_file_that_is_not_there_is_refused(tmp_path):
    with pytest.raises(InputError, match=r"no file at .*gone; give the path of speech_commands"):
        fetch(PUBLISHED["speech-commands-v1"], tmp_path, file=tmp_path / "gone")


def test_a_mirror_that_is_not_there_leaves_nothing(tmp_path):
    from kws.download import Patience

    with pytest.raises(KwsError, match=r"http://127\.0\.0\.1:9/speech_commands_v0\.02\.tar\.gz"):
        fetch(
            PUBLISHED["speech-commands-v2"], tmp_path / "cache", mirror="http://127.0.0.1:9/",
            patience=Patience(tries=1),
        )  # fmt: skip
    assert not (tmp_path / "cache" / "archives").exists()


def test_a_set_that_was_not_fetched_names_the_command(tmp_path):
    with pytest.raises(InputError, match=r"\(2\.4 GB\).*ponas data prepare speech-commands-v2"):
        fetched_folder(PUBLISHED["speech-commands-v2"], tmp_path)
