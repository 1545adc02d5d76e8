"""Token stores: exact, built once, never half."""
from concurrent import futures
import pathlib
import signal
import subprocess
import sys
import time
import tracemalloc

import numpy as np
import pytest

from lmjax.core import errors
from lmjax.data import documents as documents_lib
from lmjax.data import facts
from lmjax.data.text import sources
from lmjax.data import token_store as store_lib
from lmjax.data.tokenizers import symbols
from lmjax.data.tokenizers import vocabulary
from lmjax.data.tokenizers import words

TEXTS = ('a bc', 'dé\nf g', 'x' * 300, 'last one')


def _build(path, texts=TEXTS, **kwargs):
  return store_lib.build(path / 'store', sources.InMemory(texts),
                         symbols.Bytes(**kwargs).build())


def test_a_store_holds_exactly_what_the_tokenizer_gives(tmp_path):
  store = _build(tmp_path)
  tokenizer = symbols.Bytes().build()
  assert store.num_documents == len(TEXTS)
  for i, text in enumerate(TEXTS):
    np.testing.assert_array_equal(
        store.document(i), tokenizer.encode_document(text))
  assert store.num_tokens == sum(len(t.encode()) + 2 for t in TEXTS)
  for name, column in vars(facts.Texts.of(TEXTS)).items():
    assert getattr(store.texts, name).tolist() == column.tolist(), name
  assert isinstance(store.tokens, np.memmap)
  with pytest.raises(IndexError):
    store.document(len(TEXTS))


def test_many_small_writes_are_one_store(tmp_path, monkeypatch):
  monkeypatch.setattr(store_lib, '_PART', 7)
  small = _build(tmp_path / 'small')  # The longest document is in parts.
  monkeypatch.undo()
  large = _build(tmp_path / 'large')
  assert small.digest == large.digest
  np.testing.assert_array_equal(small.tokens, large.tokens)


@pytest.mark.parametrize('tokenizer', [
    symbols.Bytes(), symbols.Characters(), words.Words()], ids=repr)
def test_a_long_document_takes_little_memory(tmp_path, monkeypatch, tokenizer):
  monkeypatch.setattr(store_lib, '_PART', 1 << 14)
  monkeypatch.setattr(facts, '_PART', 1 << 14)
  monkeypatch.setattr(store_lib, 'load', lambda _: None)  # Has a large buffer.
  source = sources.InMemory(('one of many words ' * 30_000,))  # 540 kB.
  tracemalloc.start()
  built = tokenizer.build(source.documents())
  store_lib.build(tmp_path / 'store', source, built)
  _, peak = tracemalloc.get_traced_memory()
  tracemalloc.stop()
  assert peak < 1_000_000


def test_digests_see_ids_borders_and_rules(tmp_path):
  texts = [TEXTS, TEXTS[::-1], ('ab', 'c'), ('a', 'bc')]
  digests = [_build(tmp_path / str(i), t, bos=False, eos=False).digest
             for i, t in enumerate(texts)]
  digests.append(_build(tmp_path / 'bos', TEXTS, eos=False).digest)
  assert len(set(digests)) == 5


def test_a_store_is_rebuilt_only_when_something_changes(tmp_path):
  path = tmp_path / 'a.txt'
  path.write_text('some text')
  source = sources.TextFiles((str(path),))
  cache = tmp_path / 'cache'

  def stores():
    return {entry.name for entry in cache.iterdir() if entry.is_dir()}

  first = store_lib.cached(source, symbols.Bytes().build(), cache)
  store_lib.cached(source, symbols.Bytes().build(), cache)
  assert len(stores()) == 1
  store_lib.cached(source, symbols.Bytes(bos=False).build(), cache)
  assert len(stores()) == 2
  path.write_text('some tent')  # As long as before.
  changed = store_lib.cached(source, symbols.Bytes().build(), cache)
  assert len(stores()) == 3 and changed.digest != first.digest


def test_tokenizers_of_one_size_do_not_share_a_store(tmp_path):
  source = sources.InMemory(('abc',))
  stores = [store_lib.cached(source, symbols.CharacterTokenizer(
      alphabet, bos=False, eos=False), tmp_path) for alphabet in ('abc', 'cba')]
  assert [store.tokens.tolist() for store in stores] == [[0, 1, 2], [2, 1, 0]]


def test_processes_build_the_same_store_once(tmp_path):
  reads = []

  class Slow(documents_lib.Source):

    def fingerprint(self):
      return {}

    def _read(self, counts):
      reads.append(1)
      time.sleep(0.05)
      return iter(TEXTS)

  tokenizer = symbols.Bytes().build()
  with futures.ThreadPoolExecutor(4) as pool:
    stores = list(pool.map(
        lambda _: store_lib.cached(Slow(), tokenizer, tmp_path), range(4)))
  assert len(reads) == 1
  assert len({store.digest for store in stores}) == 1


