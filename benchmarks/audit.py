r"""Shows which wrong fields of a config.json an import finds out.

  nice python benchmarks/audit.py --texts=botchan.txt,wiki.test.raw \
      --workdir=/tmp/audit --families=gpt2,llama
  nice python benchmarks/audit.py --runs=runs/smol,runs/stories --budget=2048

Trains a tiny model of each family on bytes of the given files, for about two
minutes on a core each (a model in the workdir is used again), or takes the
models of runs, such as imported ones. Then imports each from the tensors and
the config.json of its family: the audit must not refuse the true config. Each
field in turn is changed, several times, and the model is imported with what is
now a lie. Prints whether the import refuses it, whether the model computes the
same, whether the audit says which reading is right, or whether nothing shows;
writes everything as JSON with --out.

The lies of one field share their tokens with the truth, which is one of the
rivals of the lie. So instead of auditing each lie anew, the truth is scored
once. Where it is no rival, the lie is audited like any other model.
"""
import collections
from collections.abc import Iterator
import copy
import dataclasses
import json
import math
import pathlib
import sys
from typing import Any

ROOT = pathlib.Path(__file__).resolve().parents[1]
sys.path[:0] = [str(ROOT)]

from absl import flags
import jax
from lmjax.core import cli
from lmjax.core import errors
from lmjax.core.files import atomic
from lmjax.data.corruption import spans
from lmjax.data import pipeline
from lmjax.data.text import sources
from lmjax.data.text import splits
from lmjax.data.tokenizers import symbols
from lmjax.evaluation import scoring
from lmjax import experiment
from lmjax.generation import samples
from lmjax.interop.audit import findings as findings_lib
from lmjax.interop.audit import rivals
from lmjax.interop import checkpoint
from lmjax.interop import exporting
from lmjax.interop.families import family as family_lib
from lmjax.interop import importing
from lmjax.interop import runs
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
from lmjax.recipes import auditing
from lmjax.recipes.loaded import trained
from lmjax.recipes import pretraining
from lmjax.run import directory
from lmjax.training.optimizers import muon
from lmjax.training.optimizers import schedules
from lmjax.training import options
import numpy as np

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
_TYPES = {'neox': 'gpt_neox', 'gemma3': 'gemma3_text', 't5_1_1': 't5'}
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


# Values that a field could hold instead, by a part of its name; others are
# doubled and halved, or negated.
_VALUES = (
    ('theta', lambda old: [old * factor for factor in (
        1 / 50, 1 / 10, 1 / 2, 2, 10, 50)]),
    ('rotary_emb_base', lambda old: [old / 10, old / 2, old * 2, old * 10]),
    ('eps', lambda old: [1e-12, 1e-8, 1e-6, 1e-5, 1e-3]),
    ('feed_forward_proj', lambda old: [
        'relu', 'gelu', 'gated-relu', 'gated-gelu', 'gated-silu']),
    ('act', lambda old: ['gelu', 'gelu_new', 'relu', 'silu']),
    ('proj', lambda old: ['gelu', 'relu']),
    ('softcapping', lambda old: [10.0, 30.0, 50.0, None]),
    ('sliding_window', lambda old: [None, 8, 16, 32, 64, 128]),
    ('rope_scaling', lambda old: [
        {'rope_type': 'linear', 'factor': factor} for factor in (2.0, 8.0)]),
    ('layer_types', lambda old: [
        old[1:] + old[:1], ['full_attention'] * len(old)]),
    ('architectures', lambda old: [['Other']]),
    ('model_type', lambda old: ['llama', 'gpt2', 'bert', 't5']),
)


def lies(fields: dict[str, Any]) -> Iterator[tuple[str, str, dict[str, Any]]]:
  """Yields (field, value, config.json) with one field changed or left out."""
  for name, old in fields.items():
    for value in _others(name, old):
      if value != old or type(value) is not type(old):
        yield name, repr(value), fields | {name: value}
    yield name, 'left out', {
        other: value for other, value in fields.items() if other != name}


