"""Tensors and parameters are matched completely, in both directions."""
import numpy as np
import pytest

from lmjax.core import errors
from lmjax.core import trees
from lmjax.interop.formats import tensors as tensors_lib
from lmjax.interop.mapping import operations
from lmjax.interop.mapping import rows as rows_lib

RNG = np.random.default_rng(0)
PARAMS = trees.nested({
    'embed/embedding': RNG.normal(size=(7, 4)).astype('float32'),
    'layer_0/in/kernel': RNG.normal(size=(4, 6)).astype('float32'),
    'layer_1/in/kernel': RNG.normal(size=(4, 6)).astype('float32'),
}.items())
ROWS = [
    rows_lib.row('embed/embedding', 'wte.weight'),
    *rows_lib.each(2, 'layer_{i}/', 'h.{i}.', rows_lib.dense('in', 'fc')),
    *rows_lib.dense('head', 'lm_head'),
]


def opened(**changes):
  """Returns the tensors of PARAMS, some of them changed; None leaves one out.
  """
  found = {name: tensor.read() for name, tensor in rows_lib.write(ROWS, PARAMS)}
  found |= {name.replace('__', '.'): value for name, value in changes.items()}
  return {name: tensors_lib.Tensor.of(value)
          for name, value in found.items() if value is not None}


def test_a_file_is_read_as_it_was_written():
  tensors = opened()
  assert set(tensors) == {'wte.weight', 'h.0.fc.weight', 'h.1.fc.weight'}
  assert tensors['h.0.fc.weight'].shape == (6, 4)
  match = rows_lib.matched(ROWS, PARAMS, tensors)
  found = dict(rows_lib.read(match, tensors))
  for path, value in trees.items(PARAMS):
    np.testing.assert_array_equal(found.pop(path), value)
  assert not found


def test_the_shape_of_a_tensor_is_known_before_it_is_made():
  for _, tensor in rows_lib.write(ROWS, PARAMS):
    assert tensor.read().shape == tensor.shape


def test_numbers_become_float32():
  tensors = opened(wte__weight=np.ones((7, 4), 'float16'))
  found = dict(rows_lib.read(
      rows_lib.matched(ROWS, PARAMS, tensors), tensors))
  assert {value.dtype for value in found.values()} == {np.dtype('float32')}


@pytest.mark.parametrize('changes, what', [
    (dict(wte__weight=None), 'missing: wte.weight'),
    (dict(h__0__fc__weight=None, h__1__fc__weight=None),
     r'missing: h.\{0..1\}.fc.weight'),
    (dict(h__2__fc__weight=np.ones((6, 4))), 'unknown: h.2.fc.weight'),
    (dict(lm_head__weight=np.ones((7, 4))), 'unknown: lm_head.weight'),
    (dict(h__0__fc__bias=np.ones(6)), 'unknown: h.0.fc.bias'),
    (dict(h__1__fc__weight=np.ones((4, 6))),
     r'h.1.fc.weight should have shape \(6, 4\) .* has shape \(4, 6\)'),
])
def test_a_tensor_that_does_not_fit_is_named(changes, what):
  with pytest.raises(errors.InputError, match=what):
    rows_lib.matched(ROWS, PARAMS, opened(**changes))


def test_missing_and_unknown_tensors_are_both_named():
  with pytest.raises(errors.InputError, match='missing: wte.* unknown: emb'):
    rows_lib.matched(ROWS, PARAMS, opened(wte__weight=None, emb=np.ones(1)))


def test_a_tensor_without_parameters_is_ignored_by_its_pattern():
  tensors = opened(h__0__mask=np.ones((3, 3)))
  match = rows_lib.matched(ROWS, PARAMS, tensors, ignored=[r'h\.\d+\.mask'])
  assert match.ignored == ('h.0.mask',)
  with pytest.raises(errors.InputError, match='unknown: h.0.mask'):
    rows_lib.matched(ROWS, PARAMS, tensors, ignored=['mask'])


def test_a_copy_of_a_tied_tensor_has_to_be_equal():
  copies = {'lm_head.weight': 'wte.weight'}
  table = opened()['wte.weight'].read()
  match = rows_lib.matched(
      ROWS, PARAMS, opened(lm_head__weight=table), copies=copies)
  assert match.copies == (('lm_head.weight', 'wte.weight'),)
  with pytest.raises(errors.InputError, match='tie_word_embeddings'):
    rows_lib.matched(
        ROWS, PARAMS, opened(lm_head__weight=table + 1e-6), copies=copies)


