"""Training of a GPT-2 style model in PyTorch, in its usual style.

  python benchmarks/peers/torch_gpt.py RECIPE eager|compile float32|bfloat16
"""
import math
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


class Block(nn.Module):
  """Pre-norm block with fused query, key and value, SDPA, and tanh GELU."""

  def __init__(self, recipe):
    super().__init__()
    width = recipe.width
    self.num_heads = recipe.num_heads
    self.mixer_norm = nn.LayerNorm(width)
    self.query_key_value = nn.Linear(width, 3 * width)
    self.out = nn.Linear(width, width)
    self.mlp_norm = nn.LayerNorm(width)
    self.mlp_in = nn.Linear(width, 4 * width)
    self.mlp_out = nn.Linear(4 * width, width)

  def forward(self, x):
    batch, length, width = x.shape
    q, k, v = (
        part.view(batch, length, self.num_heads, -1).transpose(1, 2)
        for part in self.query_key_value(self.mixer_norm(x)).split(width, 2))
    y = F.scaled_dot_product_attention(q, k, v, is_causal=True)
    x = x + self.out(y.transpose(1, 2).reshape(batch, length, width))
    h = F.gelu(self.mlp_in(self.mlp_norm(x)), approximate='tanh')
    return x + self.mlp_out(h)


class GPT(nn.Module):
  """Embeddings, blocks, and a head tied to the token embedding."""

  def __init__(self, recipe):
    super().__init__()
    self.embed = nn.Embedding(recipe.vocab_size, recipe.width)
    self.positions = nn.Embedding(recipe.length, recipe.width)
    self.blocks = nn.ModuleList(
        Block(recipe) for _ in range(recipe.num_layers))
    self.final_norm = nn.LayerNorm(recipe.width)
    for name, parameter in self.named_parameters():
      if parameter.ndim > 1:
        residual = name.endswith('out.weight')
        std = 0.02 / math.sqrt(2 * recipe.num_layers) if residual else 0.02
        nn.init.normal_(parameter, std=std)
      elif name.endswith('bias'):
        nn.init.zeros_(parameter)

  def forward(self, inputs, targets):
    x = self.embed(inputs) + self.positions.weight[:inputs.shape[1]]
    for block in self.blocks:
      x = block(x)
    logits = self.final_norm(x) @ self.embed.weight.T
    return F.cross_entropy(
        logits.reshape(-1, logits.shape[-1]), targets.reshape(-1))


def main(name: str, mode: str, dtype: str) -> None:
  allocator.keep_pages()
  torch.set_num_threads(int(os.environ['OMP_NUM_THREADS']))
  torch.manual_seed(0)
  recipe = recipes.RECIPES[name]
  model = GPT(recipe)
  forward = torch.compile(model) if mode == 'compile' else model
  matrices = [p for p in model.parameters() if p.ndim > 1]
  vectors = [p for p in model.parameters() if p.ndim == 1]
  optimizer = torch.optim.AdamW(
      [{'params': matrices, 'weight_decay': recipe.weight_decay},
       {'params': vectors, 'weight_decay': 0.0}],
      lr=recipe.learning_rate, betas=(recipe.b1, recipe.b2), fused=True)
  batches = [torch.from_numpy(recipe.rows(i).astype(np.int64))
             for i in range(4)]

  def work(count):
    for i in range(count):
      rows = batches[i % len(batches)]
      with torch.autocast('cpu', torch.bfloat16, enabled=dtype == 'bfloat16'):
        loss = forward(rows[:, :-1].contiguous(), rows[:, 1:].contiguous())
      optimizer.zero_grad(set_to_none=True)
      loss.backward()
      nn.utils.clip_grad_norm_(model.parameters(), recipe.clip_norm)
      optimizer.step()
    loss.item()

  paired.serve(work, torch=torch.__version__)


if __name__ == '__main__':
  main(*sys.argv[1:])
