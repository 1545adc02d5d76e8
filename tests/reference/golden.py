"""Golden logits of tiny models, whose weights follow from their names.

The weights need no torch to be drawn again, so that a file holds only a
config.json, some ids, and the logits that `transformers` computes for them.
"""
from collections.abc import Mapping
import json
import pathlib
from typing import Any
import zlib

import numpy as np

FOLDER = pathlib.Path(__file__).parents[1] / 'golden' / 'families'


def weight(name: str, shape: tuple[int, ...]) -> np.ndarray:
  """Returns the weight of a tensor, drawn so that every mistake is visible."""
  noise = np.random.default_rng(zlib.crc32(name.encode())).standard_normal(
      shape)
  if len(shape) > 1:
    noise *= 0.15
  elif 'bias' in name:
    noise *= 0.1
  else:  # The scale of a norm.
    noise = 1 + 0.1 * noise
  return noise.astype(np.float32)


def save(name: str, config: Mapping[str, Any],
         **arrays: np.ndarray) -> None:
  """Writes the file of a golden model."""
  np.savez(FOLDER / f'{name}.npz', config=json.dumps(config, sort_keys=True),
           **arrays)


def load(name: str) -> tuple[dict[str, Any], dict[str, np.ndarray]]:
  """Returns the config.json and the arrays of a golden model."""
  with np.load(FOLDER / f'{name}.npz', allow_pickle=False) as file:
    arrays = dict(file)
  return json.loads(str(arrays.pop('config'))), arrays
