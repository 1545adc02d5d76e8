"""Layouts are undone by their inverse, and are those of llama.cpp."""
import numpy as np
import pytest

from lmjax.interop.formats.gguf import layouts

HEADS = layouts.Heads(query=6, key=2)
SIZE, WIDTH = 4, 5
ALL = [layouts.Same(), layouts.Transposed(), layouts.PlusOne(),
       layouts.RopeRows(), layouts.RopeRows(keys=True), layouts.Grouped()]


def random(*shape):
  return np.random.default_rng(0).integers(-99, 99, shape).astype(np.float32)


@pytest.mark.parametrize('shape', [(120, WIDTH), (120,)])
@pytest.mark.parametrize('layout', ALL, ids=lambda layout: repr(layout))
def test_a_layout_is_undone_by_its_inverse(layout, shape):
  x = random(*shape)
  there = layout.gguf(x, HEADS)
  assert there.shape == layout.shape(x.shape)
  np.testing.assert_array_equal(layout.hf(there, HEADS), x)
  np.testing.assert_array_equal(
      layout.gguf(layout.hf(there, HEADS), HEADS), there)


def test_rotated_pairs_lie_side_by_side():
  x = np.arange(6 * SIZE)
  there = layouts.RopeRows().gguf(x, HEADS)
  np.testing.assert_array_equal(there[:8], [0, 2, 1, 3, 4, 6, 5, 7])


def test_keys_are_divided_into_their_own_heads():
  x = random(24, WIDTH)
  np.testing.assert_array_equal(
      layouts.RopeRows(keys=True).gguf(x, HEADS),
      layouts.RopeRows().gguf(x, layouts.Heads(2, 2)))
  assert layouts.RopeRows().rows(HEADS) == 12
  assert layouts.RopeRows(keys=True).rows(HEADS) == 4


def test_groups_of_queries_key_and_value_are_taken_apart():
  x = random(10 * SIZE, WIDTH)
  groups = x.reshape(2, 5, SIZE, WIDTH)  # Three queries, a key and a value.
  queries, keys, values = groups[:, :3], groups[:, 3], groups[:, 4]
  np.testing.assert_array_equal(
      layouts.Grouped().gguf(x, HEADS),
      np.concatenate([part.reshape(-1, WIDTH)
                      for part in (queries, keys, values)]))


def test_one_is_added_in_float32():
  x = np.float16([1e-4])
  assert layouts.PlusOne().gguf(x, HEADS).dtype == np.float32
  np.testing.assert_allclose(
      layouts.PlusOne().gguf(x, HEADS), 1 + x.astype(np.float32), rtol=1e-7)
