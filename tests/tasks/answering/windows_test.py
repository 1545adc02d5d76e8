"""Windows of texts: every token, the answer's columns, and what is counted."""
import collections

import numpy as np
import pytest

from lmjax.core import errors
from lmjax.data.tokenizers import specials
from lmjax.data.tokenizers import symbols
from lmjax.tasks.answering import passages
from lmjax.tasks.answering import windows
from lmjax.tasks import rows as rows_lib

BYTES = specials.Extended(symbols.Bytes().build(), ['[CLS]', '[SEP]'])
TEXT = 'abcdefghijklmnopqrstuvwxyz'
FEATURES = rows_lib.Features(lengths=(16, 24), batch_size=2)


def asked(question='who?', text=TEXT, *answers):
  return passages.Question(question, text, tuple(
      passages.Answer(each, text.index(each)) for each in answers), 'f:1')


def built(*questions, features=FEATURES, tokenizer=BYTES, **options):
  options = {'stride': 6, 'longest_question': 5} | options
  return windows.build(
      features, windows.Windows(**options), questions, tokenizer)


def text_of(rows, place):
  window = rows.windows[place]
  ids = rows.rows.tokens[place, window.column:window.column + window.size]
  return BYTES.decode(ids)


def test_windows_overlap_and_have_every_token():
  rows = built(asked(), asked('why?', 'short'))
  # 24 - 3 specials - 4 of the question leave 17, one of them a space at first.
  assert [text_of(rows, place) for place in range(4)] == [
      ' abcdefghijklmnop', 'fghijklmnopqrstuv', 'lmnopqrstuvwxyz', ' short']
  assert rows.owners_W.tolist() == [0, 0, 0, 1] and len(rows) == 2
  assert rows.places(0).tolist() == [0, 1, 2] and rows.places(1).tolist() == [3]
  cls, sep = BYTES.special('[CLS]'), BYTES.special('[SEP]')
  ids = rows.rows.tokens[3, :rows.rows.sizes[3]].tolist()
  assert ids == [cls, *b'why?', sep, *b' short', sep]
  assert rows.rows.by_token['types'][3, :13].tolist() == [0] * 6 + [1] * 7
  assert rows.describe() == (
      '2 questions in 4 windows of 20.8 tokens on average')


def test_an_answer_is_learned_in_the_windows_that_have_it_whole():
  rows = built(asked('who?', TEXT, 'nop'), asked('who?', TEXT))
  firsts, lasts, starts, ends = (
      rows.rows.by_row[name] for name in ('firsts', 'lasts', 'starts', 'ends'))
  assert (starts > 0).tolist() == [True] * 3 + [False] * 3
  for place in range(3):
    ids = rows.rows.tokens[place, starts[place]:ends[place] + 1]
    assert BYTES.decode(ids) == 'nop'
  assert (firsts <= starts)[:3].all() and (ends < lasts)[:3].all()
  cut = built(asked('who?', TEXT, 'klmnopq'))
  assert (cut.rows.by_row['starts'] > 0).tolist() == [False, True, False]
  assert not cut.notes


def test_the_most_frequent_answer_is_learned():
  rows = built(asked('who?', 'a b c', 'c', 'b', 'b'))
  start = rows.rows.by_row['starts'][0]
  assert BYTES.decode([rows.rows.tokens[0, start]]) == 'b'


def test_what_is_lost_is_counted():
  rows = built(asked('whoever?', 'text'), asked('who?', TEXT, TEXT[:20]),
               asked('who?', 'x'), stride=40)
  assert rows.describe().endswith(
      '1 questions cut to 5 tokens; 1 answers in no window, trained on as no '
      'answer')
  # A stride longer than a window does not leave out tokens.
  assert [text_of(rows, place)[:1] for place in (1, 2)] == [' ', 'q']

  class Deaf(type(BYTES)):  # Hears digits only.
    def encode(self, text):
      return super().encode(''.join(filter(str.isdigit, text)))

    def spans(self, text):
      places = [i for i, letter in enumerate(text) if letter.isdigit()]
      return np.array([(i, i + 1) for i in places]).reshape(-1, 2)
  deaf = Deaf(symbols.Bytes().build(), ['[CLS]', '[SEP]'])
  rows = built(asked('1?', 'a 12 b', '12 b'), asked('2?', 'abc', 'c'),
               tokenizer=deaf)
  assert rows.notes == {
      'texts without a token': 1, 'answers begin or end within a token': 1,
      'answers without a token, trained on as no answer': 1}
  assert rows.rows.by_row['lasts'][1] == rows.rows.by_row['firsts'][1]


def test_outputs_are_joined_in_the_order_of_the_text():
  rows = built(asked(), asked('why?', 'short'), asked('when?', TEXT * 2))
  outputs, seen = collections.defaultdict(list), []
  for owners, batch in rows.once():
    assert len(batch['inputs']) == 2
    for owner, row in zip(owners.tolist(), batch['inputs']):
      outputs[owner].append(row)
      seen.append(tuple(row))
  assert len(set(seen)) == len(rows.windows)
  for number in range(3):
    joined = rows.joined(number, outputs[number])
    for place, row in zip(rows.places(number), joined, strict=True):
      np.testing.assert_array_equal(rows.rows.tokens[place, :len(row)], row)
  with pytest.raises(RuntimeError, match='Question 0 has 3 windows, and 1 out'):
    rows.joined(0, outputs[0][:1])


def test_training_batches_have_every_window_of_their_questions():
  rows = built(asked(), asked('why?', 'short'), asked('when?', TEXT * 2))
  batches = rows.batches(seed=1)
  seen = collections.Counter()
  for step in range(batches.steps_per_epoch):
    for half in range(2):
      part = batches.shard(half, 2)
      assert len(part(step)['inputs']) == 1
    owners = [number for row in batches.documents(step) for number in row]
    assert len(owners) == batches(step)['weights'].sum()
    seen.update(owners)
  assert seen == collections.Counter(rows.owners_W.tolist())
  with pytest.raises(errors.InputError, match='no training examples'):
    built().batches(seed=1)
  assert built().describe() == 'no example'


@pytest.mark.parametrize('options, message', [
    ({'longest_question': 14}, 'Rows of 24 tokens .*longest_question to at '
     'most 13'), ({'features': rows_lib.Features(lengths=(9,))}, 'at most 1')])
def test_rows_too_short_for_a_text_are_refused(options, message):
  with pytest.raises(errors.InputError, match=message):
    built(asked(), **options)


def test_a_question_without_tokens_needs_a_token_before_it():
  plain = symbols.Characters(bos=False).build([TEXT, ' '])
  with pytest.raises(errors.InputError, match='f:1: the question has no token'):
    built(asked('', TEXT), tokenizer=plain)
