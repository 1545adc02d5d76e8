"""Statistics of masking over many tokens, and what is never touched."""
import functools
import types

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from lmjax.core import errors
from lmjax.data.tokenizers import subwords
from lmjax.data.tokenizers import symbols
from lmjax.objectives.encoders import masking
from lmjax.objectives.encoders import mlm

VOCAB = 40
MASK, CLS = 38, 39
TOKENIZER = types.SimpleNamespace(
    vocab_size=VOCAB, control_ids=(37, 38, 39),
    special=dict(zip(('[MASK]', '[CLS]'), (MASK, CLS))).__getitem__,
    word_starts=np.arange(VOCAB) % 4 == 0, word_ends=np.zeros(VOCAB, bool))
ROWS, LENGTH = 256, 100


def rows(seed=0):
  """Three quarters of each row is real: two documents after a [CLS]."""
  rng = np.random.default_rng(seed)
  ids = rng.integers(0, 37, (ROWS, LENGTH)).astype(np.int32)
  ids[:, 0] = CLS
  segments = np.repeat([1, 2, 0], [40, 35, 25]).astype(np.int32)
  return {'inputs': ids,
          'segments': np.broadcast_to(segments, ids.shape).copy()}


@functools.lru_cache
def compiled(config):
  return jax.jit(config.masker(TOKENIZER))


def masked(config, batch, key=None):
  rng = None if key is None else jax.random.key(key)
  return jax.device_get(compiled(config)(batch, rng))


SELECTIONS = {'tokens': masking.Tokens(), 'words': masking.WholeWords(),
              'spans': masking.Spans()}


@pytest.mark.parametrize('name', SELECTIONS)
def test_shares_are_those_asked_for(name):
  batch = rows()
  out = masked(mlm.MaskedLM(selection=SELECTIONS[name]), batch, 1)
  possible = (batch['segments'] > 0) & (batch['inputs'] != CLS)
  np.testing.assert_array_equal(out.possible_BT, possible)
  assert not np.any(out.chosen_BT & ~possible)
  count = out.chosen_BT.sum()  # Of about 19,000 possible ones.
  assert abs(count / possible.sum() - 0.15) < 0.004
  new, old = out.inputs_BT[out.chosen_BT], batch['inputs'][out.chosen_BT]
  # A random token is the old one once in 37 times.
  shares = np.mean(new == MASK), np.mean((new != MASK) & (new != old))
  np.testing.assert_allclose(shares, (0.8, 0.1 * 36 / 37), atol=0.03)
  assert not np.isin(new[new != MASK], TOKENIZER.control_ids).any()
  np.testing.assert_array_equal(
      out.inputs_BT[~out.chosen_BT], batch['inputs'][~out.chosen_BT])
  # Places, targets and weights say the same as `chosen`.
  for row in range(0, ROWS, 17):
    places = out.places_BM[row][out.weights_BM[row] > 0]
    np.testing.assert_array_equal(np.flatnonzero(out.chosen_BT[row]), places)
  np.testing.assert_array_equal(
      out.targets_BM, np.take_along_axis(batch['inputs'], out.places_BM, 1))


def test_tokens_are_all_as_likely_and_their_number_hardly_varies():
  batch = rows()
  out = masked(mlm.MaskedLM(), batch, 0)
  counts = out.chosen_BT.sum(1)  # Of 74 tokens: 11.1 on average.
  assert set(counts) == {11, 12} and abs(counts.mean() - 11.1) < 0.1
  by_place = out.chosen_BT[:, 1:75].mean(0)
  assert np.abs(by_place - 0.15).max() < 4.5 * (0.15 * 0.85 / ROWS) ** 0.5


def runs(row):
  """Returns (start, length) of the runs of True."""
  edges = np.flatnonzero(np.diff(np.pad(row.astype(int), 1)))
  return list(zip(edges[::2], edges[1::2] - edges[::2]))


@pytest.mark.slow
def test_whole_words_are_chosen_whole():
  batch = rows()
  out = masked(mlm.MaskedLM(selection=masking.WholeWords(longest=50)), batch, 2)
  begins = TOKENIZER.word_starts[batch['inputs']]
  begins[:, [0, 1, 40, 75]] = True  # Segments and control ids end words too.
  word = np.cumsum(begins, axis=1)
  for row in range(ROWS):
    inside = word[row][out.chosen_BT[row]]
    outside = word[row][out.possible_BT[row] & ~out.chosen_BT[row]]
    assert not set(inside) & set(outside)
  cut = masked(mlm.MaskedLM(selection=masking.WholeWords(longest=1)), batch, 2)
  assert set(cut.chosen_BT.sum(1)) == {11, 12}


def words_of(tokenizer, text):
  """Returns the parts of a text that are chosen whole."""
  ids = tokenizer.encode(text)
  begins = masking.WholeWords().build(tokenizer)(None, jnp.asarray(ids))
  begins = np.flatnonzero(np.append(True, begins[1:]))
  return [tokenizer.decode(part) for part in np.split(ids, begins[1:])]


