"""Exported libraries against torch and librosa: here, and on emulated boards."""

import json
import subprocess
import threading

import numpy as np
import pytest
import torch
from exported import answers, emulator, link

import tools.tvm_engine
from costmodel.crossbuild import toolchain
from costmodel.errors import DeviceError
from costmodel.errors import InputError as CostModelInputError
from kws.architecture import Architecture
from kws.errors import InputError, StorageError
from kws.features import Normalisation
from kws.mfcc import MfccSettings, mfcc
from kws.model_file import SavedModel
from kws.module import to_module
from tools.tvm_engine import load_engine
from tools.tvm_export import export_tvm

HOST, ARMV7, AARCH64 = "host-cpu", "odroid-xu3-a15", "raspberry-pi-3b"
WORDS = ("yes", "no", "où?", 'say "\\n"', "*/", "_silence_", "_unknown_")


def sounds():
    """Clips of 16-bit sound: noise, tones, and what is hard for decibels."""
    generator, time = np.random.default_rng(0), np.arange(16000) / 16000
    clips = [0.1 * generator.standard_normal(16000), 1e-4 * generator.standard_normal(16000)]
    clips += [np.sin(2 * np.pi * f * time) * np.exp(-5 * time) for f in (150, 900, 4000)]
    clips += [np.zeros(16000), np.where(time < 0.5, 0, clips[0]), np.sign(clips[3])]
    clips += [np.sin(2 * np.pi * (200 + f * time) * time) for f in (300, 1500)]
    return np.array(np.rint(np.clip(clips, -1, 1) * 32767), np.int16)


CLIPS = sounds()
SAMPLES = CLIPS.astype(np.float32) / 32768


@pytest.fixture(scope="module")
def home(tmp_path_factory):
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PONAS_HOME", str(tmp_path_factory.mktemp("home")))
        yield


@pytest.fixture(scope="module")
def raw():
    """The clips' features as they are."""
    return np.stack([mfcc(clip) for clip in SAMPLES])


@pytest.fixture(scope="module")
def model(raw):
    """A network that hears a different word in most clips."""
    architecture = Architecture.parse("3x3,12 4x2,10 1x1,9")
    mean = raw.mean(axis=(0, 2))
    normalisation = Normalisation(mean, float(raw.std()))
    module = to_module(architecture, len(WORDS), seed=1).eval()
    with torch.no_grad():
        logits = module(torch.from_numpy(normalisation.apply(raw))[:, None])
        module.dense.weight /= logits.std(dim=0)[:, None]
        module.dense.bias -= logits.mean(dim=0)
        module.dense.bias /= logits.std(dim=0)
    return SavedModel(
        architecture=architecture, module=module, words=WORDS, settings=MfccSettings(),
        normalisation=normalisation,
    )  # fmt: skip


@pytest.fixture(scope="module")
def features(model, raw):
    return model.normalisation.apply(raw)


@pytest.fixture(scope="module")
def logits(model, features):
    with torch.inference_mode():
        return model.module(torch.from_numpy(features)[:, None]).numpy()


@pytest.fixture(scope="module")
def exported(model, home, tmp_path_factory):  # noqa: ARG001
    """Folders by profile, written when first asked for."""
    folders = {}

    def folder(profile):
        emulator(profile)  # nothing is built that cannot be run
        if profile not in folders:
            folders[profile] = export_tvm(model, profile, tmp_path_factory.mktemp("out") / "lib")
        return folders[profile].folder

    return folder


def largest_error(found, truth):
    return np.abs(found - truth).max() / np.abs(truth).max()


def confidence(logits):
    return torch.softmax(torch.from_numpy(logits), 1).numpy()


def test_the_library_computes_here_what_torch_and_librosa_do(exported, features, logits):
    engine = load_engine(exported(HOST))
    assert engine.words == WORDS
    assert engine.settings == MfccSettings()
    assert largest_error(engine(features), logits) < 1e-5
    for clip, expected, answer in zip(SAMPLES, features, confidence(logits), strict=True):
        assert largest_error(engine.features(clip), expected) < 1e-5
        np.testing.assert_allclose(engine.listen(clip), answer, atol=1e-5)


@pytest.mark.parametrize("profile", [HOST, ARMV7, AARCH64])
def test_the_archive_computes_the_same_on_every_platform(exported, profile, features, logits):
    folder = exported(profile)
    found = answers(folder, profile, "features", SAMPLES)
    assert largest_error(found.reshape(features.shape), features) < 1e-5
    assert largest_error(answers(folder, profile, "classify", features), logits) < 1e-4
    np.testing.assert_allclose(
        answers(folder, profile, "listen", SAMPLES), confidence(logits), atol=1e-4
    )


