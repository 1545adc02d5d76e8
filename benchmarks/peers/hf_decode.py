"""Greedy decoding of GPT-2 (124M) with Hugging Face's `generate`.

  python benchmarks/peers/hf_decode.py BATCH PROMPT NEW
"""
import os
import pathlib
import sys

import numpy as np
import torch
import transformers

ROOT = pathlib.Path(__file__).resolve().parents[2]
sys.path[:0] = [str(ROOT), str(ROOT / 'benchmarks')]

from lmjax.core import allocator
import paired


def main(batch: int, prompt: int, new: int) -> None:
  allocator.keep_pages()
  torch.set_num_threads(int(os.environ['OMP_NUM_THREADS']))
  torch.manual_seed(0)
  config = transformers.GPT2Config()
  model = transformers.GPT2LMHeadModel(config).eval()
  prompts = torch.from_numpy(np.random.default_rng(0).integers(
      config.vocab_size, size=(batch, prompt)))
  ones = torch.ones_like(prompts)

  def work(count):
    for _ in range(count):
      with torch.inference_mode():
        rows = model.generate(
            prompts, attention_mask=ones, max_new_tokens=new,
            min_new_tokens=new, do_sample=False, pad_token_id=0)
      assert rows.shape == (batch, prompt + new)

  paired.serve(work, transformers=transformers.__version__)


if __name__ == '__main__':
  main(*map(int, sys.argv[1:]))
