"""The tokens of questions: boundaries, BOS, truncation, under both rules."""
import numpy as np
import pytest

from lmjax.core import errors
from lmjax.data.tokenizers import symbols
from lmjax.data.tokenizers import vocabulary
from lmjax.evaluation.choice import questions
from lmjax.evaluation.choice import rules as choice_rules

_BYTES = symbols.Bytes().build()
_NO_BOS = symbols.Bytes(bos=False).build()
_HARNESS = choice_rules.RULES['harness']


class Merging(vocabulary.Tokenizer):
  """Bytes, but every 'ab' is one token: a boundary may run through it."""
  name, bos_id, eos_id, vocab_size = 'merging', 300, None, 301

  def encode(self, text):
    raw = text.encode().replace(b'ab', b'\xff')
    return np.frombuffer(raw, np.uint8).astype(np.uint16)

  def state(self):
    return {}


def _item(contexts, continuations, gold=0):
  return questions.Item(tuple(contexts), tuple(continuations), gold, 'f:1')


def _spans(item, tokenizer, delimiter=' '):
  return [(ids.tolist(), start)
          for ids, start in choice_rules.encode(item, tokenizer, delimiter)]


def test_context_and_continuation_are_encoded_together():
  item = _item(['x a'] * 2, ['bc', 'dd'])
  tokenizer = Merging()
  x, space, a, d = b'x ad'
  # 'a' + 'b' merge, so both options are charged from there on.
  assert _spans(item, tokenizer, '') == [
      ([300, x, space, 0xff, ord('c')], 3), ([300, x, space, a, d, d], 3)]
  assert [start for _, start in _spans(item, tokenizer)] == [4, 4]


def test_the_delimiter_gives_way_to_white_space():
  def text(context, continuation, delimiter):
    (ids, _), = choice_rules.encode(
        _item([context], [continuation]), _BYTES, delimiter)
    return _BYTES.decode(ids)
  assert text('a', 'b', ' ') == 'a b'
  assert text('a\n', 'b', ' ') == 'a\nb'
  assert text('a', ' b', ' ') == 'a b'
  assert text('a\n', 'b', '\nAnswer: ') == 'a\n\nAnswer: b'
  assert text('', 'b', '\nAnswer: ') == 'b'


def test_bos_comes_once():
  (ids, start), = choice_rules.encode(_item([''], ['b']), _BYTES)
  assert ids.tolist() == [256, ord('b')] and start == 1
  (ids, start), = choice_rules.encode(_item([''], ['b']), _NO_BOS)
  assert ids.tolist() == [ord('b')] and start == 0


def test_context_is_cut_from_the_left_and_alike():
  encoded = choice_rules.encode(_item(['abcdef'] * 2, ['x', 'yz']), _BYTES, '')
  cut, count = choice_rules.truncate(encoded, 5, True, True, 'f:1')
  assert [_BYTES.decode(ids) for ids, _ in cut] == ['defx', 'defyz']
  assert [(ids[0], start) for ids, start in cut] == [(256, 4), (256, 4)]
  assert count == 2
  cut, count = choice_rules.truncate(encoded, 7, True, False, 'f:1')
  assert [_BYTES.decode(ids) for ids, _ in cut] == ['abcdefx', 'bcdefyz']
  assert count == 1
  with pytest.raises(errors.InputError, match='3 tokens to predict'):
    choice_rules.truncate(
        choice_rules.encode(_item(['a'], ['xyz']), _BYTES, ''), 2, True, True,
        'f:1')


def test_two_contexts_are_counted_from_their_own_ends():
  (_, start_x), (_, start_yy) = choice_rules.encode(
      _item(['x', 'yy'], ['c', 'c']), _BYTES)
  assert (start_x, start_yy) == (2, 3)


def _harness(item, tokenizer=_BYTES, delimiter=' ', context=99):
  spans, cut = _HARNESS.spans(item, tokenizer, delimiter, context)
  return [(bytes(span.ids[span.ids < 256].tolist()).decode(),
           len(span.ids) - span.start) for span in spans], cut


def test_the_harness_moves_white_space_to_the_continuation():
  assert _harness(_item(['a: \n'], ['bc'])) == ([('a: \n bc', 5)], 0)
  assert _harness(_item([''], ['bc'])) == ([(' bc', 3)], 0)
  assert _harness(_item(['a'], ['bc'])) == ([('a bc', 3)], 0)
  assert _harness(_item(['a'], ['bc']), delimiter='\nAnswer: ') == (
      [('a\nAnswer: bc', 3)], 0)


def test_the_harness_splits_by_the_number_of_tokens_of_the_context():
  head, tail = choice_rules.harness_pair(Merging(), 'x a', 'bc')
  assert head == [300, *b'x a'] and tail == [*b'c']


def test_the_harness_puts_bos_or_eos_before_a_text_alone():
  for tokenizer, first in (_BYTES, 256), (_NO_BOS, _NO_BOS.eos_id):
    head, tail = choice_rules.harness_pair(tokenizer, '', 'bc')
    assert (head, tail) == ([first], [*b'bc'])
    head, tail = choice_rules.harness_pair(tokenizer, ' ', 'bc')
    assert (head, tail) == ([first], [*b' bc'])


def test_the_harness_puts_nothing_before_a_text_that_begins_so():
  class Spelled(Merging):
    def encode(self, text):
      return np.frombuffer(text.encode(), np.uint8).astype(np.uint16) + 203
  assert choice_rules.harness_pair(Spelled(), '', 'ab') == ([300], [301])


def test_the_harness_cuts_each_option_from_the_left():
  item = _item(['abcdef'] * 2, ['x', 'yz'])
  assert _harness(item, delimiter='', context=4) == (
      [('cdefx', 1), ('defyz', 2)], 2)  # BOS is cut as well.
  assert _harness(item, delimiter='', context=7) == (
      [('abcdefx', 1), ('abcdefyz', 2)], 1)
  assert _harness(item, delimiter='', context=2) == (
      [('efx', 1), ('fyz', 2)], 2)
  with pytest.raises(errors.InputError, match='f:1: .* 2 tokens'):
    _harness(item, delimiter='', context=1)


def test_of_options_that_tie_the_harness_takes_the_first():
  losses = np.array([2.0, 1.0, 1.0])
  shared = choice_rules.RULES['shared']
  assert [_HARNESS.credit(losses, gold) for gold in range(3)] == [0, 1, 0]
  assert [shared.credit(losses, gold) for gold in range(3)] == [0, 0.5, 0.5]
  assert (_HARNESS.size('né'), shared.size('né')) == (2, 3)
