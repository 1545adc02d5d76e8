"""Words as subwords: the places of labels, and lost words."""
import jax
import numpy as np
import pytest

from lmjax.core import errors
from lmjax.data.tokenizers import specials
from lmjax.data.tokenizers import subwords
from lmjax.data.tokenizers import symbols
from lmjax.data.tokenizers import words as words_tokenizer
from lmjax.tasks import rows as rows_lib
from lmjax.tasks.taggers import sentences as sentences_lib
from lmjax.tasks.taggers import words

BYTES = symbols.Bytes().build()
BOS, EOS = BYTES.bos_id, BYTES.eos_id
TEXT = 'Jo Xu visits New York and Paris in 2017 !'


def built(texts, labels=None, tokenizer=BYTES, overlap=None, **options):
  features = rows_lib.Features(
      **{'lengths': (16, 64), 'batch_size': 2, 'prefix': ' '} | options)
  sentences = [sentences_lib.Sentence(tuple(text.split(' ')), None, f'f:{i}')
               for i, text in enumerate(texts)]
  labels = labels or [list(range(1, len(s.words) + 1)) for s in sentences]
  return words.build(features, sentences, labels, tokenizer, overlap)


def test_the_label_is_on_the_first_subword_of_each_word():
  rows = built(['ab c def'])
  assert rows.tokens[0, :11].tolist() == [BOS, *b' ab c def', EOS][:11]
  assert rows.columns == ((1, 4, 6),)
  _, batch = next(rows.once())
  assert batch['labels'][0].tolist() == [0, 1, 0, 0, 2, 0, 3] + [0] * 9
  assert batch['weights'][0].tolist() == [0, 1, 0, 0, 1, 0, 1] + [0] * 9
  assert not batch['weights'][1].any()  # A row without a sentence.
  assert batch['labels'].dtype == np.int32
  assert batch['weights'].dtype == np.float32


def test_words_that_are_cut_have_no_column_and_are_reported():
  rows = built(['abcd efgh ijkl', 'a b'], lengths=(12,))
  # BOS, 10 bytes, EOS: the second word fits, the third does not.
  assert rows.columns == ((1, 6, None), (1, 3))
  assert 'keep their head; 1 of 5 words' in rows.describe()
  assert rows.by_token['weights'].sum() == 4
  assert 'words' not in built(['a b']).describe()


def test_a_word_whose_first_subword_was_kept_counts_though_it_was_cut():
  rows = built(['abcd efghijkl'], lengths=(9,))
  assert rows.tokens.tolist() == [[BOS, *b' abcd e', EOS]]
  assert rows.columns == ((1, 6),)


def test_words_without_a_token_have_no_column():
  tokenizer = words_tokenizer.Words().build(['a b c'])
  rows = built(['a \u2003 c'], tokenizer=tokenizer)
  assert rows.columns == ((0, None, 1),)
  assert '1 of 3 words' in rows.describe()
  with pytest.raises(errors.InputError, match='f:0: no word.*becomes a token'):
    built(['\u2003'], tokenizer=tokenizer)


@pytest.mark.parametrize('overlap', [0.0, 0.3, 0.5, 0.9])
def test_windows_hold_whole_words_and_every_word_once_at_its_best(overlap):
  rng = np.random.default_rng(int(10 * overlap))
  for _ in range(50):
    sizes = rng.integers(0, 5, rng.integers(1, 40)).tolist()
    parts = words.windows(sizes, 7, overlap)
    assert parts[0][0] == 0 and parts[-1][1] == len(sizes)
    for start, end in parts:
      assert sum(sizes[start:end]) <= 7
    for (start, end), (later, after) in zip(parts, parts[1:]):
      assert start < later <= end < after
    best = words.places(sizes, parts)
    assert best == sorted(best)
    context = lambda word, part: min(
        sum(sizes[part[0]:word]), sum(sizes[word + 1:part[1]]))
    for word, number in enumerate(best):
      has = [part for part in parts if part[0] <= word < part[1]]
      assert parts[number] in has
      assert context(word, parts[number]) == max(
          context(word, part) for part in has)


def test_neighbouring_windows_share_what_was_asked_for():
  assert words.windows([1] * 100, 20, 0.25) == [
      (0, 20), (15, 35), (30, 50), (45, 65), (60, 80), (75, 95), (80, 100)]
  assert words.windows([30, 1], 20, 0.5) == [(0, 1), (1, 2)]


