"""ARPA files: n-gram models in the text format that other tools read.

Probabilities and back-offs are logarithms to base 10. BOS is `<s>`, whose log
probability is -99 as it is never predicted; EOS is `</s>`.
"""
from collections.abc import Iterator, Sequence
import contextlib
import dataclasses
import gzip
import io
import math
import pathlib
import re
from typing import Any, TextIO
import zlib

import numpy as np

from lmjax.core import errors
from lmjax.core.files import atomic
from lmjax.models.counted import ngram

BOS, EOS, UNKNOWN = '<s>', '</s>', '<unk>'
_NEVER = -99.0
_BLOCK = 1 << 16  # N-grams written together.
_LOG10 = np.log(10)
_SPACES = re.compile('[ \\t]+')  # Other whitespace may be part of a word.
_SIZE = re.compile(r'ngram +([0-9]{1,2})\s*=\s*([0-9]{1,18})')
_HEAD = re.compile(r'\\([0-9]{1,2})-grams:')


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
  """Writes a model as an ARPA file, with log probabilities to 15 digits.

  Args:
    model: The model.
    path: The file to write, compressed if its name ends in `.gz`.
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
  if model.cache is not None:
    raise errors.InputError(
        f'An ARPA file holds n-grams, and {model.name} has a cache too; count '
        'the text again with --config.model.cache=none.')
  if words is None:
    words = default_words(model.vocab_size, model.bos_id, eos_id)
  _check_words(words, model)
  names = np.array([*words, ''], object)
  with _opened(str(path)) as file:
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
  sections = list(_sections(path))
  spelled = sections[0].grams
  if words is None:
    words = list(spelled)
  number = {word: i for i, word in enumerate(words)}
  size = len(words)
  missing = set(words) - set(spelled)
  if missing or len(number) != size:
    raise errors.InputError(
        f'{str(path)!r} should have each of the {size} words once; '
        f'{sorted(missing)[:3] or "some"} are missing or given twice.')
  # `index` maps the text of each n-gram of the previous order to its index.
  tables, index = [], number
  for section in sections:
    keys = _keys(section, index, number)
    values, lefts = section.values, section.lefts
    if section.order == 1:  # The last place is not a word; see `Counts.start`.
      keys = np.append(keys, size)
      values, lefts = [*values, _NEVER], [*lefts, 0.0]
    rank = np.argsort(keys, kind='stable')
    place = np.empty(len(rank), np.int64)
    place[rank] = np.arange(len(rank))
    index = dict(zip(section.grams, place.tolist()))
    tables.append((keys[rank], *(
        np.where(x <= _NEVER, -np.inf, x * _LOG10)
        for x in (np.array(values)[rank], np.array(lefts)[rank]))))
  keys, log_p, backoffs = zip(*tables)
  bos_id = number[BOS] if BOS in number else None
  if bos_id is not None:  # Tools write different values for BOS.
    log_p[0][bos_id] = -np.inf
  return ngram.Ngram(size, bos_id, keys, log_p, backoffs[:-1],
                     name=f'{len(sections)}-gram of an ARPA file')


def vocabulary(path: str | pathlib.Path) -> list[str]:
  """Returns the words of an ARPA file, in their order; reads only its start."""
  return list(next(_sections(path)).grams)


@contextlib.contextmanager
def _opened(path: str) -> Iterator[TextIO]:
  """Opens a file of text, which appears at once; see `atomic.opened`."""
  if not path.endswith('.gz'):
    with atomic.opened(path) as file:
      yield file
    return
  with atomic.opened(path, 'wb') as raw:
    # Without a name and a time, so that equal models give equal bytes.
    with gzip.GzipFile('', 'wb', fileobj=raw, mtime=0) as packed:
      with io.TextIOWrapper(packed, encoding='utf-8') as file:
        yield file


def _keys(section, index, number):
  """Returns the keys of n-grams; `index` and `number` contain their parts."""
  order, radix = section.order, len(number) + 1
  try:
    if order == 1:
      return np.array([number[gram] for gram in section.grams], np.int64)
    if order > 2:
      for gram in section.grams:
        index[gram.partition(' ')[2]]
    parts = (gram.rpartition(' ') for gram in section.grams)
    return np.array([index[before] * radix + number[word]
                     for before, _, word in parts], np.int64)
  except KeyError as error:
    part = error.args[0]
    at = next(i for i, gram in enumerate(section.grams)
              if f' {part} ' in f' {gram} ')
    raise errors.InputError(
        f'{section.path}:{section.numbers[at]}: {order}-grams with {part!r}, '
        'which is neither an n-gram of the file nor one of the words; lmjax '
        'reads models in which every part of an n-gram is an n-gram.') from None


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
      lines = [f'{p:.15g}\t{gram}\n' for p, gram in zip(*columns)]
    else:
      lines = [f'{p:.15g}\t{gram}\t{b:.15g}\n'
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
        'Write ids instead: words=None, or --ids of convert_ngram.py.')
  if model.bos_id is not None and words[model.bos_id] != BOS:
    raise errors.InputError(
        f'The word of BOS (id {model.bos_id}) should be {BOS!r}; got '
        f'{words[model.bos_id]!r}.')


@dataclasses.dataclass
class _Section:
  """The n-grams of an order: their texts, log10 p, back-offs and lines."""
  path: str
  order: int
  grams: dict[str, int] = dataclasses.field(default_factory=dict)
  values: list[float] = dataclasses.field(default_factory=list)
  lefts: list[float] = dataclasses.field(default_factory=list)
  numbers: list[int] = dataclasses.field(default_factory=list)

  def add(self, number: int, line: str) -> None:
    """Adds the n-gram of a line."""
    value, *row = _SPACES.split(line)
    gram = ' '.join(row[:self.order])
    left = row[self.order] if len(row) == self.order + 1 else '0'
    try:
      value, left = float(value), float(left)
    except ValueError as error:
      raise self._error(number, 'without numbers', error) from None
    if not self.order <= len(row) <= self.order + 1:
      raise self._error(number, 'with another number of words', repr(line))
    if not value <= 0 or not left < math.inf:
      raise self._error(
          number, 'whose log10 probability is above 0 or not a number, or '
          'whose back-off is not a number', repr(line))
    if gram in self.grams:
      raise self._error(number, 'that is given twice', repr(gram))
    self.grams[gram] = len(self.grams)
    self.values.append(value)
    self.lefts.append(left)
    self.numbers.append(number)

  def check(self, sizes: Sequence[int]) -> None:
    """Checks that the section has as many n-grams as the file's head says."""
    size = sizes[self.order - 1]
    if len(self.grams) != size:
      raise errors.InputError(
          f'{self.path} announces {size} {self.order}-grams and has '
          f'{len(self.grams)}.')

  def _error(self, number: int, what: str, found: Any) -> errors.InputError:
    return errors.InputError(
        f'{self.path}:{number}: a {self.order}-gram {what}: {found!s:.80}.')


