"""Every operation is undone exactly, and gives what its layout says."""
import numpy as np
import pytest

from lmjax.interop.mapping import operations

RNG = np.random.default_rng(0)
CASES = {
    'transpose': (operations.Transpose(), [(3, 5), (2, 4)]),
    'transpose of experts': (operations.Transpose(), [(4, 3, 5)]),
    'split': (operations.Split((4, 1, 1)), [(12, 5)]),
    'split columns': (operations.Split((1, 1, 1), axis=1), [(2, 9)]),
    'split of biases': (operations.Split((1, 1, 1), axis=-1), [(9,)]),
    'heads': (operations.SplitHeads(3), [(18, 4)]),
    'heads of groups': (operations.SplitHeads(2, queries=3), [(40, 4)]),
    'heads of biases': (operations.SplitHeads(2, queries=3), [(40,)]),
    'stack': (operations.Stack(), [(2, 3)] * 4),
    'reshape': (operations.Reshape((6, 2), (2, 3, 2)), [(6, 2)]),
    'halves': (operations.Halves(2), [(12, 5)]),
    'halves of biases': (operations.Halves(2), [(12,)]),
    'halves of a part': (operations.Halves(2, rotated=4), [(12, 5)]),
}


@pytest.mark.parametrize('name', CASES)
def test_an_operation_is_undone_exactly(name):
  operation, shapes = CASES[name]
  arrays = tuple(RNG.normal(size=shape) for shape in shapes)
  made = operation.apply(arrays)
  assert sum(map(np.size, made)) == sum(map(np.size, arrays))
  again = operation.invert(made)
  assert len(again) == len(arrays)
  for array, want in zip(again, arrays):
    np.testing.assert_array_equal(array, want, strict=True)


def test_operations_are_undone_in_reverse_order():
  chain = (operations.SplitHeads(2), operations.Transpose())
  array = RNG.normal(size=(12, 5))
  made = operations.apply(chain, (array,))
  assert [each.shape for each in made] == [(5, 4)] * 3
  again, = operations.invert(chain, made)
  np.testing.assert_array_equal(again, array)


def test_fused_heads_come_apart_by_head():
  rows = np.array([f'{head}{part}{i}' for head in 'ab' for part in 'qkv'
                   for i in range(2)])
  queries, keys, values = operations.SplitHeads(2).apply((rows,))
  assert queries.tolist() == ['aq0', 'aq1', 'bq0', 'bq1']
  assert keys.tolist() == ['ak0', 'ak1', 'bk0', 'bk1']
  assert values.tolist() == ['av0', 'av1', 'bv0', 'bv1']


def test_grouped_heads_keep_the_order_of_queries():
  rows = np.array(['q0', 'q1', 'k0', 'v0', 'q2', 'q3', 'k1', 'v1'])
  queries, keys, values = operations.SplitHeads(2, queries=2).apply((rows,))
  assert queries.tolist() == ['q0', 'q1', 'q2', 'q3']
  assert (keys.tolist(), values.tolist()) == (['k0', 'k1'], ['v0', 'v1'])


def test_halves_rotate_as_pairs_did():
  """A rotation of pairs equals one of halves, up to the order of rows."""
  x = RNG.normal(size=8)
  angles = RNG.normal(size=4)
  pairs = np.empty(8)
  pairs[::2] = x[::2] * np.cos(angles) - x[1::2] * np.sin(angles)
  pairs[1::2] = x[1::2] * np.cos(angles) + x[::2] * np.sin(angles)
  y, = operations.Halves(1).apply((x,))
  halves = np.concatenate([
      y[:4] * np.cos(angles) - y[4:] * np.sin(angles),
      y[4:] * np.cos(angles) + y[:4] * np.sin(angles)])
  np.testing.assert_allclose(operations.Halves(1).apply((pairs,))[0], halves)


@pytest.mark.parametrize('operation', [
    operations.Split((1, 1, 1)), operations.SplitHeads(2),
    operations.Reshape((4, 4), (16,))])
def test_an_array_that_does_not_divide_is_refused(operation):
  with pytest.raises(ValueError, match='should'):
    operation.apply((np.zeros((7, 2)),))
