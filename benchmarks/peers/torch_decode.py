"""Greedy decoding of GPT-2 (124M) in plain PyTorch, with its own cache.

  python benchmarks/peers/torch_decode.py BATCH PROMPT NEW

It is written as a careful user would write it: keys and values are written in
place into buffers of the final length, and attention reads their filled part.
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

VOCAB, CONTEXT, WIDTH, LAYERS, HEADS = 50257, 1024, 768, 12, 12


class Block(nn.Module):
  """Pre-norm block that reads and writes the cache of its layer."""

  def __init__(self):
    super().__init__()
    self.mixer_norm = nn.LayerNorm(WIDTH)
    self.query_key_value = nn.Linear(WIDTH, 3 * WIDTH)
    self.out = nn.Linear(WIDTH, WIDTH)
    self.mlp_norm = nn.LayerNorm(WIDTH)
    self.mlp_in = nn.Linear(WIDTH, 4 * WIDTH)
    self.mlp_out = nn.Linear(4 * WIDTH, WIDTH)

  def forward(self, x, keys, values, start):
    batch, length, _ = x.shape
    q, k, v = (
        part.view(batch, length, HEADS, -1).transpose(1, 2)
        for part in self.query_key_value(self.mixer_norm(x)).split(WIDTH, 2))
    end = start + length
    keys[:, :, start:end], values[:, :, start:end] = k, v
    y = F.scaled_dot_product_attention(
        q, keys[:, :, :end], values[:, :, :end], is_causal=length > 1)
    x = x + self.out(y.transpose(1, 2).reshape(batch, length, WIDTH))
    h = F.gelu(self.mlp_in(self.mlp_norm(x)), approximate='tanh')
    return x + self.mlp_out(h)


class GPT(nn.Module):
  """Embeddings, blocks, and a head tied to the token embedding."""

  def __init__(self):
    super().__init__()
    self.embed = nn.Embedding(VOCAB, WIDTH)
    self.positions = nn.Embedding(CONTEXT, WIDTH)
    self.blocks = nn.ModuleList(Block() for _ in range(LAYERS))
    self.final_norm = nn.LayerNorm(WIDTH)
    for parameter in self.parameters():
      if parameter.ndim > 1:
        nn.init.normal_(parameter, std=0.02)

  def forward(self, tokens, cache, start):
    """Returns the logits after the last token."""
    end = start + tokens.shape[1]
    x = self.embed(tokens) + self.positions.weight[start:end]
    for block, (keys, values) in zip(self.blocks, cache):
      x = block(x, keys, values, start)
    return self.final_norm(x[:, -1]) @ self.embed.weight.T


@torch.inference_mode()
def generate(model: GPT, prompts: torch.Tensor, new: int) -> torch.Tensor:
  """Returns `new` tokens for each row, each the most likely one."""
  batch, length = prompts.shape
  shape = (batch, HEADS, length + new, WIDTH // HEADS)
  cache = [(torch.empty(shape), torch.empty(shape)) for _ in model.blocks]
  tokens, start, drawn = prompts, 0, []
  for _ in range(new):
    logits = model(tokens, cache, start)
    start += tokens.shape[1]
    tokens = logits.argmax(-1, keepdim=True)
    drawn.append(tokens)
  return torch.cat(drawn, 1)


def main(batch: int, prompt: int, new: int) -> None:
  allocator.keep_pages()
  torch.set_num_threads(int(os.environ['OMP_NUM_THREADS']))
  torch.manual_seed(0)
  model = GPT().eval()
  prompts = torch.from_numpy(np.random.default_rng(0).integers(
      VOCAB, size=(batch, prompt)))

  def work(count):
    for _ in range(count):
      assert generate(model, prompts, new).shape == (batch, new)

  paired.serve(work, torch=torch.__version__)


if __name__ == '__main__':
  main(*map(int, sys.argv[1:]))
