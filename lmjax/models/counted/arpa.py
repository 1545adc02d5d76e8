"""ARPA files: n-gram models in the text format that other tools read.

Probabilities and back-offs are logarithms to base 10. BOS is `<s>`, whose log
probability is -99 as it is never predicted; EOS is `</s>`.
"""
from collections.abc import Sequence
import math
import pathlib
import re

import numpy as np

from lmjax.core import errors
from lmjax.core.files import atomic
from lmjax.models.counted import ngram

BOS, EOS, UNKNOWN = '<s>', '</s>', '<unk>'
_NEVER = -99.0
_BLOCK = 1 << 16  # N-grams written together.
_LOG10 = np.log(10)


def default_words(vocab_size: int, bos_id: int | None = None,
                  eos_id: int | None = None) -> list[str]:
  """Returns a word per id: '0', '1', ..., and `<s>`, `</s>` for BOS, EOS."""
  words = [str(i) for i in range(vocab_size)]
  for i, word in ((bos_id, BOS), (eos_id, EOS)):
    if i is not None:
      words[i] = word
  return words


def save(model: ngram.Ngram, path: str | pathlib.Path,
         words: Sequence[str] | None = None, eos_id: int | None = None) -> None:
  """Writes a model as an ARPA file, with log probabilities to 9 digits.

  Args:
    model: The model.
    path: The file to write.
    words: The word of each id; words are distinct and have no whitespace. By
      default `default_words`. KenLM reads only files that have `<s>` and
      `</s>`, and treats unknown words as `<unk>`.
    eos_id: The id of `</s>` in the default words.

  Raises:
    InputError: If words are ambiguous, or the model is not a back-off model.
  """
  if model.lower != 'shorter' or model.unseen != 1:
    raise errors.InputError(
        f'An ARPA file holds back-off models, and {model.name} is not one. '
        'Choose ModifiedKneserNey, KneserNey, AbsoluteDiscounting, WittenBell '
        'or Katz.')
  if words is None:
    words = default_words(model.vocab_size, model.bos_id, eos_id)
  _check_words(words, model)
  names = np.array([*words, ''], object)
  with atomic.opened(path) as file:
    file.write('\\data\\\n')
    shown = _spelled(model)
    for order, rows in enumerate(shown, 1):
      file.write(f'ngram {order}={len(rows)}\n')
    spelled = names
    for order, (keys, rows) in enumerate(zip(model.keys, shown), 1):
      if order > 1:
        parent, token = np.divmod(keys, model.radix)
        spelled = spelled[parent] + ' ' + names[token]
      file.write(f'\n\\{order}-grams:\n')
      _write(file, model, order, spelled, rows)
    file.write('\n\\end\\\n')


def load(path: str | pathlib.Path,
         words: Sequence[str] | None = None) -> ngram.Ngram:
  """Returns the model of an ARPA file.

  Args:
    path: The file.
    words: The word of each id. By default the file's words, in their order,
      have ids from 0.

  Raises:
    InputError: If the file is not an ARPA file, its words differ from `words`,
      or it has an n-gram whose first or last words are not in it as an n-gram.
  """
  sections = _sections(path)
  spelled = sections[0][0]
  if words is None:
    words = spelled
  number = {word: i for i, word in enumerate(words)}
  size = len(words)
  missing = set(words) - set(spelled)
  if missing or len(number) != size:
    raise errors.InputError(
        f'{str(path)!r} should have each of the {size} words once; '
        f'{sorted(missing)[:3] or "some"} are missing or given twice.')
  # `index` maps the text of each n-gram of the previous order to its index.
  tables, index = [], number
  for order, (grams, values, lefts) in enumerate(sections, 1):
    keys = _keys(path, order, grams, index, number)
    if order == 1:  # The last place is not a word; see `Counts.start`.
      keys = np.append(keys, size)
      values, lefts = [*values, _NEVER], [*lefts, 0.0]
    rank = np.argsort(keys, kind='stable')
    place = np.empty(len(rank), np.int64)
    place[rank] = np.arange(len(rank))
    index = dict(zip(grams, place.tolist()))
    tables.append((keys[rank], *(
        np.where(x <= _NEVER, -np.inf, x * _LOG10)
        for x in (np.array(values)[rank], np.array(lefts)[rank]))))
  keys, log_p, backoffs = zip(*tables)
  bos_id = number[BOS] if BOS in number else None
  if bos_id is not None:  # Tools write different values for BOS.
    log_p[0][bos_id] = -np.inf
  return ngram.Ngram(size, bos_id, keys, log_p, backoffs[:-1],
                     name=f'{len(sections)}-gram of an ARPA file')


