"""Downloads from servers on this machine that do what real ones do on a bad day."""

import hashlib
import random
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from kws.download import Patience, download
from kws.errors import InputError, KwsError, StorageError
from kws.http_part import RemoteFile

CONTENT = random.Random(0).randbytes(300_000)
OTHER = random.Random(1).randbytes(300_000)
HASTY = Patience(silence_s=0.3, tries=3, progress_bytes=10_000, pause_s=0.0)


class Server:
    """Answers each request with the next of ``answers``, and the last one from then on."""

    def __init__(self):
        self.answers = []
        self.ranges = []
        self.conditions = []
        outer = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self):
                outer.ranges.append(self.headers.get("Range"))
                outer.conditions.append(self.headers.get("If-Range"))
                answer = outer.answers.pop(0) if len(outer.answers) > 1 else outer.answers[0]
                answer(self)

            def log_message(self, *_):
                pass

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        threading.Thread(target=self._server.serve_forever, args=(0.01,), daemon=True).start()
        self.url = f"http://127.0.0.1:{self._server.server_port}/speech.tar.gz"

    def close(self):
        self._server.shutdown()
        self._server.server_close()


@pytest.fixture(autouse=True)
def no_proxy(monkeypatch):
    for name in ("http_proxy", "no_proxy"):
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.upper(), raising=False)
    monkeypatch.setattr("urllib.request._opener", None)  # keeps what the environment was


@pytest.fixture
def server():
    found = Server()
    yield found
    found.close()


def serve(content=CONTENT, *, etag='"one"', most=None, stall=False, heeds_range=True, length=None):
    """A server's answer, up to ``most`` bytes of it and then the end, or silence."""

    def answer(request):
        asked = request.headers.get("Range")
        condition = request.headers.get("If-Range")
        start = 0
        if asked and heeds_range and condition in (None, etag):
            start = int(asked.removeprefix("bytes=").removesuffix("-"))
        body = content[start:]
        request.send_response(206 if start else 200)
        if start:
            place = f"bytes {start}-{len(content) - 1}/{len(content)}"
            request.send_header("Content-Range", place)
        if etag:
            request.send_header("ETag", etag)
        if length != "none":
            request.send_header("Content-Length", str(length or len(body)))
        request.end_headers()
        request.wfile.write(body[:most])
        request.wfile.flush()
        if stall:
            time.sleep(2 * HASTY.silence_s)
        request.close_connection = True

    return answer


def refuse(status):
    return lambda request: request.send_error(status)


def hang_up(request):
    request.connection.close()


def wanted(url, content=CONTENT):
    return RemoteFile(url=url, size_bytes=len(content), sha256=hashlib.sha256(content).hexdigest())


def fetch(server, folder, **changes):
    download(wanted(server.url), folder / "speech.tar.gz", patience=HASTY, **changes)
    return (folder / "speech.tar.gz").read_bytes()


def starts(server):
    return [int(r.removeprefix("bytes=").removesuffix("-")) if r else 0 for r in server.ranges]


def test_a_file_comes_whole_with_progress_and_leaves_nothing_else(server, tmp_path):
    server.answers = [serve()]
    told = []
    assert fetch(server, tmp_path, on_progress=lambda *done: told.append(done)) == CONTENT
    assert told[-1] == (300_000, 300_000)
    assert told == sorted(told)
    assert {p.name for p in tmp_path.iterdir()} <= {"speech.tar.gz", "speech.tar.gz.part.lock"}


@pytest.mark.parametrize("stall", [False, True])
def test_what_broke_off_or_fell_silent_goes_on_where_it_was(server, tmp_path, stall):
    server.answers = [serve(most=100_000, stall=stall)] * 2 + [serve()]
    assert fetch(server, tmp_path) == CONTENT
    assert starts(server) == [0, 100_000, 200_000]
    assert server.conditions == [None, '"one"', '"one"']


def test_an_interrupted_call_is_continued_by_the_next(server, tmp_path):
    class Interrupt(BaseException):
        pass

    def interrupt(done, _total):
        if done > 50_000:
            raise Interrupt

    server.answers = [serve(most=100_000, stall=True), serve()]
    with pytest.raises(Interrupt):
        fetch(server, tmp_path, on_progress=interrupt)
    assert fetch(server, tmp_path) == CONTENT
    assert 50_000 < starts(server)[1] <= 100_000


