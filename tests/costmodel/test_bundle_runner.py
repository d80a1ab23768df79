"""The runner `bundle`: folders that are run here, natively and emulated."""

import pytest
from boards import board_target, emulator_of
from carrying import CarriedRunner
from runner_contract import RunnerContract

from costmodel.runners.object_pool import ObjectPool


@pytest.fixture(scope="module")
def pool():
    """A compiler that has imported TVM."""
    pool = ObjectPool(1)
    yield pool
    pool.close()


class BundleContract(RunnerContract):
    processor: str

    @pytest.fixture
    def target(self):
        target = board_target(self.processor)
        emulator_of(target)
        return target

    @pytest.fixture
    def runner(self, target, pool, tmp_path):
        with CarriedRunner(target, tmp_path, pool) as runner:
            yield runner


class TestBundleRunner(BundleContract):
    processor = "x86-64"


class TestEmulatedBundleRunner(BundleContract):
    processor = "cortex-a15"
