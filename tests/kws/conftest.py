"""A tiny generated speech set and its features, made once for all tests of this room."""

from pathlib import Path

import pytest

from kws.features import FeatureSet, prepare
from kws.generated_speech import generate

MINI = Path(__file__).resolve().parents[3] / "shared" / "data" / "speech_commands_mini.tar.gz"


@pytest.fixture(scope="session")
def generated_set(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return generate(tmp_path_factory.mktemp("speech") / "generated", clips=240, seed=3, workers=2)


@pytest.fixture(scope="session")
def feature_set(generated_set: Path, tmp_path_factory: pytest.TempPathFactory) -> FeatureSet:
    return prepare(generated_set, cache_dir=tmp_path_factory.mktemp("cache"), workers=1)


@pytest.fixture(scope="session")
def human_speech() -> Path:
    if not MINI.is_file():
        pytest.skip(f"human speech is not here: {MINI}")
    return MINI
