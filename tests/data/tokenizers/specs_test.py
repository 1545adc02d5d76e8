"""The value of a tokenizer.json."""
import json

import pytest

from lmjax.core import errors
from lmjax.data.tokenizers import specs
from lmjax.data.tokenizers.converting import parts

WORDS = {'type': 'WordLevel', 'vocab': {'a': 0, 'b': 1}, 'unk_token': 'a'}


def test_a_file_that_is_too_large_or_missing_is_refused(tmp_path, monkeypatch):
  with pytest.raises(errors.InputError, match='cannot be read: No such file'):
    specs.read_bytes(tmp_path / 'none')
  monkeypatch.setattr(specs, 'MAX_BYTES', 3)
  (tmp_path / 'some').write_bytes(b'abcd')
  with pytest.raises(errors.InputError, match='at most 3 bytes'):
    specs.read_bytes(tmp_path / 'some')


def test_a_parsed_spec_is_written_as_one_text():
  spec = parts.spec(WORDS, [parts.added('c', 2)])
  parsed = specs.parsed(json.dumps(spec).encode())
  shuffled = dict(reversed(list(spec.items()))) | {'padding': {'length': 3}}
  assert json.dumps(specs.parsed(json.dumps(shuffled).encode())) == (
      json.dumps(parsed))
  assert specs.parsed(json.dumps(parsed).encode()) == parsed


@pytest.mark.parametrize('vocab, merges, kind', [
    ({'a': 0}, None, 'WordPiece'), ({'a': 0}, [], 'BPE'),
    ([['a', 0.0]], None, 'Unigram')])
def test_the_model_of_an_old_file_is_known_by_its_fields(vocab, merges, kind):
  model = {'vocab': vocab} | ({} if merges is None else {'merges': merges})
  content = json.dumps({'model': model}).encode()
  assert specs.parsed(content)['model']['type'] == kind


@pytest.mark.parametrize('merges', [
    ['a b', 'ab c', 'x ab', 'c d'],
    [['a', 'b'], ['ab', 'c'], ['x', 'ab'], ['c', 'd']]])
def test_merges_of_some_tokens_are_left_out(merges):
  assert specs.merges_without(merges, {'ab'}) == merges[3:]
  assert specs.merges_without(merges, {'b'}) == merges[1:]


def test_missing_tokens_are_completed_once():
  spec = parts.spec(WORDS)
  roles = {'bos': '<s>', 'eos': '<s>', 'unk': 'a'}
  assert specs.completed(spec, roles) == ['a', 'b', '<s>']
  assert specs.completed(spec, roles) == ['a', 'b', '<s>']
  assert specs.tokens_of(spec) == ['a', 'b', '<s>']


def test_the_unknown_token_is_that_of_the_model():
  assert specs.unknown(WORDS) == 'a'
  assert specs.unknown({'vocab': [['x', 0.0]], 'unk_id': 0}) == 'x'
  assert specs.unknown({'vocab': [['x', 0.0]], 'unk_id': None}) is None


@pytest.mark.parametrize('error, reason', [
    (KeyError('id'), "lacks 'id'"), (ValueError('so\nit is.'), 'so it is.$'),
    (TypeError('odd'), 'TypeError: odd'), (errors.InputError('own'), '^own$')])
def test_exceptions_become_one_sentence(error, reason):
  with pytest.raises(errors.InputError, match=reason) as caught:
    with specs.refusing('It is refused'):
      raise error
  assert '\n' not in str(caught.value)


def test_an_interrupt_is_not_an_input_error():
  with pytest.raises(KeyboardInterrupt):
    with specs.refusing('It is refused'):
      raise KeyboardInterrupt
