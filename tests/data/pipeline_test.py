"""Batches are a function of the step, whatever the shards."""
import dataclasses
import re

import numpy as np
import pytest

from lmjax.core import config as config_lib
from lmjax.core import errors
from lmjax.data import continuous
from lmjax.data.corruption import denoisers
from lmjax.data.corruption import middle
from lmjax.data.corruption import noising
from lmjax.data.corruption import prefixes
from lmjax.data.corruption import spans
from lmjax.data import packing
from lmjax.data import pairs
from lmjax.data import pipeline
from lmjax.data.text import sources
from lmjax.data.text import splits
from lmjax.data import token_store as store_lib
from lmjax.data.tokenizers import subwords
from lmjax.data.tokenizers import symbols
from tests.reference import corruptions

TEXTS = tuple(f'{i} ' * (i % 9 + 3) for i in range(80))
CONFIG = pipeline.DataConfig(
    source=sources.InMemory(TEXTS), split=splits.HashSplit(0.2, 0.1),
    tokenizer=symbols.Bytes(), length=8, batch_size=12)


@pytest.fixture(scope='module')
def data(tmp_path_factory):
  return CONFIG.build(tmp_path_factory.mktemp('run'))


def _same(one, other):
  assert sorted(one) == sorted(other)
  for key in one:
    np.testing.assert_array_equal(one[key], other[key], key)


@pytest.mark.parametrize(
    'config', [packing.Packed(), packing.Concatenated(), packing.Crops()])
def test_shards_joined_are_the_global_batch(tmp_path, config):
  batches = dataclasses.replace(
      CONFIG, packing=config).build(tmp_path).batches()
  last = int(batches.steps_per_epoch)  # Straddles two epochs.
  for step in 0, last, 5 * last + 3:
    whole = batches(step)
    assert whole['inputs'].shape == (12, 8)
    for count in 1, 3, 12:
      shards = [batches.shard(i, count)(step) for i in range(count)]
      _same(whole, {key: np.concatenate([shard[key] for shard in shards])
                    for key in whole})


def test_batches_are_described(data):
  batches = data.batches()
  assert batches.describe() == (
      f'batches: {batches.batch_size} x {batches.length} = '
      f'{batches.tokens_per_batch} tokens a step, '
      f'{batches.source.num_rows / batches.batch_size:.1f} steps an epoch')