def test_long_sentences_become_windows_and_short_ones_stay_as_they_are():
  texts = ['ab c', 'abc def ghi jkl mno', 'd']
  rows = built(texts, overlap=0.5, lengths=(6, 12))
  cut = built(texts, lengths=(6, 12))
  assert rows.windows.tolist() == [1, 4, 1] and len(rows) == 3
  assert rows.columns[::2] == cut.columns[::2]
  found = {tuple(chosen.tolist()): batch for chosen, batch in rows.once()}
  assert sorted(sum(found, ())) == [0, 1, 2]
  batch = found[1,]
  assert batch['inputs'].shape == (2, 4, 12) and not batch['weights'][1].any()
  flat = words.joined(batch)
  for word, column in enumerate(rows.columns[1]):
    assert flat['inputs'][0, column] == ord(' ')
    assert flat['inputs'][0, column + 1] == ord(texts[1].split()[word][0])
    assert flat['labels'][0, column] == word + 1
  for name in 'words', 'weights':
    assert flat[name][0].sum() == 5 and flat[name][0, rows.columns[1]].all()
  assert (words.flat(batch)['inputs'][:4] == batch['inputs'][0]).all()
  for mine, (chosen, theirs) in zip(found.items(), cut.once()):
    if 1 not in chosen:
      assert mine[0] == tuple(chosen)
      for name, x in theirs.items():
        np.testing.assert_array_equal(mine[1][name], x)
  assert ('3 examples in 6 rows' in rows.describe()
          and '1 longer than 12 tokens are read in windows' in rows.describe())


@pytest.mark.parametrize('devices, many, shape', [
    (1, 5, (2, 4, 12)), (1, 1, (1, 4, 12)), (4, 5, (4, 4, 12)),
    (3, 5, (2, 4, 12))])
def test_a_batch_of_windows_is_about_as_large_as_others_and_divides(
    devices, many, shape, monkeypatch):
  monkeypatch.setattr(jax, 'device_count', lambda: devices)
  rows = built(['abc def ghi jkl mno'] * many, overlap=0.5, lengths=(12,),
               batch_size=8)
  batches = list(rows.once())
  assert {batch['inputs'].shape for _, batch in batches} == {shape}
  assert sorted(sum((chosen.tolist() for chosen, _ in batches), [])) == [
      *range(many)]


def test_windows_are_rows_in_training_and_each_word_counts_once():
  rows = built(['abc def ghi jkl mno', 'a b'], overlap=0.5, lengths=(12,))
  batches = rows.batches(seed=0)
  steps = range(batches.steps_per_epoch)
  weight = sum(batches(step)['weights'].sum() for step in steps)
  assert weight == 7 and len(steps) == 3
  assert sorted(sum((sum(batches.documents(step), []) for step in steps), [])
                ) == [0, 0, 0, 0, 1]
  assert batches.fingerprint['task.overlap: windows'] == '4 1'
  assert batches.shard(0, 2)(0)['inputs'].shape == (1, 12)
  whole = built(['a b'], overlap=0.5)
  assert whole.windows is None
  assert whole.batches(0).fingerprint.keys() == {
      'training.seed', 'task.features'}


def test_words_of_unknown_label_have_no_weight():
  rows = built(['a b c'], [[1, None, 2]])
  assert rows.by_token['weights'][0].sum() == 2
  assert built(['a b c'], [[]]).by_token['weights'].sum() == 0
  assert len(built([])) == 0


def trained(model):
  texts = [TEXT, 'New York and Jo', 'Paris visits Xu in'] * 20
  return subwords.SentencePiece(vocab_size=320, model=model).build(texts)


@pytest.mark.parametrize('tokenizer', [
    BYTES, symbols.Characters().build([' ' + TEXT]),
    words_tokenizer.Words(bos=True, eos=True).build([TEXT]),
    trained('unigram'), trained('bpe'),
    specials.Extended(trained('bpe'), ('[CLS]', '[SEP]')),
], ids=['bytes', 'characters', 'words', 'unigram', 'bpe', 'extended'])
def test_words_have_the_ids_that_they_have_within_the_text(tokenizer):
  rows = built([TEXT], tokenizer=tokenizer)
  expected = tokenizer.encode_document(' ' + TEXT)
  assert rows.tokens[0, :rows.sizes[0]].tolist() == expected.tolist()
  ends = [*rows.columns[0][1:], rows.sizes[0] - 1]
  found = [tokenizer.decode(expected[start:end]).strip()
           for start, end in zip(rows.columns[0], ends)]
  assert found == TEXT.split()


@pytest.mark.parametrize('name', [
    'llama2/tokenizer.model', 'sp_test/test_model.model'])
def test_a_tokenizer_that_puts_a_space_before_text_does_so_once(
    name, shared_data):
  tokenizer = subwords.SentencePiece(
      path=str(shared_data / 'tokenizers' / name)).build(())
  assert tokenizer.word_prefix == ''
  for prefix in ('', ' '):
    rows = built([TEXT], tokenizer=tokenizer, prefix=prefix)
    assert rows.tokens[0, :rows.sizes[0]].tolist() == (
        tokenizer.encode_document(TEXT).tolist())


def test_the_first_word_follows_the_prefix():
  assert built(['ab c'], prefix='').columns == ((1, 3),)
  assert built(['ab c'], prefix='> ').tokens[0, :7].tolist() == [
      BOS, *b'> ab c']


def test_token_dropout_moves_labels_with_their_tokens():
  rows = built(['ab ' * 15 + 'ab'] * 4, [[7] * 16] * 4, token_dropout=0.4)
  batch = rows.batches(seed=0)(0)
  marked = batch['weights'] > 0
  assert (batch['labels'][marked] == 7).all()
  assert (batch['inputs'][marked] == ord(' ')).all()  # A word's first byte.
  assert 0 < marked.sum() < 32
