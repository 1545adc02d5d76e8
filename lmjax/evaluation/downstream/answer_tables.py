"""Tables of the errors of answers, by kind, question word and answer length."""
from collections.abc import Callable, Iterable, Sequence
import re
from typing import NamedTuple

from lmjax.data import scripts

Table = tuple[Sequence[str], Sequence[Sequence[str]]]  # Heads, rows of cells.

WORST = 'Worst answers'
_SHOWN = 20  # Rows of the table of worst answers.
_LETTERS = 90  # Of a text in this table.
_QUESTION_WORDS = (  # In English and Chinese; the first that is found counts.
    ('how many', r'\bhow (?:many|much)\b|多少|几'),
    ('when', r'\bwhen\b|\b(?:what|which) (?:year|date|century)\b|何时|什么时'),
    ('where', r'\bwhere\b|哪里|哪儿|何处|什么地方'),
    ('why', r'\bwhy\b|为什么|为何'), ('how', r'\bhow\b|怎么|怎样|如何'),
    ('who', r'\bwho(?:m|se)?\b|谁|何人'), ('which', r'\bwhich\b|哪'),
    ('what', r'\bwhat\b|什么|何'))
_LENGTHS = (1, '1 word'), (2, '2 words'), (4, '3 to 4'), (8, '5 to 8')


class Row(NamedTuple):
  """A question as it was answered.

  Attributes:
    question: The question.
    answers: The true answers; () if there is none.
    predicted: The answer given; '' for none.
    em: Its exact match.
    f1: Its F1.
    sure: How far the model was from the other choice, none or some answer.
  """
  question: str
  answers: tuple[str, ...]
  predicted: str
  em: float
  f1: float
  sure: float


def tables(rows: Sequence[Row]) -> dict[str, Table]:
  """Returns {heading: (column heads, rows of cells)}.

  The tables: kinds of answers, scores by question word and by length of the
  shortest true answer, and the worst answers. These have the lowest F1 and, if
  it is equal, are the surest.
  """
  return {
      'Kinds of answers': _kinds(rows),
      'By question word': _grouped(rows, 'question word', [
          *(name for name, _ in _QUESTION_WORDS), 'other'], question_word),
      'By length of the answer': _grouped(rows, 'length', [
          'no answer', *(name for _, name in _LENGTHS), 'longer'], length),
      WORST: _worst(rows)}


def question_word(row: Row) -> str:
  """Returns the name of the question word of a row.

  Example:
    >>> question_word(Row('In what year did it end?', (), '', 0, 0, 0))
    'when'
  """
  asked = row.question.lower()
  return next((name for name, pattern in _QUESTION_WORDS
               if re.search(pattern, asked)), 'other')


def length(row: Row) -> str:
  """Returns the name of the length of the shortest true answer, in words.

  In scripts that do not separate words, each letter is one.
  """
  if not row.answers:
    return 'no answer'
  count = min(len(scripts.spaced(answer).split()) for answer in row.answers)
  return next((name for most, name in _LENGTHS if count <= most), 'longer')


def _kinds(rows: Iterable[Row]) -> Table:
  """Counts right, partly right, wrong and missing answers."""
  head = ('', 'right', 'partly right', 'wrong', 'none given')
  names = {True: 'has an answer', False: 'has no answer'}
  counts = {name: [0] * 4 for name in names.values()}
  for row in rows:
    place = 3 if not row.predicted else (
        0 if row.em else 1 if row.f1 > 0 else 2)
    counts[names[bool(row.answers)]][place] += 1
  return head, [(name, *map('{:,}'.format, some))
                for name, some in counts.items() if any(some)]


def _grouped(rows: Iterable[Row], title: str, names: Sequence[str],
             name_of: Callable[[Row], str]) -> Table:
  """Returns the number of rows, F1 and exact match of each group of rows."""
  groups = {name: [] for name in names}
  for row in rows:
    groups[name_of(row)].append(row)
  return (title, 'questions', 'F1', 'em', 'none given'), [
      (name, f'{len(some):,}',
       *(f'{sum(values) / len(some):.3f}' for values in (
           [row.f1 for row in some], [row.em for row in some],
           [not row.predicted for row in some])))
      for name, some in groups.items() if some]


def _worst(rows: Iterable[Row]) -> Table:
  """Returns the rows of lowest F1, the surest first."""
  wrong = sorted((row for row in rows if row.f1 < 1),
                 key=lambda row: (row.f1, -row.sure))
  return ('question', 'expected', 'given', 'F1'), [
      (_cut(row.question),
       ' | '.join(map(_cut, dict.fromkeys(row.answers))) or '(none)',
       _cut(row.predicted) or '(none)', f'{row.f1:.2f}')
      for row in wrong[:_SHOWN]]


def _cut(text: str) -> str:
  text = ' '.join(text.split())
  return text if len(text) <= _LETTERS else f'{text[:_LETTERS - 1]}…'
