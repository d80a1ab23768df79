import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor

import pytest
from drawing import make_target, small_network

from costmodel.cache import PredictionCache, code_digest, key_of
from costmodel.partition import partition
from costmodel.predictor import Overhead, Predictor

TARGET = make_target(8)


@pytest.fixture
def path(tmp_path):
    return tmp_path / "folder" / "predictions.sqlite"


def test_what_was_put_is_found_again_and_the_last_one_wins(path):
    cache = PredictionCache(path)
    assert cache.get("a") is None
    cache.put("a", "one")
    cache.put("a", "two")
    assert cache.get("a") == "two"
    cache.close()
    assert PredictionCache(path).get("a") == "two"


def test_another_process_finds_it(path):
    PredictionCache(path).put("a", "one")
    program = (
        "import sys, pathlib; from costmodel.cache import PredictionCache;"
        "print(PredictionCache(pathlib.Path(sys.argv[1])).get('a'))"
    )
    found = subprocess.run(
        [sys.executable, "-c", program, path], capture_output=True, text=True, check=True
    )
    assert found.stdout.strip() == "one"


def test_many_writers_lose_nothing(path):
    def write(number):
        cache = PredictionCache(path)
        for i in range(20):
            cache.put(f"{number} {i}", str(i))

    with ThreadPoolExecutor(4) as pool:
        list(pool.map(write, range(4)))
    cache = PredictionCache(path)
    assert all(cache.get(f"{n} {i}") == str(i) for n in range(4) for i in range(20))


def test_a_damaged_file_is_made_again(path):
    path.parent.mkdir()
    path.write_bytes(b"this is no database " * 100)
    cache = PredictionCache(path)
    cache.put("a", "one")
    assert cache.get("a") == "one"


def test_a_place_that_cannot_be_is_no_cache_and_no_error(tmp_path):
    (tmp_path / "file").write_text("")
    cache = PredictionCache(tmp_path / "file" / "predictions.sqlite")
    cache.put("a", "one")
    assert cache.get("a") is None


def test_keys_tell_parts_apart():
    assert key_of("ab", "c") != key_of("a", "bc") != key_of("abc")
    assert key_of("a", "b") == key_of("a", "b")


def kernels(target):
    return [step.kernel for step in partition(small_network(), target)]


def test_a_second_predictor_lowers_nothing(path, monkeypatch):
    first = Predictor(TARGET, None, Overhead(), PredictionCache(path))
    expected = [first.choose(kernel) for kernel in kernels(TARGET)]
    monkeypatch.setattr("costmodel.predictor.lower", lambda *_: pytest.fail("lowered again"))
    second = Predictor(TARGET, None, Overhead(), PredictionCache(path))
    assert [second.choose(kernel) for kernel in kernels(TARGET)] == expected


@pytest.mark.parametrize("change", ["facts", "model", "code"])
def test_what_a_prediction_depends_on_is_in_its_key(change, path, monkeypatch):
    (kernel, *_) = kernels(TARGET)
    Predictor(TARGET, None, Overhead(), PredictionCache(path)).choose(kernel)
    target, name = TARGET, ""
    if change == "facts":
        target = make_target(8, frequency_mhz=2000.0)
    elif change == "model":
        name = "another"
    else:
        monkeypatch.setattr("costmodel.predictor.code_digest", lambda: "another")
    lowered = []
    monkeypatch.setattr("costmodel.predictor.lower", lambda *given: lowered.append(given))
    with pytest.raises(AttributeError):
        Predictor(target, None, Overhead(), PredictionCache(path), name).choose(kernel)
    assert len(lowered) == 1


def test_the_codes_digest_is_short_and_stays():
    assert code_digest() == code_digest()
    assert len(code_digest()) == 16