def _sections(path: str | pathlib.Path) -> Iterator[_Section]:
  """Yields the sections of a file, each once it is read."""
  path, sizes, section, ended = str(path), [], None, False
  lines = _lines(path)
  for number, line in lines:
    if line == '\\data\\':  # The text before it is a comment.
      break
  for number, line in lines:
    ended, order = line == '\\end\\', section.order if section else 0
    if ended or _HEAD.fullmatch(line):
      if section is not None:
        section.check(sizes)
        yield section
      if ended:
        break
      if int(_HEAD.fullmatch(line)[1]) != order + 1 or order == len(sizes):
        raise errors.InputError(
            f'{path}:{number}: {line!r:.80} should be the {order + 1}-grams of '
            f'{len(sizes)} orders.')
      section = _Section(path, order + 1)
    elif section is not None:
      section.add(number, line)
    else:
      size = _SIZE.fullmatch(line)
      if size is None or int(size[1]) != len(sizes) + 1:
        raise errors.InputError(
            f'{path}:{number}: should be "ngram {len(sizes) + 1}=" and a '
            f'number, or \\1-grams:; got {line!r:.80}.')
      sizes.append(int(size[2]))
  order = section.order if section else 0
  if not ended or not sizes or order != len(sizes):
    raise errors.InputError(
        f'{path} is no whole ARPA file: it announces {len(sizes)} orders and '
        f'has {order}, up to \\end\\.')


def _lines(path: str) -> Iterator[tuple[int, str]]:
  """Yields (number from 1, text) of the lines that are not blank."""
  number = 0
  try:
    with gzip.open(path) if path.endswith('.gz') else open(path, 'rb') as file:
      for number, raw in enumerate(file, 1):
        if line := raw.decode('utf-8').strip(' \t\r\n\ufeff'):
          yield number, line
  except UnicodeDecodeError as error:
    raise errors.InputError(f'{path}:{number}: not text ({error}).') from None
  except (OSError, EOFError, zlib.error) as error:
    raise errors.InputError(
        f'{path} cannot be read after line {number}: {error}.') from None
