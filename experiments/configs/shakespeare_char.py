r"""Tiny Shakespeare as characters: nanoGPT's recipe for a CPU.

  python experiments/pretrain.py --workdir=runs/char --config=shakespeare_char \
      --config.data.source.paths=input.txt

Published: 1.88 nats per character, on random crops of the validation split
(nanoGPT's README). Expected on the whole split, as means of seeds 0, 1 and 2:
1.888 with stride 32 (1.883, 1.896, 1.883), 1.913 with disjoint windows (stride
64: 1.907, 1.922, 1.910); tolerance for other seeds 0.02. Takes 76 s of
training, 95 s in total, on 2 cores of an Intel Xeon.
"""
from lmjax.data import packing
from lmjax.data import pipeline
from lmjax.data.text import sources
from lmjax.data.text import splits
from lmjax.data.tokenizers import symbols
from lmjax.evaluation import scoring
from lmjax import experiment
from lmjax.generation import samples
from lmjax.models.presets import decoders
from lmjax.training.optimizers import adamw
from lmjax.training.optimizers import schedules
from lmjax.training import options


def get_config():
  return experiment.Pretrain(
      data=pipeline.DataConfig(
          source=sources.TextFiles(paths=('input.txt',)),
          split=splits.PositionSplit(valid=0.1),
          tokenizer=symbols.Characters(bos=False, eos=False),
          packing=packing.Crops(),
          batch_size=12),
      model=decoders.gpt2(
          128, 4, 4, vocab_size=None, context=64, bias=False),
      optimizer=adamw.AdamW(
          learning_rate=1e-3, b2=0.99, weight_decay=0.1, clip_norm=1.0,
          schedule=schedules.Cosine(warmup=100, final=0.1)),
      training=options.Training(steps=2000, eval_every=500, log_every=50),
      scoring=scoring.Scoring(stride=32),
      samples=samples.Samples(prompts=('\n',) * 3, max_new_tokens=63))
