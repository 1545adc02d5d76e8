"""How well a text matches an answer: exact match and F1 of SQuAD and CMRC."""
import collections
from collections.abc import Sequence
import dataclasses
import re
import string
from typing import Protocol

from lmjax.core import errors

_ARTICLES = re.compile(r'\b(?:a|an|the)\b')
_IDEOGRAPH = re.compile('[\u4e00-\u9fa5]')
_RUNS = re.compile(r'\w+|[^\w\s]')
# The characters that CMRC's script removes. Its list also has '……', which never
# equals a single character.
_MARKS = frozenset('-:_*^/\\~`+=，。：？！“”；’《》·、「」（）－～『』')


class Match(Protocol):
  """Compares a predicted text with one true answer; both scores are in [0, 1].
  """

  def normal(self, text: str) -> str:
    """Returns the text of which exact matches are found; '' is no answer."""

  def f1(self, answer: str, predicted: str) -> float:
    """Returns the F1 of the parts of both texts."""


@dataclasses.dataclass(frozen=True)
class Squad:
  """The rules of SQuAD 1.1 and 2.0, for English.

  Texts are compared in lower case, without ASCII punctuation and without the
  articles a, an and the. F1 is of the words that both have, in any order.

  References:
    Rajpurkar et al., SQuAD, arXiv:1606.05250, section 6.1, and Know What You
    Don't Know, arXiv:1806.03822, with their evaluation scripts.

  Example:
    >>> Squad().normal('The  Normans, (a people)')
    'normans people'
  """

  def normal(self, text: str) -> str:
    """See `Match`."""
    kept = ''.join(c for c in text.lower() if c not in string.punctuation)
    return ' '.join(_ARTICLES.sub(' ', kept).split())

  def f1(self, answer: str, predicted: str) -> float:
    """See `Match`."""
    a, b = (self.normal(text).split() for text in (answer, predicted))
    if not a or not b:
      return float(a == b)
    shared = (collections.Counter(a) & collections.Counter(b)).total()
    return 2 * shared / (len(a) + len(b))


@dataclasses.dataclass(frozen=True)
class Cmrc:
  """The rules of CMRC 2018, for Chinese.

  Texts are compared in lower case and without punctuation marks. Their parts
  are Chinese characters and words of other scripts. F1 is of the longest run
  of parts that both texts have.

  The script divides words of other scripts by NLTK; here, runs of letters and
  digits are words, and each remaining mark is one. Both agree unless a word has
  marks inside, such as 3.5 or don't.

  References:
    Cui et al., A Span-Extraction Dataset for Chinese Machine Reading
    Comprehension, arXiv:1810.07366, section 3.1, and its evaluation script.

  Example:
    >>> Cmrc().parts('《红楼梦》 Part 2')
    ['红', '楼', '梦', 'part', '2']
  """

  def normal(self, text: str) -> str:
    """See `Match`."""
    return ''.join(c for c in text.lower().strip() if c not in _MARKS)

  def parts(self, text: str) -> list[str]:
    """Returns the Chinese characters and other words of a text."""
    return _RUNS.findall(_IDEOGRAPH.sub(r' \g<0> ', self.normal(text)))

  def f1(self, answer: str, predicted: str) -> float:
    """See `Match`."""
    a, b = self.parts(answer), self.parts(predicted)
    if not a or not b:
      return float(a == b)
    return 2 * _longest_run(a, b) / (len(a) + len(b))


MATCHES = {'squad': Squad(), 'cmrc': Cmrc()}


def named(name: str) -> Match:
  """Returns the rules of a name in `MATCHES`.

  Raises:
    InputError: If there are none.
  """
  if name not in MATCHES:
    raise errors.InputError(
        f'metrics.match is {name!r}; choose from {sorted(MATCHES)}.')
  return MATCHES[name]


def score(match: Match, answers: Sequence[str], predicted: str
          ) -> tuple[float, float]:
  """Returns (exact match, F1): the best over the true answers of a question.

  Args:
    match: The rules.
    answers: The true answers. Answers without anything but punctuation and
      articles do not count. If none is left, the right answer is no text.
    predicted: The predicted text; '' for no answer.

  Example:
    >>> score(Squad(), ['the Normans', 'Vikings'], 'Normans of France')
    (0.0, 0.5)
    >>> score(Squad(), [], ''), score(Squad(), [], 'Normans')
    ((1.0, 1.0), (0.0, 0.0))
  """
  normal = match.normal(predicted)
  answers = [answer for answer in answers if match.normal(answer)]
  if not answers:
    return (float(not normal),) * 2
  return (max(float(match.normal(answer) == normal) for answer in answers),
          max(match.f1(answer, predicted) for answer in answers))


def _longest_run(a: Sequence[str], b: Sequence[str]) -> int:
  """Returns the length of the longest run of items that both lists have."""
  best, row = 0, [0] * (len(b) + 1)
  for item in a:
    row = [0] + [before + 1 if item == other else 0
                 for before, other in zip(row, b)]
    best = max(best, *row)
  return best
