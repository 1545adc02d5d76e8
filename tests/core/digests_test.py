"""Digests detect differences and name the arrays."""
import hashlib
import json

import jax
import jax.numpy as jnp
import ml_dtypes
import numpy as np
import pytest

from lmjax.core import digests

TREE = {'a': {'b': np.arange(6.0).reshape(2, 3)}, 'c': np.int32(4)[None],
        'd': np.ones((), ml_dtypes.bfloat16)}


def test_description_is_json_and_finds_nothing_wrong():
  saved = json.loads(json.dumps(digests.describe(TREE)))
  assert saved['a/b']['shape'] == [2, 3]
  assert saved['d']['dtype'] == 'bfloat16'
  assert digests.damage(TREE, saved) is None
  assert not list(digests.differences(saved, TREE))


def test_layout_in_memory_does_not_matter():
  x = np.arange(6.0).reshape(2, 3)
  assert digests.sha256(x) == digests.sha256(np.asfortranarray(x))


@pytest.mark.parametrize('size', [0, 1, 255, 256])
def test_small_arrays_have_a_plain_digest(size):
  x = np.arange(size, dtype=np.uint8)
  assert digests.sha256(x) == hashlib.sha256(x).hexdigest()


def test_large_arrays_have_the_digest_of_their_pieces(monkeypatch):
  monkeypatch.setattr(digests, '_PIECE', 40)
  x = np.arange(25.0, dtype=np.float32)  # Two pieces and a half.
  data = x.tobytes()
  pieces = [hashlib.sha256(data[i:i + 40]).digest() for i in (0, 40, 80)]
  assert digests.sha256(x) == hashlib.sha256(b''.join(pieces)).hexdigest()
  changed = digests.describe({'a': x, 'b': x[:3]})
  x[20] += 1
  assert digests.damage({'a': x, 'b': x[:3]}, changed, 'params/') == (
      'array params/a: digest mismatch')


@pytest.mark.parametrize('change, words', [
    (lambda t: t.update(c=t['c'].view(np.float32)),
     r'array c: int32[1] became float32[1]'),
    (lambda t: t['a'].update(b=t['a']['b'].reshape(3, 2)),
     'array a/b: float64[2, 3] became float64[3, 2]'),
    (lambda t: t['a']['b'].__setitem__((0, 0), -0.0),
     'array a/b: digest mismatch'),
    (lambda t: t.pop('c'), 'array c: missing'),
    (lambda t: t.update(e=np.ones(1)), 'array e: was never saved')])
def test_damage_is_named(change, words):
  tree = jax.tree.map(np.copy, TREE)
  change(tree)
  assert words in digests.damage(tree, digests.describe(TREE))


def test_differences_list_saved_and_wanted():
  wanted = {'a': {'b': jnp.zeros((2, 4))}, 'c': jnp.zeros((1,)),
            'e': jnp.zeros(())}
  assert list(digests.differences(digests.describe(TREE), wanted)) == [
      'a/b: float64[2, 3] -> float32[2, 4]', 'c: int32[1] -> float32[1]',
      'd: bfloat16[] -> absent', 'e: absent -> float32[]']


def test_the_digest_of_a_batch_depends_on_all_its_arrays():
  batch = {'inputs': np.arange(6).reshape(2, 3), 'weights': np.ones((2, 3))}
  found = digests.batch(batch)
  assert len(found) == 8 and int(found, 16) >= 0
  assert digests.batch(dict(reversed(batch.items()))) == found
  others = [batch | {'weights': np.zeros((2, 3))},
            batch | {'weights': np.ones((2, 2))},
            batch | {'weights': np.ones((2, 3), np.float32)},
            {'inputs': batch['inputs'], 'masks': batch['weights']}]
  assert found not in map(digests.batch, others)


def test_changed_facts_are_not_intact():
  facts = digests.signed({'pair': (1, 2), 'x': 0.1, 'nan': float('nan'), 3: {}})
  read = json.loads(json.dumps(facts, indent=1))
  assert digests.is_intact(read) and read['pair'] == [1, 2]
  assert not digests.is_intact(read | {'x': 0.2})
  assert not digests.is_intact(read | {'more': None})
  assert not digests.is_intact(
      {key: value for key, value in read.items() if key != 'sha256'})
  assert not digests.is_intact([read])
  with pytest.raises(TypeError):
    digests.signed({'x': np.zeros(2)})


def test_the_digest_of_a_batch_does_not_depend_on_processes():
  batch = {'inputs': np.arange(24).reshape(8, 3), 'sizes': np.arange(8)}
  whole = digests.batch(batch)
  for count in 2, 4:
    size = 8 // count
    parts = [digests.batch({k: v[i:i + size] for k, v in batch.items()}, i)
             for i in range(0, 8, size)]
    assert digests.joined(parts) == whole
    assert digests.joined(parts + parts[:1]) == whole  # Read by two processes.
    assert digests.joined(parts[1:]) != whole
  moved = {k: v[::-1] for k, v in batch.items()}
  assert digests.batch(moved) != whole
  assert digests.joined(['a']) == 'a'
