"""Paths, counts, patterns and digests of parameter trees."""
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from lmjax.core import errors
from lmjax.core import trees

TREE = {'layer_0': {'mixer': {'kernel': np.ones((2, 3), np.float32)},
                    'norm': {'scale': np.ones(3, np.float32)}},
        'embed': {'embedding': np.ones((5, 3), np.float32)}}


def test_paths_read_like_file_names():
  assert [path for path, _ in trees.items(TREE)] == [
      'embed/embedding', 'layer_0/mixer/kernel', 'layer_0/norm/scale']
  assert [path for path, _ in trees.items([{'a': 1}, (2,)])] == ['0/a', '1/0']


def test_map_paths_keeps_the_structure():
  lengths = trees.map_paths(lambda path, leaf: len(path), TREE)
  assert lengths['layer_0']['norm']['scale'] == len('layer_0/norm/scale')
  assert jax.tree.structure(lengths) == jax.tree.structure(TREE)


def test_counts_arrays_and_shapes():
  assert trees.count(TREE) == 6 + 3 + 15
  assert trees.count(jax.eval_shape(lambda: TREE)) == 24
  assert trees.count({'scalar': np.float32(1)}) == 1


def test_match_uses_the_first_matching_rule():
  got = trees.match(TREE, [('scale$', 0.0), ('layer_', 0.1), ('.*', 0.5)])
  assert got == {'layer_0': {'mixer': {'kernel': 0.1}, 'norm': {'scale': 0.0}},
                 'embed': {'embedding': 0.5}}


def test_match_refuses_a_parameter_without_a_rule():
  with pytest.raises(errors.InputError, match="covers parameter 'embed/emb"):
    trees.match(TREE, [('layer_', 1)])


def test_match_refuses_a_rule_without_a_match():
  with pytest.raises(errors.InputError, match="'layers_' matches no param"):
    trees.match(TREE, [('layers_', 1), ('.*', 0)])
  trees.match(TREE, [('.', 1), ('.*', 0)])  # The rest may be empty.


@pytest.mark.parametrize('change', [
    lambda t: t | {'embed': {'embedding': t['embed']['embedding'] * 2}},
    lambda t: t | {'embed': {'embeddings': t['embed']['embedding']}},
    lambda t: t | {'embed': {
        'embedding': t['embed']['embedding'].reshape(3, 5)}},
    lambda t: t | {'embed': {
        'embedding': t['embed']['embedding'].astype(np.float16)}},
], ids=['value', 'name', 'shape', 'dtype'])
def test_the_digest_tells_trees_apart(change):
  assert trees.digest(TREE) != trees.digest(change(TREE))


def test_the_digest_does_not_depend_on_the_device():
  on_device = jax.tree.map(jnp.asarray, TREE)
  turned = jax.tree.map(lambda x: np.asfortranarray(x), TREE)
  assert trees.digest(TREE) == trees.digest(on_device) == trees.digest(turned)
