"""Llama 3 8B from scratch, on your own text, in rows of 8,192 tokens.

  python experiments/plan.py --device=h100 --mesh=fsdp:64 --config=llama3_8b

Planned and compiled, but not run. Expected from the command above: 14.6 GiB of
the 74.5 GiB of each of 64 H100, and 1.9 s (if all communication overlaps with
computation) to 3.5 s (if none does) per step of a million tokens. With
--compile, the compiler for the H100 reports 10.3 GiB, after 5 s on 2 cores of
an Intel Xeon, and the compiler for the TPU v5p (--device=tpu-v5p) 16.05 GiB,
after 46 s. The model's sizes are published: Dubey et al., The Llama 3 Herd of
Models, arXiv:2407.21783, table 3; the batch is a fourth of their smallest one.
"""
import dataclasses

from lmjax.data import pipeline
from lmjax.data.text import sources
from lmjax import experiment
from lmjax.models.presets import lookup
from lmjax.objectives import lm
from lmjax.training.optimizers import adamw
from lmjax.training.optimizers import schedules
from lmjax.training import options


def get_config():
  return experiment.Pretrain(
      data=pipeline.DataConfig(
          source=sources.TextFiles(paths=('*.txt',)), batch_size=128),
      model=dataclasses.replace(
          lookup.named('llama3_8b'), dtype='bfloat16', scan=True,
          remat='full'),
      objective=lm.Causal(chunk=2048),
      optimizer=adamw.AdamW(
          learning_rate=3e-4, schedule=schedules.Cosine(warmup=2000)),
      training=options.Training(steps=100_000, eval_every=1000))
