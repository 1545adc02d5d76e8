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
sys.path[:0] = [str(ROOT), str(ROOT / 'benchmarks')]

from absl import flags
import jax
from lmjax.core import cli
from lmjax.core import errors
from lmjax.core.files import atomic
from lmjax.interop.audit import findings as findings_lib
from lmjax.interop.audit import rivals
from lmjax.interop import checkpoint
from lmjax.interop import exporting
from lmjax.interop.families import family as family_lib
from lmjax.interop import importing
from lmjax.interop import runs
from lmjax.recipes import auditing
from lmjax.recipes.loaded import trained
from lmjax.run import directory
from lying import changes
from lying import tiny
import numpy as np


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
    self.fields = changes.old_form(self.family.fields(run.model.config))
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
  for field, value, fields in changes.lies(model.fields):
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
      _FAMILIES.value or tiny.FAMILIES)
  if families and not (_TEXTS.value and _WORKDIR.value):
    raise errors.InputError(
        'To train a model of each family give --texts and --workdir; to audit '
        'models that there are, give --runs.')
  for name in families:
    run = tiny.train(
        name, _TEXTS.value, pathlib.Path(_WORKDIR.value), _STEPS.value)
    yield name, Published(run, tiny.TYPES.get(name, name), _BUDGET.value)


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
