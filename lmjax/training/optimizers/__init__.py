"""Optimizers by name, each a config that builds an optax transformation."""
from typing import Union

from lmjax.training.optimizers import adafactor
from lmjax.training.optimizers import adam
from lmjax.training.optimizers import adamw
from lmjax.training.optimizers import lion
from lmjax.training.optimizers import muon
from lmjax.training.optimizers import rmsprop
from lmjax.training.optimizers import sgd

OPTIMIZERS = {
    'Adafactor': adafactor.Adafactor,
    'Adam': adam.Adam,
    'AdamW': adamw.AdamW,
    'Lion': lion.Lion,
    'Muon': muon.Muon,
    'RMSProp': rmsprop.RMSProp,
    'SGD': sgd.SGD,
}
Config = Union[tuple(OPTIMIZERS.values())]
