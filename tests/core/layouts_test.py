"""Conversion between looped and scanned layers, at any nesting, by names."""
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from lmjax.core import errors
from lmjax.core import layouts
from lmjax.core import trees


def array(rng, shape=()):
  return rng.standard_normal((*shape, int(rng.integers(1, 4))))


def looped(rng, kinds, depth=0):
  """Returns a random tree, in which nodes may be stacks of layers.

  Args:
    rng: Draws it.
    kinds: Is filled with (path, first, period, left) of its stacks.
    depth: Of the node.
  """
  def node(path, depth):
    tree = {'norm': {'scale': array(rng)}}
    if depth < 2 and rng.random() < 0.7:
      tree['head'] = node((*path, 'head'), depth + 1)
    if rng.random() < 0.8:
      first, left = rng.integers(0, 3, 2)
      period = int(rng.integers(1, 4))
      left = int(left) % period
      repeats = int(rng.integers(1, 5))
      kinds[path] = int(first), period, left
      places = [layer() for _ in range(period)]
      count = int(first) + period * repeats + left
      for i in range(count):
        place = (i - int(first)) % period
        template = layer() if i < first else places[place]
        tree[f'layer_{i}'] = jax.tree.map(
            lambda x: rng.standard_normal(x.shape), template)
    return tree

  def layer():
    return {'mixer': {'kernel': array(rng, (2,)), 'bias': array(rng)},
            **({'mlp': {'kernel': array(rng)}} if rng.random() < 0.5 else {})}
  return node((), depth)


def names_of(tree, kinds):
  """Returns the names of the scanned layout of a looped tree, by hand."""
  names = set()
  for path, _ in trees.items(tree):
    parts = path.split('/')
    where = next((i for i, p in enumerate(parts) if p.startswith('layer_')),
                 None)
    if where is not None:
      node = tuple(parts[:where])
      first, period, left = kinds[node]
      number = int(parts[where].removeprefix('layer_'))
      count = sum(name.startswith('layer_') for name in _at(tree, node))
      if first <= number < count - left:
        place = [f'place_{(number - first) % period}'] * (period > 1)
        parts[where:where + 1] = ['layers', *place]
    names.add('/'.join(parts))
  return names


def _at(tree, path):
  for name in path:
    tree = tree[name]
  return tree


@pytest.mark.parametrize('seed', range(30))
def test_converting_a_tree_and_back_returns_it(seed):
  kinds = {}
  tree = looped(np.random.default_rng(seed), kinds)
  names = names_of(tree, kinds)
  target = trees.nested((name, ...) for name in names)
  scanned = layouts.like(tree, target)
  assert {path for path, _ in trees.items(scanned)} == names
  assert layouts.alike(scanned, target)
  for back in layouts.looped(scanned), layouts.like(scanned, tree):
    assert trees.digest(back) == trees.digest(tree)
  assert layouts.like(scanned, target) is scanned
  again = layouts.like(layouts.looped(scanned), scanned)
  assert trees.digest(again) == trees.digest(scanned)


def test_layers_are_in_the_order_of_their_numbers():
  tree = {f'layer_{i}': {'kernel': np.full((2,), i)} for i in range(12)}
  tree['embed'] = {'embedding': np.ones(3)}
  scanned = layouts.like(tree, {'layers': {'kernel': ...}})
  assert scanned.keys() == {'layers', 'embed'}
  assert type(scanned['layers']['kernel']) is np.ndarray
  np.testing.assert_array_equal(
      scanned['layers']['kernel'][:, 0], np.arange(12))
  assert trees.digest(layouts.looped(scanned)) == trees.digest(tree)


def test_layers_of_a_period_are_stacked_by_their_place():
  tree = {f'layer_{i}': {'bias': np.array(i)} for i in range(6)}
  target = {'layer_0': ..., 'layer_5': ...,
            'layers': {'place_0': ..., 'place_1': ...}}
  scanned = layouts.like(tree, target)
  assert {path: leaf.tolist() for path, leaf in trees.items(scanned)} == {
      'layer_0/bias': 0, 'layer_5/bias': 5, 'layers/place_0/bias': [1, 3],
      'layers/place_1/bias': [2, 4]}
  # From one stacked layout to another.
  whole = layouts.like(scanned, {'layers': {'bias': ...}})
  assert whole['layers']['bias'].tolist() == [0, 1, 2, 3, 4, 5]


def test_other_layers_are_left_unchanged():
  """XLNet's and LSTM's layers, shared ones, and a head's own block."""
  tree = {'layer_0': {'bias': np.zeros(2)}, 'layer_1': {'bias': np.ones(2)}}
  assert layouts.like(tree, tree) is tree
  heads = tree | {'ahead_2': {'stack': {'layer_0': {'bias': np.ones(3)}}}}
  target = {'layers': {'bias': ...},
            'ahead_2': {'stack': {'layer_0': {'bias': ...}}}}
  scanned = layouts.like(heads, target)
  assert {path for path, _ in trees.items(scanned)} == {
      path for path, _ in trees.items(target)}


def test_shapes_are_converted_like_arrays():
  tree = {f'layer_{i}': jax.ShapeDtypeStruct((3,), jnp.bfloat16)
          for i in range(4)}
  scanned = jax.eval_shape(lambda x: layouts.like(x, {'layers': {}}), tree)
  assert scanned['layers'].shape == (4, 3)
  assert jax.eval_shape(layouts.looped, {'layers': {'x': jnp.ones((2, 3))}}
                        )['layer_1']['x'].shape == (3,)


@pytest.mark.parametrize('tree, target, says', [
    ({'layer_0': {'a': np.ones(2)}, 'layer_1': {'a': np.ones(3)}},
     {'layers': {}}, r'layer_0 and layer_1 .* in a: \(2,\) and \(3,\)'),
    ({'layer_0': {'a': np.ones(2)}, 'layer_1': {'b': np.ones(2)}},
     {'layers': {}}, r'differ in a: \(2,\) and absent'),
    ({f'layer_{i}': np.ones(2) for i in range(3)},
     {'layers': {'place_0': {}, 'place_1': {}}}, 'periods of 2, but .* are 3'),
    ({'layers': {'a': np.ones(2), 'b': np.ones(3)}}, {}, 'same leading axis'),
    ({'layers': {'a': np.ones(2)}, 'layer_1': np.ones(1)}, {},
     'layer_1 occurs twice')])
def test_layers_that_cannot_be_converted_are_refused(tree, target, says):
  with pytest.raises(errors.InputError, match=says):
    layouts.like(tree, target)
