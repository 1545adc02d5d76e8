"""Differences from a saved run are refused, accepted, or only reported."""
import pytest

from lmjax.core import changes
from lmjax.core import errors

RULES = changes.Rules(
    structural=('model', 'optimizer.kind'), cosmetic=('log', 'model.name'),
    notes=(('seed', 'Seeds are in the checkpoint.'),),
    fitting=('model.scan',))


def _refused(changed, override=()):
  with pytest.raises(errors.InputError) as caught:
    changes.judge('runs/x', changed, RULES, override)
  return str(caught.value)


def test_without_differences_nothing_is_accepted():
  assert changes.judge('runs/x', {}, RULES) == {}


def test_structural_differences_cannot_be_overridden():
  text = _refused({'model.width': (8, 16), 'seed': (0, 1), 'log': (1, 2)},
                  ['model', 'model.width'])
  assert text.splitlines()[1:3] == ['  model.width: 8 -> 16', '  seed: 0 -> 1']
  assert '--workdir' in text and '--override' not in text
  assert 'log' not in text


def test_semantic_differences_are_refused_with_the_flags_that_accept_them():
  changed = {
      'seed': (0, 1), 'data.packing.kind': ('Packed', 'Crops'),
      'data.packing.shuffle': (True, None), 'data.source: a.txt': ('x', 'y')}
  text = _refused(changed)
  flags = '--override=seed --override=data.packing --override=data.source'
  assert flags in text and text.endswith('\nSeeds are in the checkpoint.')
  assert "data.packing.kind: 'Packed' -> 'Crops'" in text
  names = [flag.partition('=')[2] for flag in flags.split()]
  assert set(changes.judge('', changed, RULES, names).values()) == {'override'}
  left = _refused(changed, names[1:])
  assert 'seed: 0 -> 1' in left and 'packing' not in left
  assert 'Seeds' not in _refused({'seeds': (0, 1)})


def test_cosmetic_differences_are_accepted_unless_structural():
  assert changes.judge('', {'log.every': (1, 2)}, RULES) == {
      'log.every': 'cosmetic'}
  assert 'model.name' in _refused({'model.name': ('a', 'b')})


def test_what_checkpoints_fit_passes_although_its_parent_is_structural():
  changed = {'model.scan': (False, True)}
  assert changes.judge('', changed, RULES) == {
      'model.scan': 'checkpoints fit'}
  assert 'model.scan' not in _refused(changed | {'model.width': (1, 2)})
  assert changes.judge('', changed, RULES.extended(('other',))) == {
      'model.scan': 'checkpoints fit'}


def test_a_name_covers_only_the_fields_below_it():
  for field, names, want in (
      ('a.b', ['a'], True), ('a.b', ['a.b'], True), ('a', ['a.b'], False),
      ('ab', ['a'], False), ('a.b: a.c', ['a.b'], True), ('a', [], False)):
    assert changes.covered(field, names) == want


def test_files_are_reported_as_new_gone_or_changed():
  long = 'a' * 64, 'b' * 64
  saved = {'data: a': long[0], 'data: b': '1 byte', 'data: c': 'x', 'new': 'x'}
  now = {'data: a': long[1], 'data: c': 'x', 'data: d': '2 bytes', 'old': 'x'}
  assert changes.table(changes.between(saved, now)).splitlines()[1:] == [
      f'  data: a changed: {"a" * 12} -> {"b" * 12}', '  data: b is gone: 1 byte',
      '  data: d is new: 2 bytes']
  assert not changes.between(saved, {'model': 'y'})


@pytest.mark.parametrize('name, near', [
    ('trainnig', 'training'), ('training.step', 'training.steps'),
    ('data: a', 'data')])
def test_unknown_names_are_refused_with_the_nearest(name, near):
  fields = ['training.steps', 'data.source: a']
  changes.check_names(
      ['training', 'training.steps', 'data', 'data.source'], fields)
  with pytest.raises(errors.InputError, match=f"Did you mean '{near}'"):
    changes.check_names([name], fields)