def test_a_server_that_gives_up_again_and_again_is_given_up(server, tmp_path):
    server.answers = [serve(most=50_000), serve(most=0)]
    with pytest.raises(KwsError, match=r"ended early \(50,000 of 300,000 bytes.*run it again"):
        fetch(server, tmp_path)
    assert starts(server) == [0, 50_000, 50_000]
    assert not (tmp_path / "speech.tar.gz").exists()
    server.answers = [serve()]
    assert fetch(server, tmp_path) == CONTENT
    assert starts(server)[-1] == 50_000


def test_silence_from_the_first_byte_is_given_up(server, tmp_path):
    server.answers = [lambda _: time.sleep(2 * HASTY.silence_s)]
    with pytest.raises(KwsError, match=r"silent for 0\.3 seconds"):
        fetch(server, tmp_path)
    assert len(server.ranges) == HASTY.tries


@pytest.mark.parametrize("trouble", [refuse(500), refuse(503), refuse(429), hang_up])
def test_passing_trouble_is_tried_again(server, tmp_path, trouble):
    server.answers = [trouble, serve(most=100_000), trouble, serve()]
    assert fetch(server, tmp_path) == CONTENT


@pytest.mark.parametrize("status", [403, 404, 410])
def test_a_file_that_is_not_there_is_refused_at_once(server, tmp_path, status):
    server.answers = [refuse(status)]
    with pytest.raises(InputError, match=rf"the server answers {status} .*--mirror"):
        fetch(server, tmp_path)
    assert len(server.ranges) == 1


def test_a_server_that_ignores_ranges_starts_again_from_the_beginning(server, tmp_path):
    server.answers = [serve(most=100_000), serve(heeds_range=False)]
    assert fetch(server, tmp_path) == CONTENT
    assert starts(server) == [0, 100_000]


def test_a_file_that_changed_between_two_tries_is_fetched_anew(server, tmp_path):
    server.answers = [serve(OTHER, etag='"old"', most=100_000), serve()]
    assert fetch(server, tmp_path) == CONTENT


def test_a_changed_file_of_a_server_that_ignores_conditions_is_fetched_anew(server, tmp_path):
    def careless(request):
        request.headers.replace_header("If-Range", '"new"')
        serve(etag='"new"')(request)

    server.answers = [serve(OTHER, etag='"old"', most=100_000), careless, serve(etag='"new"')]
    assert fetch(server, tmp_path) == CONTENT
    assert starts(server) == [0, 100_000, 0]


def test_pieces_of_two_files_are_told_by_the_digest_and_fetched_anew(server, tmp_path):
    server.answers = [serve(OTHER, etag=None, most=100_000), serve(etag=None)]
    assert fetch(server, tmp_path) == CONTENT
    assert starts(server) == [0, 100_000, 0]


def test_a_server_that_says_nothing_of_the_version_of_a_part_is_trusted(server, tmp_path):
    def tacit(request):
        request.headers.replace_header("If-Range", None)
        serve(etag=None)(request)

    server.answers = [serve(most=100_000), tacit]
    assert fetch(server, tmp_path) == CONTENT
    assert starts(server) == [0, 100_000]


def test_a_file_that_changes_at_every_try_is_given_up(server, tmp_path):
    def changing(request):
        tag = f'"{len(server.ranges)}"'
        if request.headers.get("If-Range"):
            request.headers.replace_header("If-Range", tag)
        serve(etag=tag, most=100_000)(request)

    server.answers = [changing]
    with pytest.raises(KwsError, match="the file has changed on the server"):
        fetch(server, tmp_path)


def test_what_is_here_of_another_address_is_used(server, tmp_path):
    (tmp_path / "speech.tar.gz.part").write_bytes(CONTENT[:120_000])
    (tmp_path / "speech.tar.gz.part.json").write_text('{"url": "http://x/", "validator": "y"}')
    server.answers = [serve()]
    assert fetch(server, tmp_path) == CONTENT
    assert (starts(server), server.conditions) == ([120_000], [None])


@pytest.mark.parametrize("leftover", [CONTENT + b"more", OTHER])
def test_what_is_here_and_wrong_is_fetched_anew(server, tmp_path, leftover):
    (tmp_path / "speech.tar.gz.part").write_bytes(leftover)
    server.answers = [serve()]
    assert fetch(server, tmp_path) == CONTENT


