"""The timed training recipes, as plain numbers for lmjax and its peers."""
import dataclasses

import numpy as np


@dataclasses.dataclass(frozen=True)
class Recipe:
  """A GPT-2 style model without dropout, its batches and its optimizer."""
  vocab_size: int
  num_layers: int
  num_heads: int
  width: int
  length: int
  batch: int
  learning_rate: float = 1e-3
  b1: float = 0.9
  b2: float = 0.95
  weight_decay: float = 0.1
  clip_norm: float = 1.0
  peer = 'torch_gpt.py'

  @property
  def tokens(self) -> int:
    return self.batch * self.length

  @property
  def flops_per_token(self) -> int:
    """FLOPs of a training step per token: 6 N + 6 D V + 12 L D T.

    N is the number of weights in the blocks' kernels.
    """
    blocks = 12 * self.num_layers * self.width**2
    attention = 12 * self.num_layers * self.width * self.length
    return 6 * (blocks + self.width * self.vocab_size) + attention

  def rows(self, seed: int) -> np.ndarray:
    """Returns a batch of random ids, with rows one longer than the inputs."""
    return np.random.default_rng(seed).integers(
        self.vocab_size, size=(self.batch, self.length + 1), dtype=np.int32)


@dataclasses.dataclass(frozen=True)
class Recurrent:
  """An LSTM language model without dropout, whose state is carried over."""
  vocab_size: int
  num_layers: int
  width: int
  length: int
  batch: int
  learning_rate: float = 1.0
  clip_norm: float = 0.25
  peer = 'torch_lstm.py'

  @property
  def tokens(self) -> int:
    return self.batch * self.length

  @property
  def flops_per_token(self) -> int:
    """FLOPs of a training step per token: 6 per weight of layers and head."""
    layers = 8 * self.num_layers * self.width**2
    return 6 * (layers + self.width * self.vocab_size)

  rows = Recipe.rows


RECIPES = {
    'char': Recipe(65, 4, 4, 128, 64, 12),
    'char384': Recipe(65, 6, 6, 384, 256, 8),
    'gpt2': Recipe(50257, 12, 12, 768, 256, 4),
    'lstm': Recurrent(10000, 2, 650, 35, 20),  # Zaremba's medium model.
}