DIES = """
import os, signal, sys
from lmjax.data import documents
from lmjax.data.text import sources
from lmjax.data import token_store
from lmjax.data.tokenizers import symbols

class Dying(documents.Source):
  def fingerprint(self):
    return sources.InMemory(TEXTS).fingerprint()

  def _read(self, counts):
    yield TEXTS[0]
    os.kill(os.getpid(), signal.SIGKILL)

token_store.cached(Dying(), symbols.Bytes().build(), sys.argv[1])
"""


def test_a_killed_build_leaves_no_store(tmp_path):
  tokenizer = symbols.Bytes().build()
  for _ in range(2):
    died = subprocess.run(
        [sys.executable, '-c', f'TEXTS = {TEXTS!r}\n{DIES}', str(tmp_path)],
        cwd=pathlib.Path(__file__).parents[2], check=False, timeout=120)
    assert died.returncode == -signal.SIGKILL
    assert list(tmp_path.iterdir())
    assert not [e for e in tmp_path.iterdir() if (e / 'meta.json').exists()]
  store = store_lib.cached(sources.InMemory(TEXTS), tokenizer, tmp_path)
  assert store.digest == _build(tmp_path).digest
  assert not list(tmp_path.glob('*.tmp'))


def test_a_failed_build_leaves_nothing_at_all(tmp_path):
  with pytest.raises(errors.InputError, match='Document 2 .*surrogate'):
    _build(tmp_path, ('good', '\ud800'))
  assert not list(tmp_path.iterdir())


@pytest.mark.parametrize('damage', [
    lambda path: (path / 'tokens.bin').write_bytes(b'12'),
    lambda path: (path / 'meta.json').write_text('{'),
    lambda path: (path / 'offsets.npy').unlink(),
    lambda path: (path / 'sizes.npy').write_bytes(b''),
], ids=['short', 'meta', 'offsets', 'sizes'])
def test_a_damaged_store_is_refused(tmp_path, damage):
  _build(tmp_path)
  damage(tmp_path / 'store')
  with pytest.raises(errors.InputError, match='delete the folder'):
    store_lib.load(tmp_path / 'store')


@pytest.mark.parametrize('name', ['tokens.bin', 'offsets.npy', 'sizes.npy'])
def test_a_flipped_bit_is_noticed_wherever_it_is(tmp_path, name):
  _build(tmp_path)
  path = tmp_path / 'store' / name
  whole = path.read_bytes()
  for place in range(0, len(whole), 31):
    flipped = bytearray(whole)
    flipped[place] ^= 1 << place % 8
    path.write_bytes(flipped)
    with pytest.raises(errors.InputError, match='delete the folder'):
      store_lib.load(tmp_path / 'store')
  flipped = bytearray(whole)
  flipped[-16] ^= 1  # An id, or one of the last numbers.
  path.write_bytes(flipped)
  with pytest.raises(errors.InputError, match=f'{name} is damaged: its SHA'):
    store_lib.load(tmp_path / 'store')
  path.write_bytes(whole)
  assert store_lib.load(tmp_path / 'store').num_documents == len(TEXTS)


def test_a_wrong_digest_is_noticed(tmp_path):
  store = _build(tmp_path)
  path = tmp_path / 'store/meta.json'
  path.write_text(path.read_text().replace(store.digest, 'a' * 64))
  with pytest.raises(errors.InputError, match='SHA-256 differs'):
    store_lib.load(tmp_path / 'store')


def test_ids_outside_the_vocabulary_are_never_stored(tmp_path):
  tokenizer = symbols.Bytes(bos=False, eos=False).build()
  tokenizer.vocab_size = 100
  with pytest.raises(errors.InputError, match='id 100 is outside'):
    store_lib.build(
        tmp_path / 'store', sources.InMemory(TEXTS), tokenizer)


def test_a_document_without_tokens_is_dropped(tmp_path):
  class Deaf(symbols.ByteTokenizer):

    def encode(self, text):
      return super().encode(text.replace('a', ''))

    encode_all = vocabulary.Tokenizer.encode_all

  store = store_lib.build(
      tmp_path / 'store', sources.InMemory(('b', 'aa', 'cab')),
      Deaf(bos=False, eos=False))
  assert store.offsets.tolist() == [0, 1, 3]
  assert store.texts.bytes.tolist() == [1, 3]


def test_dropped_documents_are_counted(tmp_path):
  store = _build(tmp_path, ('a', '', ' \n', 'b'))
  assert store.num_documents == 2
  assert store.meta['counts'] == {
      'documents': 2, 'empty documents dropped': 2}
