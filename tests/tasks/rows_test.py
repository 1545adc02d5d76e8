"""Rows and batches: every example once, padding without weight."""
import collections

import numpy as np
import pytest

from lmjax.core import errors
from lmjax.data.tokenizers import specials
from lmjax.data.tokenizers import symbols
from lmjax.tasks import rows as rows_lib

BYTES = symbols.Bytes().build()
BOS, EOS = BYTES.bos_id, BYTES.eos_id


def rows(sizes, **options):
  features = rows_lib.Features(**{
      'lengths': (4, 8), 'batch_size': 3} | options)
  return features.build(
      [('x' * n,) for n in sizes], np.arange(len(sizes), dtype=np.int32) % 2,
      BYTES)


def test_rows_are_bos_text_eos_and_long_texts_keep_their_head():
  features = rows_lib.Features(lengths=(4, 6), prefix=' ')
  built = features.build(
      [('abcdefgh',), ('z',)], np.array([0, 1]), BYTES)
  assert built.tokens.tolist() == [
      [BOS, *b' abc', EOS], [BOS, *b' z', EOS, 0, 0]]
  assert built.sizes.tolist() == [6, 4] and built.by_row['labels'].tolist() == [0, 1]
  assert built.truncated == 1 and '1 longer than 6' in built.describe()


def test_a_tokenizer_without_controls_gives_plain_rows():
  plain = symbols.Bytes(bos=False, eos=False).build()
  built = rows_lib.Features(lengths=(4,)).build(
      [('abcdef',)], np.zeros(1, np.int32), plain)
  assert built.tokens.tolist() == [[*b'abcd']]


def test_a_text_without_a_token_comes_too():
  plain = symbols.Bytes(bos=False, eos=False).build()
  built = rows_lib.Features(lengths=(4, 8), batch_size=2).build(
      [('',), ('abcde',)], np.zeros(2, np.int32), plain)
  (none, batch), (some, _) = built.once()
  assert none.tolist() == [0] and some.tolist() == [1]
  assert not batch['segments'].any() and batch['weights'].tolist() == [1, 0]
  assert sorted(row for step in range(built.batches(0).steps_per_epoch)
                for row in built.batches(0).documents(step)) == [[0], [1]]


def test_once_scores_each_example_once_and_fills_up_with_weight_zero():
  built = rows([1, 6, 2, 2, 1, 3, 2])
  seen, weight = [], 0.0
  for chosen, batch in built.once():
    length = batch['inputs'].shape[1]
    assert batch['inputs'].shape == (3, length) and length in (4, 8)
    assert batch['weights'].tolist() == [1.0] * len(chosen) + [0.0] * (
        3 - len(chosen))
    np.testing.assert_array_equal(
        batch['segments'].sum(axis=1)[:len(chosen)], built.sizes[chosen])
    np.testing.assert_array_equal(
        batch['labels'][:len(chosen)], built.by_row['labels'][chosen])
    np.testing.assert_array_equal(
        batch['inputs'][:len(chosen)], built.tokens[chosen, :length])
    assert not batch['segments'][len(chosen):].any()
    seen += chosen.tolist()
    weight += batch['weights'].sum()
  assert sorted(seen) == list(range(7)) and weight == 7


def test_positions_count_real_tokens():
  _, batch = next(iter(rows([1, 2]).once()))
  assert batch['positions'].tolist() == [
      [0, 1, 2, 0], [0, 1, 2, 3], [0, 0, 0, 0]]


def test_an_epoch_has_every_example_once_in_rows_that_fit():
  sizes = [1, 6, 2, 2, 1, 3, 2, 5, 6, 1, 1]
  built = rows(sizes)
  batches = built.batches(seed=5)
  assert batches.steps_per_epoch == 4
  for epoch in range(3):
    found = collections.Counter()
    for step in range(4 * epoch, 4 * epoch + 4):
      batch = batches(step)
      real = batch['segments'].sum(axis=1)
      found.update(real[batch['weights'] > 0].tolist())
    assert found == collections.Counter(built.sizes.tolist())


def test_a_batch_is_a_function_of_step_and_seed():
  built = rows([2, 3, 1, 4, 2, 6, 6], token_dropout=0.5)
  order = [5, 0, 3, 5]
  first = {step: built.batches(seed=1)(step) for step in order}
  again = built.batches(seed=1)
  for step in sorted(first):
    for name, array in again(step).items():
      np.testing.assert_array_equal(array, first[step][name])


def test_documents_are_the_examples_of_the_rows():
  sizes = list(range(1, 7)) + [2]  # All differ but for the last.
  built = rows(sizes)
  batches = built.batches(seed=3)
  for step in range(6):
    batch, documents = batches(step), batches.documents(step)
    assert len(documents) == 3
    for row, found in enumerate(documents):
      text = batch['inputs'][row][batch['segments'][row] > 0].tolist()
      assert [built.tokens[n][:built.sizes[n]].tolist()
              for n in found] == ([text] if text else [])


