"""Training of an LSTM language model in PyTorch, in its usual style.

  python benchmarks/peers/torch_lstm.py RECIPE eager|compile float32|bfloat16
"""
import os
import pathlib
import sys

import numpy as np
import torch
from torch import nn
import torch.nn.functional as F

ROOT = pathlib.Path(__file__).resolve().parents[2]
sys.path[:0] = [str(ROOT), str(ROOT / 'benchmarks')]

from lmjax.core import allocator
import paired
import recipes


class LSTM(nn.Module):
  """Embedding, `nn.LSTM`, and an untied head."""

  def __init__(self, recipe):
    super().__init__()
    self.embed = nn.Embedding(recipe.vocab_size, recipe.width)
    self.layers = nn.LSTM(recipe.width, recipe.width, recipe.num_layers)
    self.head = nn.Linear(recipe.width, recipe.vocab_size)
    for parameter in self.parameters():
      nn.init.uniform_(parameter, -0.05, 0.05)

  def forward(self, inputs, targets, state):
    h, state = self.layers(self.embed(inputs), state)
    logits = self.head(h)
    return F.cross_entropy(
        logits.view(-1, logits.shape[-1]), targets.reshape(-1)), state


def main(name: str, mode: str, dtype: str) -> None:
  allocator.keep_pages()
  torch.set_num_threads(int(os.environ['OMP_NUM_THREADS']))
  torch.manual_seed(0)
  recipe = recipes.RECIPES[name]
  model = LSTM(recipe)
  forward = torch.compile(model) if mode == 'compile' else model
  optimizer = torch.optim.SGD(model.parameters(), lr=recipe.learning_rate)
  batches = [torch.from_numpy(recipe.rows(i).astype(np.int64).T.copy())
             for i in range(4)]  # Time first, as nn.LSTM is fastest.
  zeros = torch.zeros(recipe.num_layers, recipe.batch, recipe.width)
  state = (zeros, zeros)

  def work(count):
    nonlocal state
    for i in range(count):
      rows = batches[i % len(batches)]
      with torch.autocast('cpu', torch.bfloat16, enabled=dtype == 'bfloat16'):
        loss, state = forward(rows[:-1], rows[1:], state)
      state = tuple(part.detach() for part in state)
      optimizer.zero_grad(set_to_none=True)
      loss.backward()
      nn.utils.clip_grad_norm_(model.parameters(), recipe.clip_norm)
      optimizer.step()
    loss.item()

  paired.serve(work, torch=torch.__version__)


if __name__ == '__main__':
  main(*sys.argv[1:])
