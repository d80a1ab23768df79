"""Training of one architecture: seeded, interruptible, the same to the bit on a CPU.

Every random choice is a function of the seed and of what it is for (initial weights; the order
of an epoch; the augmentation of an iteration), so a run that goes on from a checkpoint does
what the run that was never interrupted did. Shapes: N clips, H coefficients, W frames.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext, suppress
from dataclasses import asdict, dataclass
from pathlib import Path

import torch

from kws.allocator import keep_freed_memory
from kws.architecture import Architecture
from kws.batch_order import derived_seed
from kws.checkpoint import Checkpoint, CurvePoint, load_checkpoint, save_checkpoint
from kws.errors import InputError, MissingToolError
from kws.evaluation import Accuracy, accuracy
from kws.features import FeatureSet
from kws.kept_weights import KeptWeights
from kws.module import KeywordNet, to_module
from kws.training_batches import TrainingBatches
from kws.training_settings import TrainingSettings
from kws.training_step import TrainingStep


@dataclass(frozen=True)
class Progress:
    """Where a run is: iterations done of all, and the last averaged training loss."""

    iteration: int
    iterations: int
    loss: float


@dataclass(frozen=True, kw_only=True, eq=False)
class TrainingResult:
    """A trained network and how it came about."""

    module: KeywordNet
    """In evaluation mode, on the device it was trained on."""

    validation: Accuracy
    """On all of the validation clips, of the network that is kept: that of the last iteration, or
    of the best evaluation (`TrainingSettings.keep_best`)."""

    curve: tuple[CurvePoint, ...]
    """The learning curve."""

    iterations: int
    seconds: float
    """Spent on training and evaluation, by all the processes that took part in the run."""


def train(
    architecture: Architecture,
    data: FeatureSet,
    settings: TrainingSettings | None = None,
    *,
    seed: int,
    device: str = "cpu",
    threads: int | None = None,
    checkpoint: Path | None = None,
    checkpoint_seconds: float = 30.0,
    on_progress: Callable[[Progress], None] | None = None,
    on_evaluation: Callable[[int, Accuracy], None] | None = None,
) -> TrainingResult:
    """Trains an architecture on the training split and evaluates it on the validation split.

    On a CPU the result is the same to the bit for the same seed, settings, data and number of
    threads, also if the run was interrupted and went on from its checkpoint.

    Args:
        architecture: What to train.
        data: From `kws.features.prepare`.
        settings: None is `TrainingSettings()`.
        seed: Where every random choice comes from.
        device: A torch device, such as ``cpu`` or ``cuda:1``.
        threads: CPU threads torch may use during this run; None leaves them as they are.
        checkpoint: Where the run's state is kept. A run of the same architecture, settings,
            seed and data goes on from there; the finished state stays until the caller
            deletes it.
        checkpoint_seconds: Time between two checkpoints.
        on_progress: Told after each point of the curve.
        on_evaluation: Told the iteration and the validation accuracy of each evaluation, before
            anything of it is kept; a run that goes on from a checkpoint is told those before it
            once more. What it raises ends the run, and would do so again after a resume.

    Raises:
        InputError: for a checkpoint of another run or a damaged one, or a negative seed.
        MissingToolError: for a device that is not there.
        StorageError: where the checkpoint cannot be written.

    """
    settings = settings or TrainingSettings()
    if seed < 0:
        raise InputError(f"a seed is a whole number from 0, got {seed}")
    keep_freed_memory()
    with _threads(threads), _current(torch_device(device)) as there:
        run = _Run(architecture, data, settings, seed=seed, device=there)
        if checkpoint is not None and checkpoint.exists():
            run.restore(load_checkpoint(checkpoint, run.fingerprint))
        for point in run.curve:
            _tell_evaluation(point, on_evaluation)
        saved_at = time.monotonic()
        while run.iteration < settings.iterations:
            run.step()
            if run.curve and run.curve[-1].iteration == run.iteration:
                if on_progress is not None:
                    on_progress(Progress(run.iteration, settings.iterations, run.curve[-1].loss))
                _tell_evaluation(run.curve[-1], on_evaluation)
            finished = run.iteration == settings.iterations
            if checkpoint is not None and (
                finished or time.monotonic() - saved_at > checkpoint_seconds
            ):
                save_checkpoint(checkpoint, run.state())
                saved_at = time.monotonic()
        return run.result()


def _tell_evaluation(
    point: CurvePoint, on_evaluation: Callable[[int, Accuracy], None] | None
) -> None:
    if point.validation is not None and on_evaluation is not None:
        on_evaluation(point.iteration, point.validation)


class _Run:
    """A training run between two iterations."""

    def __init__(
        self,
        architecture: Architecture,
        data: FeatureSet,
        settings: TrainingSettings,
        *,
        seed: int,
        device: torch.device,
    ) -> None:
        self.iteration = 0
        self.curve: list[CurvePoint] = []
        self.fingerprint = {
            "architecture": str(architecture),
            "settings": repr(sorted(asdict(settings).items())),
            "seed": str(seed),
            "data": data.digest,
        }
        self._settings = settings
        self._seed = seed
        self._began = time.monotonic()
        self._validation = (
            torch.from_numpy(data.normalised("validation")).to(device),
            torch.from_numpy(data.labels("validation")).to(device),
        )
        self._module = to_module(
            architecture,
            len(data.words),
            input_shape=(*data.settings.shape, 1),
            seed=derived_seed(seed, "weights"),
        ).to(device)
        self._kept = KeptWeights(self._module, settings)
        batches = TrainingBatches(data, settings, seed=seed, device=device)
        self._step = TrainingStep(self._module, self._kept, batches, settings)
        self._module.train()

    def step(self) -> None:
        """One iteration, with what belongs to the curve after it."""
        self._step(self.iteration)
        self.iteration += 1
        self._extend_curve()

    def state(self) -> Checkpoint:
        """Everything that `restore` needs."""
        return Checkpoint(
            fingerprint=self.fingerprint,
            iteration=self.iteration,
            seconds=time.monotonic() - self._began,
            module=self._module.state_dict(),
            optimiser=self._step.state(),
            kept=self._kept.state(),
            loss_sum=self._step.loss_sum,
            curve=tuple(self.curve),
        )

    def restore(self, checkpoint: Checkpoint) -> None:
        """Goes on where ``checkpoint`` was taken."""
        self.iteration = checkpoint.iteration
        self.curve = list(checkpoint.curve)
        self._began = time.monotonic() - checkpoint.seconds
        self._module.load_state_dict(checkpoint.module)
        self._kept.restore(checkpoint.kept)
        self._step.restore(checkpoint.optimiser, checkpoint.loss_sum)

    def result(self) -> TrainingResult:
        """The outcome, after the last iteration."""
        last = self.curve[-1].validation
        if last is None:
            raise AssertionError("the last point of a curve has an evaluation")
        module, validation = self._kept.result(last)
        module.zero_grad()  # they would keep a graph's memory
        return TrainingResult(
            module=module.eval(),
            validation=validation,
            curve=tuple(self.curve),
            iterations=self.iteration,
            seconds=time.monotonic() - self._began,
        )

    def _extend_curve(self) -> None:
        settings = self._settings
        last = self.iteration == settings.iterations
        regular = self.iteration % settings.evaluate_iterations == 0
        evaluated = last or regular or self.iteration in settings.evaluate_at
        if not evaluated and self.iteration % settings.curve_iterations:
            return
        since = self.iteration - (self.curve[-1].iteration if self.curve else 0)
        validation = None
        if evaluated:
            validation = accuracy(self._kept.module, *self._validation)
            self._kept.evaluated(validation)
        loss = float(self._step.loss_sum) / since
        self.curve.append(CurvePoint(self.iteration, loss, validation))
        self._step.loss_sum.zero_()


def torch_device(name: str) -> torch.device:
    """The device that trains, by its name in torch.

    Raises:
        InputError: for a name that is none.
        MissingToolError: for a device that is not here.

    """
    device: torch.device | None = None
    with suppress(RuntimeError):
        device = torch.device(name)
    if device is None or device.type not in ("cpu", "cuda"):
        raise InputError(f"unknown device '{name}'; write cpu, cuda or cuda:1")
    if device.type == "cuda" and (device.index or 0) >= torch.cuda.device_count():
        raise MissingToolError(
            f"no device '{name}' here: torch {torch.__version__} sees "
            f"{torch.cuda.device_count()} CUDA devices; train on cpu, or install a torch with CUDA"
        )
    return device


@contextmanager
def _current(device: torch.device) -> Iterator[torch.device]:
    """The device as torch's own current one, where it records and pins."""
    with torch.cuda.device(device) if device.type == "cuda" else nullcontext():
        yield device


@contextmanager
def _threads(count: int | None) -> Iterator[None]:
    if count is not None and count < 1:
        raise InputError(f"at least 1 thread is needed, got {count}")
    before = torch.get_num_threads()
    try:
        if count is not None:
            torch.set_num_threads(count)
        yield
    finally:
        if count is not None:
            torch.set_num_threads(before)