def _others(name, old):
  """Returns values that a field could hold instead."""
  for part, values in _VALUES:
    if part in name:
      return values(old)
  if isinstance(old, bool):
    return [not old]
  if isinstance(old, int):
    return [old * 2, old // 2, old + 1]
  if isinstance(old, float):
    return [old * 2, old / 2, 1.0] if old else [0.5]
  return [1.0] if old is None else []


def old_form(fields: dict[str, Any]) -> dict[str, Any]:
  """Returns a config.json that says nothing twice, so that one field can lie.
  """
  twice = {'rope_parameters', 'hidden_act'} if (
      'hidden_activation' in fields) else {'rope_parameters'}
  if 'rotary_emb_base' in fields:
    twice |= {'rope_theta', 'partial_rotary_factor'}
  if 'layer_types' in fields:
    twice |= {'sliding_window_pattern', 'global_attn_every_n_layers'}
  return {name: value for name, value in fields.items() if name not in twice}


class Published:
  """A model in the files of its family, to be imported under lies.

  Args:
    run: The model, its tokenizer and its context.
    model_type: The family's `model_type`; None means the first that fits.
    budget: Most tokens of the text to score, of which close calls read more.
  """

  def __init__(self, run: trained.Trained, model_type: str | None,
               budget: int):
    self.family = exporting.family_of(run.model.config, model_type)
    self.fields = old_form(self.family.fields(run.model.config))
    self.tokenizer, self.context, self.budget = (
        run.tokenizer, run.context, budget)
    self._tensors = dict(exporting.tensors(
        self.family, run.model.config, run.params))
    self.truth = self.imported(self.fields)
    self.scored = auditing.Scored(
        self._pretrained(self.truth), budget=self.budget,
        context=self.context)

  def imported(self, fields: dict[str, Any]) -> importing.Imported:
    """Returns the model under a config.json.

    Raises:
      InputError: If the import refuses it.
    """
    return importing.convert(checkpoint.Checkpoint(
        pathlib.Path('memory'), fields, self._tensors))

  def audit(self, lie: importing.Imported) -> auditing.Audit:
    """Returns the audit of a model."""
    return auditing.audit(self._pretrained(lie), budget=self.budget,
                          context=self.context, quick=True)

  def _pretrained(self, found):
    return runs.Pretrained(
        found.config, self.tokenizer, found.model, found.params, 0)

  def verdict(self, fields: dict[str, Any]) -> tuple[str, str]:
    """Returns what becomes of a config.json, and why.

    It is 'refused' by the import, computes the 'same', is 'detected' by the
    audit or is 'not told apart'.
    """
    try:
      lie = self.imported(fields)
    except errors.InputError as error:
      return 'refused', str(error)
    if _close(*(family_lib.computing(each.config) for each in (
        lie, self.truth))) and _equal(lie.params, self.truth.params):
      return 'same', 'the field does not change the model'
    # An audit of the lie scores what wins on all of the first part.
    model = rivals.plain(lie.config, lie.params)
    found = self.scored.compared(*model)
    if found.same:
      return 'same', 'all tokens are predicted alike'
    worse = f'{-found.nats:+.4f} nats, z = {-found.z:.1f}'
    right = self._right(lie)
    if right is None:  # The truth differs in more than one part from the lie.
      refusal = self.audit(lie).refusal()
      return ('not told apart', worse) if refusal is None else (
          'detected', refusal)

    def turned(found):  # How the truth compares with the lie.
      return dataclasses.replace(
          found, field=right, nats=-found.nats, z=-found.z)
    found = findings_lib.decided(
        turned(found), lambda: turned(self.scored.closer(*model)),
        lambda: turned(self.scored.calibrated(*model)))
    return 'detected' if found.wins else 'not told apart', (
        f'{right}: {found.nats:+.4f} nats, z = {found.z:.1f}')

  def _right(self, lie):
    """Returns the field of the lie's rival that is the truth, or None."""
    config, params = rivals.plain(lie.config, lie.params)
    true, true_params = rivals.plain(self.truth.config, self.truth.params)
    for rival in rivals.of(config, params, self.scored.length):
      if _close(family_lib.computing(rival.config), family_lib.computing(true)
                ) and _equal(rival.params, true_params):
        return rival.field
    return None


def _equal(first, second):
  """Returns whether two trees of parameters hold the same numbers."""
  return jax.tree.structure(first) == jax.tree.structure(second) and all(
      map(np.array_equal, jax.tree.leaves(first), jax.tree.leaves(second)))


def _close(first, second):
  """Returns whether two configs, as trees, are the same up to rounding.

  The context is left out: it only says how many positions there are.
  """
  if isinstance(first, dict) and isinstance(second, dict):
    return first.keys() == second.keys() and all(
        name == 'context' or _close(value, second[name])
        for name, value in first.items())
  if isinstance(first, (list, tuple)) and isinstance(second, (list, tuple)):
    return len(first) == len(second) and all(map(_close, first, second))
  if isinstance(first, float) and isinstance(second, float):
    return math.isclose(first, second, rel_tol=1e-6)
  return first == second


def measured(name: str, model: Published) -> dict[str, Any]:
  """Returns what becomes of the true config of a model and of each lie."""
  true = model.audit(model.truth)
  found = []
  for field, value, fields in lies(model.fields):
    what, why = model.verdict(copy.deepcopy(fields))
    found.append({'field': field, 'value': value, 'verdict': what, 'why': why})
    print(f'{name}: {field} = {value}: {what}: {why:.200}', flush=True)
  return {'nats': true.nats, 'rivals': len(true.findings),
          'seconds': true.seconds, 'false alarm': true.refusal(),
          'fields': len(model.fields), 'lies': found}


def row(name: str, result: dict[str, Any]) -> list[str]:
  """Returns the cells of a model in the table."""
  count = collections.Counter(each['verdict'] for each in result['lies'])
  missed = collections.defaultdict(list)
  for each in result['lies']:
    if each['verdict'] == 'not told apart':
      missed[each['field']].append(each['value'])
  return [name, f'{result["nats"]:.2f}', str(result['fields']),
          str(len(result['lies'])), str(count['refused']),
          str(count['detected']), str(count['same']), '; '.join(
              f'{field} = {", ".join(values)}'
              for field, values in missed.items()) or 'none',
          result['false alarm'] or 'none']


def models() -> Iterator[tuple[str, Published]]:
  """Yields the name and the model of each run and family of the flags."""
  for workdir in _RUNS.value:
    run = trained.load(workdir)
    facts = runs.read_imported(directory.RunDir(pathlib.Path(workdir)))
    yield pathlib.Path(workdir).name, Published(
        run, facts.get('model_type'), _BUDGET.value)
  families = [] if _RUNS.value and not _FAMILIES.value else (
      _FAMILIES.value or FAMILIES)
  if families and not (_TEXTS.value and _WORKDIR.value):
    raise errors.InputError(
        'To train a model of each family give --texts and --workdir; to audit '
        'models that there are, give --runs.')
  for name in families:
    run = train(name, _TEXTS.value, pathlib.Path(_WORKDIR.value), _STEPS.value)
    yield name, Published(run, _TYPES.get(name, name), _BUDGET.value)


def main(_):
  results = {}
  for name, model in models():
    results[name] = measured(name, model)
    if _OUT.value:
      atomic.write(pathlib.Path(_OUT.value),
                   json.dumps(results, indent=1).encode())
  print('| model | nats | fields | changes | refused | detected | same | '
        'not told apart | false alarm |\n' + '|---' * 9 + '|')
  for each in results.items():
    print('|', ' | '.join(row(*each)), '|')


if __name__ == '__main__':
  _RUNS = flags.DEFINE_list(
      'runs', [], 'Directories of runs, such as of imported models.')
  _TEXTS = flags.DEFINE_list(
      'texts', None, 'Text files to train models of families on.')
  _BUDGET = flags.DEFINE_integer(
      'budget', 8192, 'Most tokens of the text to score; close calls are '
      'scored on up to four times as many.', lower_bound=256)
  _WORKDIR = cli.path_flag(
      'workdir', None, 'Folder of the trained models.')
  _FAMILIES = flags.DEFINE_list(
      'families', None, 'Families to train; default is all, or none with '
      '--runs.')
  _STEPS = flags.DEFINE_integer('steps', 600, 'Steps of training.')
  _OUT = cli.path_flag('out', None, 'File for the results.')
  cli.run(main)