def test_what_is_here_complete_needs_no_server(tmp_path):
    (tmp_path / "a.part").write_bytes(CONTENT)
    download(wanted("http://127.0.0.1:9/"), tmp_path / "a", patience=HASTY)
    assert (tmp_path / "a").read_bytes() == CONTENT


def test_a_part_that_the_server_does_not_know_is_fetched_anew(server, tmp_path):
    (tmp_path / "speech.tar.gz.part").write_bytes(CONTENT[:1000])
    server.answers = [refuse(416), serve()]
    assert fetch(server, tmp_path) == CONTENT
    assert starts(server) == [1000, 0]


def test_a_file_of_the_right_size_and_wrong_content_is_refused(server, tmp_path):
    server.answers = [serve(OTHER)]
    with pytest.raises(InputError, match=r"is another file: its SHA-256 is .* is expected"):
        fetch(server, tmp_path)
    assert len(server.ranges) == 1
    assert not list(tmp_path.glob("*.part")) + list(tmp_path.glob("*.gz"))


@pytest.mark.parametrize(
    ("answer", "message"),
    [
        (serve(CONTENT[:-1]), "it has 299,999 bytes, 300,000 are expected"),
        (serve(length=12), "it has 12 bytes, 300,000 are expected"),
        (serve(CONTENT + b"more", length="none"), "it has more than 300,000 bytes"),
    ],
)
def test_a_file_of_another_size_is_refused(server, tmp_path, answer, message):
    server.answers = [answer]
    with pytest.raises(InputError, match=message):
        fetch(server, tmp_path)
    assert len(server.ranges) == 1


def test_a_promised_length_that_does_not_come_is_a_broken_connection(server, tmp_path):
    server.answers = [serve(most=299_000), serve()]
    assert fetch(server, tmp_path) == CONTENT


def test_no_length_is_no_trouble(server, tmp_path):
    server.answers = [serve(length="none")]
    assert fetch(server, tmp_path) == CONTENT


def test_a_login_page_is_not_taken_for_the_file(server, tmp_path):
    def page(request):
        request.send_response(200)
        request.send_header("Content-Type", "text/html; charset=utf-8")
        request.end_headers()
        request.wfile.write(b"<html>Welcome to the hotel</html>")

    server.answers = [page]
    with pytest.raises(InputError, match="a web page came and not the file"):
        fetch(server, tmp_path)


def test_a_redirection_is_followed(server, tmp_path):
    def elsewhere(request):
        request.send_response(302)
        request.send_header("Location", server.url)
        request.send_header("Content-Length", "0")
        request.end_headers()

    server.answers = [elsewhere, serve()]
    assert fetch(server, tmp_path) == CONTENT


def test_a_proxy_of_the_environment_is_asked(server, tmp_path, monkeypatch):
    monkeypatch.setenv("http_proxy", server.url.removesuffix("/speech.tar.gz"))
    server.answers = [serve()]
    download(wanted("http://speech.invalid/a.tar.gz"), tmp_path / "a", patience=HASTY)
    assert (tmp_path / "a").read_bytes() == CONTENT


def test_a_server_that_is_not_there_is_named(tmp_path):
    with pytest.raises(KwsError, match=r"http://127.0.0.1:9/x: .*refused.*network or its proxy"):
        download(wanted("http://127.0.0.1:9/x"), tmp_path / "a", patience=HASTY)


@pytest.mark.parametrize(
    "url", ["file:///etc/passwd", "speech.tar.gz", "https://", "ftp://a/b", "http://[a"]
)
def test_what_is_no_web_address_is_refused(tmp_path, url):
    with pytest.raises(InputError, match="is no address"):
        download(wanted(url), tmp_path / "a", patience=HASTY)


def test_a_disk_without_room_is_told_before_the_download(server, tmp_path, monkeypatch):
    monkeypatch.setattr("shutil.disk_usage", lambda _: type("Usage", (), {"free": 1000}))
    with pytest.raises(StorageError, match="make some room there"):
        fetch(server, tmp_path)
    assert server.ranges == []


def test_two_processes_do_not_fetch_the_same_file_at_once(server, tmp_path):
    def second(_request):
        with pytest.raises(InputError, match=r"another process is fetching speech\.tar\.gz\.part"):
            fetch(server, tmp_path)
        serve()(_request)

    server.answers = [second]
    assert fetch(server, tmp_path) == CONTENT