@pytest.mark.parametrize('token_dropout', [0.0, 0.5])
def test_another_seed_gives_other_batches(token_dropout):
  built = rows([2] * 40, token_dropout=token_dropout)
  labels = [built.batches(seed)(0)['labels'].tolist() for seed in range(8)]
  assert len(set(map(tuple, labels))) > 1


def test_dropped_tokens_leave_the_rest_in_order_and_the_first_in_place():
  tokens = np.arange(1, 2001).reshape(20, 100)
  sizes = np.arange(1, 21) * 5
  arrays, left = rows_lib.drop_tokens(
      {'inputs': tokens * (np.arange(100) < sizes[:, None])}, sizes, 0.3,
      np.random.default_rng(0))
  kept = arrays['inputs']
  for i in range(20):
    row = kept[i, :left[i]]
    assert row[0] == tokens[i, 0] and (np.diff(row) > 0).all()
    assert set(row) <= set(tokens[i, :sizes[i]])
    assert not kept[i, left[i]:].any()
  assert left.sum() / sizes.sum() == pytest.approx(0.7, abs=0.05)


def test_tokens_are_dropped_in_training_only():
  built = rows([6] * 6, token_dropout=0.9)
  assert all((batch['segments'].sum(axis=1) % 8 == 0).all()
             for _, batch in built.once())
  assert built.batches(0)(0)['segments'].sum() < 3 * 8


@pytest.mark.parametrize('options, message', [
    ({'lengths': ()}, 'lengths'), ({'lengths': (8, 4)}, 'lengths'),
    ({'lengths': (2, 4)}, 'lengths'), ({'batch_size': 0}, 'batch_size'),
    ({'token_dropout': 1.0}, 'token_dropout')])
def test_impossible_features_are_refused(options, message):
  with pytest.raises(errors.InputError, match=message):
    rows_lib.Features(**options)


def test_shards_of_a_batch_joined_are_the_batch():
  whole = rows([2, 3, 1, 4, 2, 6, 6], token_dropout=0.5).batches(seed=1)
  parts = [whole.shard(i, 3) for i in range(3)]
  for step in range(4):
    found = [part(step) for part in parts]
    for name, array in whole(step).items():
      np.testing.assert_array_equal(
          np.concatenate([part[name] for part in found]), array)
  with pytest.raises(errors.InputError, match='batch_size=3.*2 shards'):
    whole.shard(0, 2)


def pairs(texts, tokenizer=BYTES, **options):
  return rows_lib.Features(**{'lengths': (8,), 'batch_size': 2} | options).build(
      texts, np.zeros(len(texts), np.int32), tokenizer)


def test_a_pair_lies_between_cls_and_sep_and_its_tokens_have_types():
  tokenizer = specials.Extended(BYTES, ('[CLS]', '[SEP]'))
  cls, sep = (tokenizer.specials[name] for name in ('[CLS]', '[SEP]'))
  built = pairs([('ab', 'c')], tokenizer)
  assert built.tokens.tolist() == [[cls, *b'ab', sep, *b' c', sep, 0]]
  assert built.by_token['types'].tolist() == [[0, 0, 0, 0, 1, 1, 1, 0]]
  _, batch = next(built.once())
  np.testing.assert_array_equal(batch['types'][0], built.by_token['types'][0])
  assert not batch['types'][1].any()  # A row without an example.


def test_without_these_specials_a_pair_is_joined_by_a_space():
  built = pairs([('ab', 'c')], prefix=' ')
  assert built.tokens.tolist() == [[BOS, *b' ab', *b' c', EOS, 0]]
  assert built.by_token['types'].tolist() == [[0, 0, 0, 0, 1, 1, 1, 0]]


def test_single_texts_have_no_types():
  assert 'types' not in next(rows([1, 2]).once())[1]


@pytest.mark.parametrize('a, b, kept', [
    ('abcdefgh', 'x', 'abcd x'), ('a', 'uvwxyz', 'a uvwx'),
    ('abcdef', 'uvwxyz', 'abc uv')])
def test_the_longer_text_of_a_pair_is_cut_first(a, b, kept):
  built = pairs([(a, b)])
  assert built.tokens.tolist() == [[BOS, *kept.encode(), EOS]]
  assert built.truncated == 1


def test_token_dropout_moves_types_with_their_tokens():
  built = pairs([('a' * 20, 'b' * 20)] * 8, lengths=(64,), batch_size=8,
                token_dropout=0.5)
  batch = built.batches(seed=0)(0)
  inputs, types = batch['inputs'], batch['types']
  assert (types[inputs == ord('b')] == 1).all()
  assert (types[inputs == ord('a')] == 0).all()
  assert 0 < (inputs == ord('b')).sum() < 160


def test_an_example_that_comes_twice_is_an_error():
  assert rows([1, 2]).joined(1, ['output']) == 'output'
  with pytest.raises(RuntimeError, match='Example 1 comes 2 times'):
    rows([1, 2]).joined(1, ['output', 'output'])