@pytest.mark.parametrize("profile", [HOST, ARMV7, AARCH64])
def test_the_example_prints_the_word_that_torch_hears(exported, profile, logits, tmp_path):
    folder = exported(profile)
    program = link(folder, profile, folder / "example.c", tmp_path / "example")
    heard = logits.argmax(axis=1)
    assert len(set(heard)) >= 3  # else any word would do
    for clip, word, shares in zip(CLIPS, heard, confidence(logits), strict=True):
        command = [*emulator(profile), str(program)]
        said = subprocess.run(command, input=clip.tobytes(), capture_output=True, check=True)
        found, share = said.stdout.decode().strip().rsplit(" ", 1)
        assert found == WORDS[word]
        assert float(share) == pytest.approx(shares[word], abs=2e-3)


def test_the_folder_says_what_is_in_the_library(exported, model):
    folder = exported(ARMV7)
    assert sorted(path.name for path in folder.iterdir()) == [
        "README.txt", "example.c", "keywords.h", "libkeywords.a", "libkeywords.so", "model.json",
    ]  # fmt: skip
    told = json.loads((folder / "model.json").read_text())
    assert (told["architecture"], told["profile"]) == (str(model.architecture), ARMV7)
    assert told["words"] == list(WORDS)
    assert told["normalisation"]["std"] == model.normalisation.std
    assert told["target"]["mcpu"] == "cortex-a15"
    assert len(told["kernels"]) == 5  # three units, pooling, classifier
    parts = sum(kernel["predicted_ms"] for kernel in told["kernels"])
    assert parts <= told["predicted_ms"] * 1.0001
    assert all(kernel["schedule"] for kernel in told["kernels"])


def test_one_call_runs_at_a_time_from_however_many_threads(exported, features, logits):
    engine, wrong = load_engine(exported(HOST)), []

    def ask(turns):
        for i in turns:
            clip = i % len(features)
            if largest_error(engine(features[clip : clip + 1]), logits[clip : clip + 1]) > 1e-4:
                wrong.append(i)

    threads = [threading.Thread(target=ask, args=(range(i, 100 + i),)) for i in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not wrong


def test_a_gpu_is_told_what_there_is_instead(model, home, tmp_path):  # noqa: ARG001
    with pytest.raises(CostModelInputError, match=r"a GPU.*--format onnx.*--profile host-cpu"):
        export_tvm(model, "gtx-1080ti", tmp_path / "out")


@pytest.mark.parametrize("name", ["Keywords", "a-b", "", "1st", "x" * 33])
def test_a_name_that_c_cannot_have_is_refused(model, home, tmp_path, name):  # noqa: ARG001
    with pytest.raises(CostModelInputError, match="cannot begin names in C"):
        export_tvm(model, HOST, tmp_path / "out", name=name)


def test_nothing_that_is_there_is_written_over(model, home, tmp_path):  # noqa: ARG001
    with pytest.raises(CostModelInputError, match="is there already"):
        export_tvm(model, HOST, tmp_path)


def test_without_the_cross_linker_the_extra_is_named(model, home, tmp_path, monkeypatch):  # noqa: ARG001
    monkeypatch.setattr(toolchain.importlib.util, "find_spec", lambda _: None)
    with pytest.raises(DeviceError, match=r"pip install 'ponas\[boards\]'"):
        export_tvm(model, HOST, tmp_path / "out")
    assert list(tmp_path.iterdir()) == []


def test_a_place_that_cannot_be_written_is_named(model, home, tmp_path):  # noqa: ARG001
    (tmp_path / "file").touch()
    with pytest.raises(StorageError, match="cannot write"):
        export_tvm(model, HOST, tmp_path / "file" / "out")


def test_a_library_of_another_processor_is_not_loaded(exported):
    with pytest.raises(InputError, match="cannot be loaded on this machine"):
        load_engine(exported(ARMV7))


def test_a_folder_of_something_else_is_not_loaded(tmp_path):
    for folder in (tmp_path, tmp_path / "absent"):
        with pytest.raises(InputError):
            load_engine(folder)
    (tmp_path / tools.tvm_engine.DESCRIPTION).write_text('{"format": 99}')
    with pytest.raises(InputError, match="no folder of this version's TVM export"):
        load_engine(tmp_path)
