"""Trains a tiny model of each family, for its config.json to lie about."""
import dataclasses
import pathlib

from lmjax.data.corruption import spans
from lmjax.data import pipeline
from lmjax.data.text import sources
from lmjax.data.text import splits
from lmjax.data.tokenizers import symbols
from lmjax.evaluation import scoring
from lmjax import experiment
from lmjax.generation import samples
from lmjax.models.presets import branch_norm_decoders
from lmjax.models.presets import decoders
from lmjax.models.presets import encoder_decoders
from lmjax.models.presets import encoders
from lmjax.models.presets import parallel_decoders
from lmjax.models import xlnet
from lmjax.nn import pattern
from lmjax.nn import positions
from lmjax.objectives.encoders import mlm
from lmjax.objectives import lm
from lmjax.objectives import permutation
from lmjax.objectives import seq2seq
from lmjax.recipes.loaded import trained
from lmjax.recipes import pretraining
from lmjax.training.optimizers import muon
from lmjax.training.optimizers import schedules
from lmjax.training import options

WIDTH, LAYERS, HEADS, CONTEXT = 64, 4, 4, 272


def _sized(config, **changes):
  return dataclasses.replace(
      config, vocab_size=None, context=CONTEXT, **changes)


def _llama(**changes):
  return decoders.llama(
      WIDTH, LAYERS, HEADS, 2, 176, vocab_size=None, context=CONTEXT, **changes)


def _gemma(function, **changes):
  return function(WIDTH, LAYERS, HEADS, 2, 176, vocab_size=None,
                  context=CONTEXT, head_size=16, window=16, **changes)


def _modernbert(config):
  return _sized(config, pattern=dataclasses.replace(
      config.pattern, window=16, every=2))


_FEW = pattern.LocalGlobal(
    window=16, every=2, local_positions=positions.Rotary(theta=10_000.0))

# The `model_type` of families that do not have the name of theirs.
TYPES = {'neox': 'gpt_neox', 'gemma3': 'gemma3_text', 't5_1_1': 't5'}
FAMILIES = {
    'gpt2': lambda: decoders.gpt2(
        WIDTH, LAYERS, HEADS, vocab_size=None, context=CONTEXT),
    'opt': lambda: _sized(decoders.opt(WIDTH, LAYERS, HEADS)),
    'bloom': lambda: _sized(decoders.bloom(WIDTH, LAYERS, HEADS)),
    'llama': lambda: _llama(theta=500_000.0),
    'qwen3': lambda: _llama(qk_norm=True, tied=False),
    'mistral': lambda: _llama(window=32, tied=False),
    'smollm3': lambda: decoders.smollm3(
        WIDTH, LAYERS, HEADS, 2, 176, vocab_size=None, context=CONTEXT),
    'neox': lambda: _sized(parallel_decoders.neox(WIDTH, LAYERS, HEADS)),
    'gptj': lambda: _sized(parallel_decoders.gptj(
        WIDTH, LAYERS, HEADS, turned=8)),
    'phi': lambda: _sized(parallel_decoders.phi(
        WIDTH, LAYERS, HEADS, fraction=0.5)),
    'falcon': lambda: _sized(parallel_decoders.falcon(WIDTH, LAYERS, HEADS)),
    'gemma2': lambda: _gemma(branch_norm_decoders.gemma2),
    'gemma3': lambda: dataclasses.replace(
        _gemma(branch_norm_decoders.gemma3), pattern=_FEW),
    'olmo2': lambda: branch_norm_decoders.olmo2(
        WIDTH, LAYERS, HEADS, 176, vocab_size=None, context=CONTEXT),
    'granite': lambda: branch_norm_decoders.granite(
        WIDTH, LAYERS, HEADS, 2, 176, vocab_size=None, context=CONTEXT,
        theta=10_000.0),
    'bert': lambda: _sized(encoders.bert(WIDTH, LAYERS, HEADS, dropout=0.0),
                           pooler=None),
    'roberta': lambda: _sized(encoders.roberta(
        WIDTH, LAYERS, HEADS, dropout=0.0)),
    'albert': lambda: _sized(encoders.albert(
        WIDTH, LAYERS, HEADS, size=32, pooler=None)),
    'modernbert': lambda: _modernbert(encoders.modernbert(
        WIDTH, LAYERS, HEADS, 128)),
    't5': lambda: encoder_decoders.t5(
        WIDTH, 2, HEADS, 128, vocab_size=None, context=CONTEXT, head_size=16,
        version='1.0'),
    't5_1_1': lambda: encoder_decoders.t5(
        WIDTH, 2, HEADS, 128, vocab_size=None, context=CONTEXT, head_size=16),
    'xlnet': lambda: xlnet.XLNetConfig(
        context=CONTEXT, width=WIDTH, num_layers=LAYERS, num_heads=HEADS,
        hidden=176, types=True),
}


def _objective(model):
  """Returns the objective of a family, and what the data need for it."""
  traits = model.traits
  if traits.reads_source:
    return seq2seq.Seq2Seq(), {
        'corruption': spans.SpanCorruption(), 'sentinels': 16}
  if traits.two_stream:
    return permutation.PermutationLM(), {}
  if traits.both_ways:
    return mlm.MaskedLM(), {'specials': ('[MASK]',)}
  return lm.Causal(), {}


def train(family: str, texts: list[str], folder: pathlib.Path, steps: int
          ) -> trained.Trained:
  """Returns a trained model of a family, trained now unless it was before."""
  model = FAMILIES[family]()
  objective, data = _objective(model)
  config = experiment.Pretrain(
      data=pipeline.DataConfig(
          source=sources.TextFiles(paths=tuple(texts)),
          split=splits.HashSplit(valid=0.02, test=0.0),
          tokenizer=symbols.Bytes(), length=CONTEXT - 16, batch_size=8,
          cache=str(folder / 'cache'), **data),
      model=model, objective=objective,
      optimizer=muon.Muon(
          learning_rate=4e-3, schedule=schedules.Linear(warmup=20)),
      training=options.Training(steps=steps, trackers=()),
      scoring=scoring.Scoring(tokens=500),
      samples=samples.Samples(prompts=()))
  if not (folder / family / 'report.json').is_file():
    pretraining.pretrain(config, str(folder / family))
  return trained.load(folder / family, 'latest')
