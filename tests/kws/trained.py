"""Networks that look trained: batch norms with statistics, normalisation away from 0 and 1."""

import numpy as np
import torch

from kws.architecture import Architecture
from kws.features import Normalisation
from kws.mfcc import MfccSettings
from kws.model_file import SavedModel
from kws.module import to_module

WORDS = ("ja", "nein", "größer", "stop")


def lived_model(text, *, seed=0, words=WORDS, settings=None):
    """A network of random weights and statistics, as after a training."""
    architecture, settings = Architecture.parse(text), settings or MfccSettings()
    module = to_module(architecture, len(words), input_shape=(*settings.shape, 1), seed=seed)
    generator = torch.Generator().manual_seed(seed)
    state = module.state_dict()
    for name, tensor in state.items():
        if name.startswith("bn") and tensor.is_floating_point():
            tensor.uniform_(0.2, 2.0, generator=generator)
        if name.endswith("running_mean"):
            tensor.normal_(generator=generator)
    drawn = np.random.default_rng(seed).normal(size=settings.shape[0])
    return SavedModel(
        architecture=architecture,
        module=module.eval(),
        words=words,
        settings=settings,
        normalisation=Normalisation((40 * drawn).astype(np.float32), 55.5),
    )


def random_features(model, clips, seed=1):
    """Features [N, H, W] as wide as real ones, not normalised."""
    drawn = np.random.default_rng(seed).normal(size=(clips, *model.settings.shape))
    return (drawn * model.normalisation.std + model.normalisation.mean[:, None]).astype(np.float32)