@pytest.mark.slow
def test_letters_are_words_in_scripts_that_separate_none():
  text = 'the cat 我愛Python。かな ไทย 한국 말'
  want = ['the', ' cat', ' ', *'我愛', 'Python。', *'かな', ' ', *'ไทย', ' 한국',
          ' 말']
  assert words_of(symbols.Characters().build([text]), text) == want
  pieces = subwords.SentencePiece(vocab_size=400).build([text] * 9)
  assert [word.strip() for word in words_of(pieces, text) if word.strip()] == [
      word.strip() for word in want if word.strip()]
  assert words_of(symbols.Bytes().build(), 'on 漢字 it') == [
      'on', ' ', '漢', '字', ' it']


def test_words_end_where_documents_do():
  one_word = types.SimpleNamespace(
      **TOKENIZER.__dict__ | {'word_starts': np.zeros(VOCAB, bool)})
  mask = mlm.MaskedLM(selection=masking.WholeWords(longest=50)).masker(one_word)
  chosen = np.asarray(jax.jit(mask)(rows(), None).chosen_BT)
  found = {tuple(runs(row)) for row in chosen}
  assert found == {(), ((1, 39),), ((40, 35),)}


@pytest.mark.slow
def test_spans_have_the_geometric_lengths_and_one_fate():
  selection = masking.Spans(end=0.3, longest=6)
  rng = np.random.default_rng(0)
  batch = {'inputs': rng.integers(0, 37, (600, 200)).astype(np.int32),
           'segments': np.ones((600, 200), np.int32)}
  out = masked(mlm.MaskedLM(
      rate=0.02, masked=0.5, random=0.0, selection=selection), batch, 5)
  # So few spans a row hardly touch; those at the edges are cut.
  lengths, fates = [], []
  for row in range(600):
    for start, length in runs(out.chosen_BT[row]):
      if 0 < start and start + length < 200:
        lengths.append(length)
        fates.append(set(out.inputs_BT[row, start:start + length] == MASK))
  shares = np.bincount(lengths, minlength=7)[1:7] / len(lengths)
  np.testing.assert_allclose(shares, selection.lengths(), atol=0.06)
  assert selection.lengths()[1] / selection.lengths()[0] == pytest.approx(0.7)
  assert np.mean([len(fate) > 1 for fate in fates]) < 0.06


@pytest.mark.slow
def test_without_a_key_the_mask_belongs_to_the_row():
  batch = rows()
  config = mlm.MaskedLM()
  want = masked(config, batch)
  again = masked(mlm.MaskedLM(static=True), batch, 3)
  np.testing.assert_array_equal(want.inputs_BT, again.inputs_BT)
  turned = {k: v[::-1] for k, v in batch.items()}
  np.testing.assert_array_equal(
      masked(config, turned).chosen_BT[::-1], want.chosen_BT)
  noisy = batch['inputs'].copy()
  noisy[:, 75:] = 1  # Padding is no content.
  np.testing.assert_array_equal(
      masked(config, batch | {'inputs': noisy}).chosen_BT, want.chosen_BT)
  other = np.roll(batch['inputs'][:, 1:75], 1, axis=1)
  changed = batch | {'inputs': np.concatenate(
      [batch['inputs'][:, :1], other, batch['inputs'][:, 75:]], 1)}
  same = np.all(masked(config, changed).chosen_BT == want.chosen_BT, axis=1)
  assert same.mean() < 0.01
  first, second = (masked(config, batch, key) for key in (0, 1))
  assert np.any(first.chosen_BT != second.chosen_BT)


@pytest.mark.slow
def test_the_bound_is_never_exceeded():
  batch = {k: v[:64, :30] for k, v in rows().items()}
  for selection in SELECTIONS.values():
    for key in range(2):
      out = masked(mlm.MaskedLM(rate=0.4, selection=selection), batch, key)
      assert out.weights_BM.sum() == out.chosen_BT.sum()


@pytest.mark.parametrize('make, message', [
    (lambda: masking.WholeWords(longest=0), 'longest .* got 0'),
    (lambda: masking.Spans(end=0.0), 'Spans.end should be above 0'),
    (lambda: masking.Spans(longest=0), 'Spans.longest should be at least 1')])
def test_impossible_selections_are_refused(make, message):
  with pytest.raises(errors.InputError, match=message):
    make()


def test_rows_of_padding_or_one_token_choose_nothing():
  batch = {'inputs': jnp.zeros((2, 5), jnp.int32),
           'segments': jnp.array([[0] * 5, [1, 0, 0, 0, 0]])}
  out = masked(mlm.MaskedLM(), batch, 0)
  assert not out.chosen_BT[:, 1:].any() and not out.chosen_BT[0].any()
