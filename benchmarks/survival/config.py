"""A run that takes seconds, with one layer, packed rows and dropout."""
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
          source=sources.TextFiles(paths=('text.txt',), split_on='paragraph'),
          split=splits.HashSplit(valid=0.1, test=0.0),
          tokenizer=symbols.Bytes(),
          batch_size=8),
      model=decoders.gpt2(
          32, 1, 2, vocab_size=None, context=32, dropout=0.1),
      optimizer=adamw.AdamW(
          learning_rate=3e-3, schedule=schedules.Cosine(warmup=10)),
      training=options.Training(
          steps=80, log_every=1, save_every=4, eval_every=20, eval_tokens=400,
          keep_last=2),
      scoring=scoring.Scoring(tokens=400),
      samples=samples.Samples(prompts=()))
