"""Predictions of a fine-tuned run on texts from files, pipes or flags."""
import collections
from collections.abc import Iterator
import dataclasses
import json
import sys
import time
from typing import Literal

from lmjax.core import cli
from lmjax.core import errors
from lmjax.core import terminal
from lmjax.data.text import texts as texts_lib
from lmjax.evaluation.downstream.written import closeness
from lmjax.evaluation import estimates
from lmjax.evaluation import report
from lmjax.recipes.loaded import asking
from lmjax.recipes.loaded import tuned
from lmjax.tasks.readers.texts import delimited
from lmjax.tasks.readers.texts import json_lines
from lmjax.tasks.readers.texts import label_first
from lmjax.tasks.readers.texts import lines
from lmjax.tasks.readers.words import conll
from lmjax.tasks import seq2seq
from lmjax.tasks import task as task_lib


@dataclasses.dataclass(frozen=True)
class Inputs:
  """The texts to predict on, and their format.

  Attributes:
    path: A file, plain or `.gz`, a pipe, or '-' for standard input.
    texts: Texts given directly instead, each like a line of a file.
    format: A name in `FORMATS`; None chooses by the file's name: .csv, .tsv and
      .jsonl are these formats, and any other name means lines.
    text: The columns or fields with the text; several are joined by a space.
    second: The columns or fields with the other text of a pair. In lines, a tab
      separates the texts.
    label: The column or field with the label; None if there is none.
    rename: New names of labels: ('0=negative', '1=positive').
    delimiter: The character between columns; None: a comma in csv, a tab in
      tsv.
    header: Whether the first row names the columns.
    quoted: Whether `"` quotes values in columns.
    encoding: The encoding of the text, such as 'latin-1' or 'utf-16'.
    on_bad_text: How to handle bytes that are not in this encoding: 'fail', or
      'replace' them by U+FFFD. Repaired lines are counted.
  """
  path: str | None = None
  texts: tuple[str, ...] = ()
  format: str | None = None
  text: tuple[str, ...] = ('text',)
  second: tuple[str, ...] = ()
  label: str | None = None
  rename: tuple[str, ...] = ()
  delimiter: str | None = None
  header: bool = True
  quoted: bool = True
  encoding: str = 'utf-8'
  on_bad_text: Literal['fail', 'replace'] = 'fail'

  @property
  def layout(self) -> str:
    """The name of the format."""
    if self.path is None:
      return 'lines'
    return texts_lib.layout(self.path, self.format, FORMATS)

  @property
  def labelled(self) -> bool:
    """Whether there are labels."""
    return self.label is not None or self.layout in ('conll', 'label_first')

  def examples(self, texts: int, counts: collections.Counter | None = None
               ) -> Iterator[task_lib.Example]:
    """Returns an iterator that reads the inputs one by one.

    Args:
      texts: The number of texts of an example.
      counts: Receives the number of repaired lines.

    Raises:
      InputError: If path, texts and columns do not fit together.
    """
    if (self.path is None) == (not self.texts):
      raise errors.InputError('Give either --input or --texts.')
    self._check_columns(texts)
    if self.path is None:
      return (lines.example(text, texts, f'--texts number {i}')
              for i, text in enumerate(self.texts))
    return FORMATS[self.layout](self, texts).examples(counts)

  def _check_columns(self, texts: int) -> None:
    """Raises InputError for columns that the format or task does not have."""
    if self.layout in _BY_NAME:
      if bool(self.second) != (texts > 1):
        raise errors.InputError(
            f'The run was fine-tuned on examples of {texts} text'
            f'{"s" * (texts > 1)}: {"name" if texts > 1 else "leave out"} the '
            f'columns of the other text, --second; got {list(self.second)}.')
      return
    for field, flag in ('label', '--label'), ('second', '--second'):
      if getattr(self, field):
        raise errors.InputError(
            f'{flag} names a column, and {self.path or "--texts"} is read as '
            f'{self.layout}, without columns; give a file with --format=csv, '
            'tsv or jsonl.')


