"""Words that a text shares with its references: ROUGE, METEOR, exact match.

In a script that does not separate words, such as Chinese, each letter is a
word, so the measures work for every language.
"""
import collections
from collections.abc import Callable, Sequence
import functools
import re

from lmjax.core import errors
from lmjax.data import scripts

_WORD = re.compile(r'\w+')
_ALPHA, _BETA, _GAMMA = 0.9, 3.0, 0.5  # Of METEOR.
MISSING = (
    '{what} needs the library {library}: pip install "lmjax[seq2seq]", or '
    'choose other names with --config.task.metrics.scores.names=...')


def words(text: str) -> list[str]:
  """Returns the words of a text in lower case, without punctuation.

  Example:
    >>> words('The cat, 我爱你!')
    ['the', 'cat', '我', '爱', '你']
  """
  return _WORD.findall(scripts.spaced(text.lower()))


def exact(text: str, references: Sequence[str]) -> float:
  """Returns 1 if the text is one of the references, whitespace aside, or 0."""
  return float(text.split() in [each.split() for each in references])


def rouge(text: str, references: Sequence[str]) -> dict[str, float]:
  """Returns ROUGE-1, ROUGE-2 and ROUGE-L: F1 of words, without stemming.

  ROUGE-N counts words (N = 1) or pairs of neighbouring words (N = 2) of both
  texts, each at most as often as in the other text; ROUGE-L takes the longest
  common subsequence of words. With several references, each measure has its
  highest value. On ASCII text, this is what the library rouge-score computes.

  References:
    Lin, ROUGE: A Package for Automatic Evaluation of Summaries, 2004, sections
    2 and 3.

  Example:
    >>> rouge('the cat sat', ['the black cat sat'])['rougeL']
    0.8571428571428571
  """
  own, found = words(text), collections.defaultdict(float)
  for reference in references:
    other = words(reference)
    for name, score in (
        ('rouge1', _shared(own, other, 1)), ('rouge2', _shared(own, other, 2)),
        ('rougeL', f1(_longest_common(own, other), len(own), len(other)))):
      found[name] = max(found[name], score)
  return dict(found)


def rouge_score(text: str, references: Sequence[str]) -> dict[str, float]:
  """Returns ROUGE-1, ROUGE-2 and ROUGE-L of the library rouge-score.

  It stems English words, and reads letters of ASCII only: use `rouge` for
  other languages.

  Raises:
    InputError: If the library is not installed.
  """
  scores = _rouge_scorer().score_multi(list(references), text)
  return {name: float(score.fmeasure) for name, score in scores.items()}


@functools.cache
def _rouge_scorer():
  """Returns the scorer of the library, which takes seconds to import."""
  try:
    from rouge_score import rouge_scorer
  except ImportError:
    raise errors.InputError(MISSING.format(
        what='rouge=rouge_score', library='rouge-score')) from None
  return rouge_scorer.RougeScorer(
      ['rouge1', 'rouge2', 'rougeL'], use_stemmer=True)


def meteor(text: str, references: Sequence[str],
           stem: Callable[[str], str] | None = None) -> float:
  """Returns METEOR with exact matches and matches of stems, without synonyms.

  Each word is aligned with at most one word of the reference: first the equal
  ones, then those with equal stems. A word is aligned so that it continues the
  run of aligned words before it if it can, or else with the first free word.
  With m aligned words, P = m / words of the text, R = m / words of the
  reference, and c runs of words that are adjacent and in order in both,

    P R / (0.9 P + 0.1 R) (1 - 0.5 (c / m)^3).

  With several references, the highest value counts. METEOR proper also matches
  synonyms of WordNet, so its values are higher.

  Args:
    text: The text.
    references: The references.
    stem: Returns the stem of a word; None takes Porter's stems of English.

  References:
    Banerjee and Lavie, METEOR, 2005, section 2.2; Lavie and Agarwal, METEOR,
    2007, section 2.2 (the parameters).
  """
  stem = porter() if stem is None else stem
  own = words(text)
  return max(_meteor(own, words(reference), stem) for reference in references)


@functools.cache
def porter() -> Callable[[str], str]:
  """Returns Porter's stemmer of English words.

  Raises:
    InputError: If the library nltk is not installed.
  """
  try:
    from nltk.stem import porter as porter_lib
  except ImportError:
    raise errors.InputError(MISSING.format(
        what='meteor_exact_stem', library='nltk')) from None
  return functools.lru_cache(1 << 16)(porter_lib.PorterStemmer().stem)


def repeats(text: str, times: int = 3, longest: int = 4) -> bool:
  """Returns whether some words stand several times in a row.

  Args:
    text: The text.
    times: The number of times.
    longest: Most words that are repeated together.

  Example:
    >>> repeats('a dog and a dog and a dog and'), repeats('a dog and a dog')
    (True, False)
  """
  own = words(text)
  return any(
      own[start:start + size] * times == own[start:start + size * times]
      for size in range(1, longest + 1)
      for start in range(len(own) - size * times + 1))


def f1(shared: float, own: int, other: int) -> float:
  """Returns the harmonic mean of shared / own and shared / other, or 0."""
  return 2 * shared / (own + other) if shared else 0.0


def _shared(own: Sequence[str], other: Sequence[str], size: int) -> float:
  """Returns ROUGE-N for N = size."""
  counts, others = (
      collections.Counter(zip(*(some[i:] for i in range(size))))
      for some in (own, other))
  return f1((counts & others).total(), counts.total(), others.total())


def _longest_common(own: Sequence[str], other: Sequence[str]) -> int:
  """Returns the length of the longest common subsequence."""
  row = [0] * (len(other) + 1)
  for word in own:
    before = 0  # The entry of the last row, one column to the left.
    for i, each in enumerate(other, 1):
      before, row[i] = row[i], (
          before + 1 if word == each else max(row[i], row[i - 1]))
  return row[-1]


def _meteor(own: Sequence[str], other: Sequence[str],
            stem: Callable[[str], str]) -> float:
  """Returns METEOR for one reference."""
  place = aligned(own, other, stem)
  matches = sum(at is not None for at in place)
  if not matches:
    return 0.0
  runs = sum(at is not None and (
      not i or place[i - 1] is None or place[i - 1] + 1 != at)
             for i, at in enumerate(place))
  precision, recall = matches / len(own), matches / len(other)
  mean = precision * recall / (_ALPHA * precision + (1 - _ALPHA) * recall)
  return mean * (1 - _GAMMA * (runs / matches) ** _BETA)


def aligned(own: Sequence[str], other: Sequence[str],
            stem: Callable[[str], str]) -> list[int | None]:
  """Returns the place in `other` of each word of `own`, or None.

  See `meteor` for the order of matches.
  """
  place, free = [None] * len(own), set(range(len(other)))
  for form in (lambda word: word, stem):
    mine, theirs = ([form(word) for word in some] for some in (own, other))
    for i, word in enumerate(mine):
      if place[i] is not None:
        continue
      fits = sorted(j for j in free if theirs[j] == word)
      if not fits:
        continue
      following = None if not i or place[i - 1] is None else place[i - 1] + 1
      place[i] = following if following in fits else fits[0]
      free.remove(place[i])
  return place