def _keys(path, order, grams, index, number):
  """Returns the keys of n-grams; `index` and `number` contain their parts."""
  radix = len(number) + 1
  try:
    if order == 1:
      return np.array([number[gram] for gram in grams], np.int64)
    if order > 2:
      for gram in grams:
        index[gram.partition(' ')[2]]
    parts = (gram.rpartition(' ') for gram in grams)
    return np.array([index[before] * radix + number[word]
                     for before, _, word in parts], np.int64)
  except KeyError as error:
    raise errors.InputError(
        f'{str(path)!r} has {order}-grams with {error.args[0]!r}, which is '
        'neither an n-gram of the file nor one of the words; lmjax reads '
        'models in which every part of an n-gram is an n-gram.') from None


def _spelled(model):
  """Returns the n-grams of each order in which every token has a word.

  The implicit BOS of documents without BOS is not a word; see `Counts`.
  """
  wordless = np.arange(model.radix) == model.vocab_size
  out = [np.flatnonzero(~wordless)]
  for keys in model.keys[1:]:
    wordless = wordless[keys // model.radix]
    out.append(np.flatnonzero(~wordless))
  return out


def _write(file, model, order, spelled, shown):
  log_p = model.log_probabilities[order - 1] / _LOG10
  log_p = np.maximum(log_p, _NEVER)
  last = order == model.order
  if not last:
    left = np.maximum(model.log_backoffs[order - 1] / _LOG10, _NEVER)
  for start in range(0, len(shown), _BLOCK):
    rows = shown[start:start + _BLOCK]
    columns = [log_p[rows].tolist(), spelled[rows].tolist()]
    if last:
      lines = [f'{p:.9g}\t{gram}\n' for p, gram in zip(*columns)]
    else:
      lines = [f'{p:.9g}\t{gram}\t{b:.9g}\n'
               for p, gram, b in zip(*columns, left[rows].tolist())]
    file.write(''.join(lines))


def _check_words(words, model):
  if len(words) != model.vocab_size or len(set(words)) != len(words):
    raise errors.InputError(
        f'words should be {model.vocab_size} distinct words, one per id; got '
        f'{len(words)}, {len(set(words))} of them distinct.')
  wrong = next((w for w in words if not w or w.split() != [w]), None)
  if wrong is not None:
    raise errors.InputError(
        f'A word of an ARPA file has letters and no whitespace; got {wrong!r}. '
        'Write ids instead: words=None.')
  if model.bos_id is not None and words[model.bos_id] != BOS:
    raise errors.InputError(
        f'The word of BOS (id {model.bos_id}) should be {BOS!r}; got '
        f'{words[model.bos_id]!r}.')


def _sections(path):
  """Returns (n-grams, log10 p, log10 back-off) of each order."""
  try:
    text = pathlib.Path(path).read_text(encoding='utf-8')
  except (OSError, UnicodeDecodeError) as error:
    raise errors.InputError(
        f'{str(path)!r} is not an ARPA file ({error}).') from None
  sizes = re.findall(r'^ngram ([0-9]+)\s*=\s*([0-9]{1,18})\s*$', text, re.M)
  heads = re.findall(r'^\\([0-9]+)-grams:\s*$', text, re.M)
  parts = re.split(r'^\\(?:[0-9]+-grams:|end\\)\s*$', text, flags=re.M)[1:]
  orders = [str(i) for i in range(1, len(sizes) + 1)]
  if not sizes or len(parts) != len(sizes) + 1 or not (
      [order for order, _ in sizes] == heads == orders):
    raise errors.InputError(
        f'{str(path)!r} is no whole ARPA file: it announces {len(sizes)} orders'
        f' and has {max(len(parts) - 1, 0)}, up to \\end\\.')
  out = []
  for order, ((_, size), part) in enumerate(zip(sizes, parts), 1):
    rows = [line.split() for line in part.splitlines() if line.strip()]
    try:
      values = [float(row[0]) for row in rows]
      lefts = [float(row[order + 1]) if len(row) == order + 2 else 0.0
               for row in rows]
    except ValueError as error:
      raise errors.InputError(
          f'{str(path)!r} has a {order}-gram without numbers ({error}).'
      ) from None
    short = [row for row in rows if not order + 1 <= len(row) <= order + 2]
    if len(rows) != int(size) or short:
      raise errors.InputError(
          f'{str(path)!r} announces {size} {order}-grams and has {len(rows)}'
          f'{", one of them " + " ".join(short[0])[:80] if short else ""}.')
    wrong = next((row for row, value, left in zip(rows, values, lefts)
                  if not value <= 0 or not left < math.inf), None)
    if wrong is not None:
      raise errors.InputError(
          f'{str(path)!r} has a {order}-gram whose log10 probability is above '
          f'0 or not a number, or whose back-off is not a number: '
          f'{" ".join(wrong)!r:.80}.')
    grams = [' '.join(row[1:order + 1]) for row in rows]
    if len(set(grams)) < len(grams):
      raise errors.InputError(
          f'{str(path)!r} has a {order}-gram that is given twice.')
    out.append((grams, values, lefts))
  return out