def _table(given: Inputs, delimiter: str) -> delimited.Delimited:
  return delimited.Delimited(
      (given.path,), given.text, given.label, given.delimiter or delimiter,
      given.header, given.quoted, given.rename, given.second, given.encoding,
      given.on_bad_text)


@dataclasses.dataclass(frozen=True)
class _Conll:
  """Reads sentences as JSON lists of words and tags, as tagging takes them."""
  reader: conll.Conll

  def examples(self, counts: collections.Counter | None
               ) -> Iterator[task_lib.Example]:
    for sentence in self.reader.examples(counts):
      yield task_lib.Example(
          json.dumps(sentence.words), json.dumps(sentence.tags), sentence.where)


FORMATS = {  # Readers, from the inputs and the number of texts of an example.
    'conll': lambda given, _: _Conll(conll.Conll(
        (given.path,), encoding=given.encoding,
        on_bad_text=given.on_bad_text)),
    'csv': lambda given, _: _table(given, ','),
    'jsonl': lambda given, _: json_lines.JsonLines(
        (given.path,), given.text, given.label, given.rename, given.second,
        given.encoding, given.on_bad_text),
    'label_first': lambda given, texts: label_first.LabelFirst(
        (given.path,), given.rename, texts, given.encoding, given.on_bad_text),
    'lines': lambda given, texts: lines.Lines(
        (given.path,), texts, given.encoding, given.on_bad_text),
    'tsv': lambda given, _: _table(given, '\t'),
}
_BY_NAME = 'csv', 'tsv', 'jsonl'


def predict(run: tuned.Tuned, inputs: Inputs, out: str | None = None,
            encoder: asking.Run | None = None) -> task_lib.Result | None:
  """Writes a JSON line for each input, in order; see `tuned.Answered`.

  Inputs without labels are answered while they are read, in bounded memory.
  Labelled inputs are all read first, and then scored together.

  Args:
    run: A fine-tuned run.
    inputs: The texts.
    out: A file for the lines, which appears once all lines are written; None
      writes the lines to standard output and messages to standard error.
    encoder: A run whose vectors tell how close written texts are to their
      references in meaning, or None.

  Returns:
    The metrics of labelled inputs; None if there are no labels.

  Raises:
    InputError: If an input cannot be read, there are no inputs, or there is an
      encoder and nothing to compare.
  """
  if encoder is not None and not (
      inputs.labelled and isinstance(run.config.task, seq2seq.Seq2Seq)):
    raise errors.InputError(
        '--encoder compares texts that a Seq2Seq run writes with their '
        'references: name the column of these with --label, or leave out '
        '--encoder.')
  begun, count, empty = time.perf_counter(), 0, 0
  counts = collections.Counter()
  examples = inputs.examples(run.splits.texts, counts)
  answered = run.answer(list(examples)) if inputs.labelled else None
  with cli.writing(out) as file:
    for line in answered.lines if answered else run.stream(examples):
      print(json.dumps(line), file=file, flush=out is None)
      count += 1
      empty += line['predicted'] is None
    if not count:
      raise errors.InputError(
          f'{inputs.path} holds no text; give at least one.')
  result = run.judge(answered) if answered and answered.examples else None
  told = sys.stderr if out is None else sys.stdout
  if result is not None:
    for heading, table in estimates.tables({'model': result}).items():
      report.display(report.grid(
          *table, heading or f'{result.examples:,} examples.'), told)
    for reason in estimates.reasons({'model': result}):
      print(terminal.printable(reason), file=told)
    if encoder is not None:
      found = [line for line in answered.lines if line['predicted'] is not None]
      close = closeness.closeness(
          [line['predicted'] for line in found],
          [line['targets'] for line in found], encoder.embed)
      print(f'closeness in meaning: {report.number(close.value, 4)} ± '
            f'{report.number(close.stderr, 4)}', file=told)
  without = f', {empty:,} without a text and left None' if empty else ''
  repaired = ''.join(f', {n:,} {what}' for what, n in sorted(counts.items()))
  print(f'{count:,} answers in {time.perf_counter() - begun:.1f} s{without}'
        f'{repaired}{"" if out is None else f": {out}"}', file=told)
  return result