def test_steps_walk_through_every_row_of_each_epoch(data):
  batches = data.batches()
  rows = batches.source
  num_epochs, size = 3, batches.batch_size
  steps = -(-num_epochs * rows.num_rows // size)
  seen = np.concatenate([batches(step)['inputs'] for step in range(steps)])
  want = np.concatenate([
      rows.rows(epoch, np.arange(rows.num_rows))['inputs']
      for epoch in range(num_epochs)])
  np.testing.assert_array_equal(seen[:len(want)], want)


def test_another_process_gives_the_same_batch(data, tmp_path):
  again = CONFIG.build(tmp_path)
  _same(data.batches()(17), again.batches()(17))
  assert data.batches().fingerprint == again.batches().fingerprint


@pytest.mark.parametrize('change', [
    {'seed': 1}, {'batch_size': 4}, {'length': 9},
    {'packing': packing.Concatenated()}, {'packing': packing.Packed(False)},
    {'tokenizer': symbols.Bytes(bos=False)},
    {'source': sources.InMemory(TEXTS[:-1])}])
def test_fingerprints_hold_what_changes_the_batches(data, tmp_path, change):
  other = dataclasses.replace(CONFIG, **change).build(tmp_path).batches()
  assert other.fingerprint != data.batches().fingerprint


def test_splits_share_no_document_and_are_described(data):
  stores = data.train, data.valid, data.test
  texts = [data.tokenizer.decode(store.document(i))
           for store in stores for i in range(store.num_documents)]
  assert sorted(texts) == sorted(TEXTS)
  lines = data.describe().splitlines()
  assert 'BOS (256) + tokens + EOS (257)' in lines[0]
  assert [line.split(':')[0] for line in lines[1:]] == list(splits.NAMES)
  assert f'{data.valid.num_documents:,} documents' in lines[2]


def test_one_text_is_split_and_that_is_told(tmp_path):
  text = ''.join(f'{i} words\n' for i in range(300))
  data = dataclasses.replace(
      CONFIG, source=sources.InMemory((text,))).build(tmp_path)
  stores = data.train, data.valid, data.test
  assert ''.join(
      data.tokenizer.decode(store.document(0)) for store in stores) == text
  note = ('1 document cannot be split by document, so the last 30% of it is '
          'held out.')
  assert data.describe().splitlines()[-1] == note
  assert store_lib.load(next(tmp_path.glob('cache/*'))).meta['notes'] == [note]


@pytest.mark.parametrize('size, specials, told', [
    (4000, (), True), (300, (), False), (300, ('[MASK]',), False)])
def test_a_vocabulary_smaller_than_asked_for_is_told(
    tmp_path, size, specials, told):
  data = dataclasses.replace(
      CONFIG, tokenizer=subwords.SentencePiece(vocab_size=size),
      specials=specials).build(tmp_path)
  ids = data.tokenizer.vocab_size - len(specials)
  assert data.describe().endswith(
      f'The vocabulary has {ids:,} ids instead of the 4,000 that were asked '
      'for: the text gives no more.') == told


def test_without_a_split_everything_is_trained_on(tmp_path):
  data = dataclasses.replace(CONFIG, split=None).build(tmp_path)
  assert data.train.num_documents == len(TEXTS)
  assert data.valid is None and data.test is None


def test_subwords_learn_from_training_text_and_characters_from_all(tmp_path):
  texts = tuple(f'{chr(0x4e00 + i)} again {i}' for i in range(100))
  config = dataclasses.replace(
      CONFIG, source=sources.InMemory(texts), tokenizer=symbols.Characters())
  alphabet = config.build(tmp_path).tokenizer.alphabet
  assert {text[0] for text in texts} < set(alphabet)

  config = dataclasses.replace(
      config, tokenizer=subwords.SentencePiece(vocab_size=600))
  data = config.build(tmp_path)
  held_out = [text for text in texts if config.split.name_of(text) != 'train']
  assert all(len(data.tokenizer.encode(text[0])) == 3 for text in held_out)


def test_a_given_tokenizer_and_cache_are_used(tmp_path):
  tokenizer = symbols.Bytes(bos=False, eos=False).build()
  config = dataclasses.replace(
      CONFIG, cache=str(tmp_path / 'shared'), length=None)
  data = config.build(tmp_path / 'run', tokenizer, length=5)
  assert data.tokenizer is tokenizer and data.length == 5
  assert data.train.meta['identity']['tokenizer'] == tokenizer.digest
  assert not (tmp_path / 'run').exists()
  with pytest.raises(errors.InputError, match='length is not known'):
    config.build(tmp_path).batches()


def test_ids_of_another_tokenizer_are_refused(data):
  batches = dataclasses.replace(data.batches(), vocab_size=200)
  with pytest.raises(errors.InputError) as caught:  # BOS is 256.
    batches(2)
  text = str(caught.value)
  assert 'Batch 2 (of step 3' in text and 'the vocabulary of 200' in text
  row, column = np.argwhere(data.batches()(2)['inputs'] >= 200)[0]
  assert f'row {row}, column {column} of inputs: id 25' in text
  assert f'documents {data.batches().documents(2)[row]}' in text
  number = data.tokenizer.decode(
      data.train.document(data.batches().documents(2)[row][0])).split()[0]
  assert re.search(rf", '[? \d]*{number}[? \d]*'", text)


@pytest.mark.parametrize('name', ['inputs', 'targets', 'encoder_inputs'])
@pytest.mark.parametrize('wrong', [-1, 258])
def test_ids_that_jax_would_clamp_are_refused(data, name, wrong):
  class Wrong:
    num_rows = 7

    def rows(self, epoch, indices):
      batch = data.batches().source.rows(epoch, indices)
      batch['encoder_inputs'] = batch['inputs'].copy()
      batch[name][0, 3] = wrong
      return batch

    def documents(self, epoch, indices):
      return data.batches().source.documents(epoch, indices)

  for tokenizer in None, data.tokenizer:
    batches = dataclasses.replace(
        data.batches(), source=Wrong(), tokenizer=tokenizer)
    with pytest.raises(errors.InputError, match=(
        f'row 0, column 3 of {name}: id {wrong} is outside.*' + (
            r"'.*\?.*'\." if tokenizer else r'\]\. Either'))):
      batches(0)


@pytest.mark.parametrize('change, message', [
    ({'length': 10_000}, r'length=10000 .* has \d+ tokens'),
    ({'split': splits.EndSplit(valid=1e-9)}, 'its valid part, .* has no text'),
    ({'source': sources.InMemory(('x ' * 15,))},
     'the last 30% of it is held out. That leaves 8 tokens to validate on, but '
     'a row needs 9: .*--config.data.split.valid higher'),
    ({'tokenizer': subwords.SentencePiece(path='no.model')}, 'no.model'),
])
def test_impossible_data_are_refused(tmp_path, change, message):
  with pytest.raises(errors.InputError, match=message):
    dataclasses.replace(CONFIG, **change).build(tmp_path).batches()


@pytest.mark.parametrize('change', [
    {'length': 0}, {'batch_size': 0}, {'seed': -1}])
def test_impossible_numbers_are_refused_at_once(change):
  with pytest.raises(errors.InputError, match=f'{list(change)[0]} should be'):
    dataclasses.replace(CONFIG, **change)


@pytest.mark.parametrize('index, count, message', [
    (0, 5, 'batch_size=12 should be a multiple of the 5'),
    (3, 3, 'Shard 3 of 3')])
def test_shards_that_do_not_fit_are_refused(data, index, count, message):
  with pytest.raises(errors.InputError, match=message):
    data.batches().shard(index, count)


LENGTHS = (3, 1, 7, 30, 2, 2, 9, 1, 1, 4, 50, 1, 12)
PLAIN = [packing.Packed(), packing.Packed(shuffle=False),
         packing.Concatenated(), packing.Crops(), continuous.Continuous(6)]
PAIRS = [pairs.NextSentence(), pairs.SentenceOrder()]
CORRUPTIONS = [
    spans.SpanCorruption(), spans.SpanCorruption(joined=True),
    spans.SpanCorruption(documents=1), prefixes.PrefixLM(),
    prefixes.PrefixLM(joined=True), middle.FillInTheMiddle(),
    denoisers.UL2(), denoisers.UL2(joined=True),
    noising.Bart(mask_rate=0.3, delete_rate=0.3, rotate_rate=0.5),
    noising.Bart(joined=True)]


def _found_by_search(batch, row):
  """Returns the documents of a row, by looking for each of its tokens."""
  documents = np.split(np.arange(10, 10 + sum(LENGTHS)), np.cumsum(LENGTHS))
  tokens = [batch[name + 'inputs'][row][batch[name + 'segments'][row] > 0]
            for name in ('encoder_', '') if name + 'inputs' in batch]
  tokens.append(batch['targets'][row][batch['weights'][row] > 0])
  tokens = np.concatenate(tokens)
  found = [number for token in tokens for number, text in enumerate(documents)
           if token in text]
  return list(dict.fromkeys(found)), bool(len(tokens))


@pytest.mark.parametrize('pack, corrupt', [
    *((pack, None) for pack in PLAIN + PAIRS),
    *((pack, corrupt) for pack in PLAIN for corrupt in CORRUPTIONS)],
    ids=lambda part: str(part).partition('(')[0])
def test_documents_are_those_a_search_finds(pack, corrupt):
  offsets = np.cumsum([0, *LENGTHS])
  store = store_lib.TokenStore(
      np.arange(10, 10 + offsets[-1], dtype=np.uint16), offsets, None, {})
  special = corruptions.tokenizer(bos=6098, specials=corruptions.SPECIALS | {
      '[CLS]': 6090, '[SEP]': 6091})
  rows = pack.build(store, 14, 3, special)
  if corrupt is not None:
    rows = corrupt.build(rows, special, 14, 3)
  batches = pipeline.Batches(rows, 6, 14, 6100, {})
  last = rows.num_rows // 6
  for step in (0, 1, last, 2 * last + 1):  # Some straddle two epochs.
    batch, documents = batches(step), batches.documents(step)
    assert len(documents) == 6
    for row, mine in enumerate(documents):
      want, any_token = _found_by_search(batch, row)
      assert sorted(mine) == sorted(want) and bool(mine) == any_token
      if corrupt is None:
        assert mine == want  # In their order, too.
    assert documents == [
        mine for i in range(3) for mine in batches.shard(i, 3).documents(step)]


def test_a_changed_file_is_named_by_fingerprint_and_hashes(tmp_path):
  text, other = tmp_path / 'text.txt', tmp_path / 'other.txt'
  for path in text, other:
    path.write_text('\n\n'.join(TEXTS))
  config = dataclasses.replace(CONFIG, source=sources.TextFiles(
      (str(text),), 'paragraph'), split=splits.HashSplit(0.2, 0.1))
  apart = dataclasses.replace(config, split=splits.Separate(
      dataclasses.replace(config.source, paths=(str(other),))))

  def changed(config, change):
    before = config.build(tmp_path)
    change()
    after = config.build(tmp_path)
    return [
        sorted(key for key in one | two if one.get(key) != two.get(key))
        for one, two in ((before.hashes(), after.hashes()), (
            before.batches().fingerprint, after.batches().fingerprint))]

  def edit():
    text.write_text(text.read_text() + '\n\nmore of it')

  hashes, fingerprint = changed(config, edit)
  assert 'data.source: text.txt' in hashes
  assert fingerprint == [
      'data.source: text.txt', 'data.source: tokens to train on']
  assert changed(config, text.touch) == [[], []]  # Another time alone.
  assert changed(apart, lambda: other.write_text('x\n\ny')) == [
      ['data.split: other.txt', 'data.split: tokens to validate on'], []]
  fields = config_lib.leaves({'data': config_lib.to_dict(apart)})
  for key in apart.build(tmp_path).hashes():
    field = key.partition(':')[0]
    assert any(name.startswith(field) for name in fields), key
