"""Corrupted batches read back as text, by plain loops; and rows to corrupt."""
import types

import numpy as np

from lmjax.data import packing
from lmjax.data import token_store as store_lib

SENTINELS = tuple(range(5000, 5100))
SPECIALS = {name: 6000 + i for i, name in enumerate(
    ['[MASK]', '[PRE]', '[SUF]', '[MID]', '[R]', '[S]', '[X]'])}


def tokenizer(specials=SPECIALS, sentinels=SENTINELS, bos=None, eos=None,
              start=None):
  """Returns what corruptions ask of a tokenizer."""
  ends = tuple(i for i in (bos, eos) if i is not None)
  return types.SimpleNamespace(
      sentinel_ids=sentinels, special=lambda name: specials[name], bos_id=bos,
      eos_id=eos, start_id=start, vocab_size=6100, token_bytes=lambda i: (
          b'a.' if i % 5 == 0 else b'a'), control_ids=ends + tuple(specials.values()) + sentinels)


def rows(lengths, length, seed=0, kind=packing.Packed, bos=None, eos=None):
  """Returns packed rows of documents of random ids in [1, 5000)."""
  rng = np.random.default_rng(0)
  offsets = np.concatenate([[0], np.cumsum(lengths)]).astype(np.int64)
  tokens = rng.integers(10, 5000, offsets[-1]).astype(np.uint16)
  if bos is not None:
    tokens[offsets[:-1]] = bos
  if eos is not None:
    tokens[offsets[1:] - 1] = eos
  store = store_lib.TokenStore(tokens, offsets, None, {})
  return kind().build(store, length, seed)


def texts(batch, prefix=''):
  """Returns {(row, segment): ids} of the inputs, and checks positions."""
  out = {}
  ids, segments, positions = (
      batch[prefix + name] for name in ('inputs', 'segments', 'positions'))
  for row in range(len(ids)):
    for segment in sorted(set(segments[row].tolist()) - {0}):
      here = np.flatnonzero(segments[row] == segment)
      assert np.all(np.diff(here) == 1)
      assert positions[row, here].tolist() == list(range(len(here)))
      out[row, segment] = ids[row, here].tolist()
    empty = segments[row] == 0
    assert not ids[row, empty].any() and not positions[row, empty].any()
  return out


def streams(batch):
  """Returns {(row, segment): inputs and the last target}, checking that each
  target is the next input."""
  out = texts(batch)
  for (row, segment), ids in out.items():
    here = batch['segments'][row] == segment
    targets = batch['targets'][row, here].tolist()
    assert targets[:-1] == ids[1:]
    ids.append(targets[-1])
  assert not batch['weights'][batch['segments'] == 0].any()
  return out


def sources_and_targets(batch):
  """Returns two dicts of ids, of an encoder-decoder's batch or a joined one."""
  if 'encoder_inputs' in batch:
    targets = streams(batch)
    assert np.array_equal(batch['weights'] > 0, batch['segments'] > 0)
    return texts(batch, 'encoder_'), targets
  sources, targets = {}, {}
  for (row, segment), ids in streams(batch).items():
    here = np.flatnonzero(batch['segments'][row] == segment)
    read = int(batch['prefix'][row, here].sum())
    counts = batch['weights'][row, here]
    if counts.any():
      assert batch['prefix'][row, here[:read]].all()
      assert counts.tolist() == [0] * read + [1] * (len(here) - read)
      sources[row, segment], targets[row, segment] = ids[:read], ids[read:]
    else:
      sources[row, segment] = ids
  return sources, targets


def filled(source, target, sentinels=SENTINELS):
  """Returns the text whose spans were hidden."""
  spans, name = {}, None
  for i in target:
    if i in sentinels:
      assert i == sentinels[len(spans)]
      name = i
      spans[name] = []
    else:
      spans[name].append(i)
  if target:
    assert spans.pop(name) == []  # The last only says that this is the end.
    assert all(spans.values())
  out = []
  for i in source:
    out += spans.pop(i) if i in sentinels else [i]
  assert not spans
  return out