def test_an_untied_model_without_a_head_may_be_tied():
  untied = PARAMS | {'head': {'kernel': np.ones((4, 7), 'float32')}}
  with pytest.raises(errors.InputError, match='lm_head.weight.* to true'):
    rows_lib.matched(ROWS, untied, opened(),
                     copies={'lm_head.weight': 'wte.weight'})


def test_a_constant_has_to_have_its_values():
  constants = {'mask': np.ones}
  match = rows_lib.matched(
      ROWS, PARAMS, opened(mask=np.ones((3, 3))), constants=constants)
  assert match.ignored == ('mask',)
  with pytest.raises(errors.InputError, match='mask .* differs .* by 0.5'):
    rows_lib.matched(
        ROWS, PARAMS, opened(mask=np.full((3, 3), 0.5)), constants=constants)


def test_a_parameter_without_a_tensor_is_refused():
  params = PARAMS | {'gate': {'kernel': np.ones((4, 4), 'float32')}}
  with pytest.raises(errors.InputError, match='gate/kernel'):
    rows_lib.matched(ROWS, params, opened())
  with pytest.raises(errors.InputError, match='gate/kernel'):
    list(rows_lib.write(ROWS, params))


def test_a_row_of_several_tensors_is_read_and_written():
  fused = [rows_lib.row(
      ('q/kernel', 'k/kernel'), 'qk.weight', operations.Split((2, 1)),
      operations.Transpose())]
  params = trees.nested({'q/kernel': np.ones((5, 4), 'float32'),
                         'k/kernel': np.zeros((5, 2), 'float32')}.items())
  tensors = dict(rows_lib.write(fused, params))
  assert tensors['qk.weight'].shape == (6, 5)
  match = rows_lib.matched(fused, params, tensors)
  found = dict(rows_lib.read(match, tensors))
  np.testing.assert_array_equal(found['q/kernel'], np.ones((5, 4)))
  np.testing.assert_array_equal(found['k/kernel'], np.zeros((5, 2)))


def test_files_may_divide_parameters_in_different_ways():
  fused = rows_lib.row(
      ['layer_0/in/kernel', 'layer_1/in/kernel'], 'h.fused',
      operations.Split((1, 1)))
  old = opened()
  both = np.concatenate([PARAMS[f'layer_{i}']['in']['kernel'] for i in (0, 1)])
  new = {'h.fused': tensors_lib.Tensor.of(both),
         'wte.weight': old['wte.weight']}
  for rows in ([fused, *ROWS], [*ROWS, fused]):
    for tensors in (old, new):
      found = dict(rows_lib.read(
          rows_lib.matched(rows, PARAMS, tensors), tensors))
      for path, value in trees.items(PARAMS):
        np.testing.assert_array_equal(found[path], value)
  assert dict(rows_lib.write([fused, *ROWS], PARAMS)).keys() == new.keys()
  assert dict(rows_lib.write([*ROWS, fused], PARAMS)).keys() == old.keys()


def test_a_file_that_is_divided_in_no_known_way_is_refused():
  fused = rows_lib.row(
      ['layer_0/in/kernel', 'layer_1/in/kernel'], 'h.fused',
      operations.Split((1, 1)))
  with pytest.raises(errors.InputError, match='missing: h.1.fc.weight'):
    rows_lib.matched([fused, *ROWS], PARAMS, opened(h__1__fc__weight=None))


def test_a_copy_of_what_is_not_there_is_unknown():
  with pytest.raises(errors.InputError, match='unknown: twin'):
    rows_lib.matched(ROWS, PARAMS, opened(twin=np.ones(2)),
                     copies={'twin': 'absent'})


def test_a_fused_layer_is_taken_apart_and_put_together():
  found = rows_lib.fused(('q', 'k'), 'qk', operations.Split((2, 1)))
  assert found[0].paths == ('q/kernel', 'k/kernel')
  assert found[0].shapes([(9, 4)]) == ((4, 6), (4, 3))
  assert found[0].file_shapes([(4, 6), (4, 3)]) == ((9, 4),)
  assert found[1].shapes([(9,)]) == ((6,), (3,))
