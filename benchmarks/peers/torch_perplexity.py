"""Strided perplexity of GPT-2 in PyTorch, in its usual style.

  python benchmarks/peers/torch_perplexity.py TOKENS CONTEXT STRIDE

It processes one window at a time, sets targets that were scored before to -100,
and multiplies the mean cross-entropy of a window by its scored tokens. This is
the loop of Hugging Face's page on the perplexity of fixed-length models, with a
model that has no overhead.
"""
import dataclasses
import os
import pathlib
import sys

import numpy as np
import torch

ROOT = pathlib.Path(__file__).resolve().parents[2]
sys.path[:0] = [str(ROOT), str(ROOT / 'benchmarks')]

from lmjax.core import allocator
import paired
from peers import torch_gpt
import recipes


@torch.inference_mode()
def nats(model, document, context, stride):
  """Returns the nats per token, given the first token."""
  total, scored_to, last = 0.0, 0, len(document) - 1
  for begin in range(0, last, stride):
    end = min(begin + context, last)
    inputs = document[None, begin:end]
    targets = document[None, begin + 1:end + 1].clone()
    targets[:, :scored_to - begin] = -100
    total += model(inputs, targets).item() * (end - scored_to)
    scored_to = end
    if end == last:
      return total / last


def main(tokens: int, context: int, stride: int) -> None:
  allocator.keep_pages()
  torch.set_num_threads(int(os.environ['OMP_NUM_THREADS']))
  torch.manual_seed(0)
  recipe = dataclasses.replace(recipes.RECIPES['gpt2'], length=context)
  model = torch_gpt.GPT(recipe).eval()
  document = torch.from_numpy(np.random.default_rng(0).integers(
      recipe.vocab_size, size=tokens))

  def work(count):
    for _ in range(count):
      nats(model, document, context, stride)

  paired.serve(work, torch=torch.__version__)


if __name__ == '__main__':
  main(*map(int, sys.argv[1:]))
