"""Trackers by name, each a config that opens a place where runs are watched."""
from typing import Union

from lmjax.training.trackers import ml_flow
from lmjax.training.trackers import tensorboard
from lmjax.training.trackers import weights_biases

TRACKERS = {
    'MLflow': ml_flow.MLflow,
    'TensorBoard': tensorboard.TensorBoard,
    'WandB': weights_biases.WandB,
}
Config = Union[tuple(TRACKERS.values())]
