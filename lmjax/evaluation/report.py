"""Reports of evaluations: numbers in the usual units, and their conditions."""
from collections.abc import Sequence
import dataclasses
import json
import math
import os
from typing import Any

from lmjax.core import errors
from lmjax.core.files import atomic
from lmjax.core.files import strict_json
from lmjax.core import secrets
from lmjax.core import terminal
from lmjax.evaluation import by_document as by_document_lib

SCHEMA = 'lmjax.report.v2'


@dataclasses.dataclass(frozen=True)
class Bucket:
  """The mean loss of the tokens for which `low <= quantity <= high`.

  `high` is None if the bucket has no upper bound.
  """
  low: int
  high: int | None
  tokens: int
  nats_per_token: float


@dataclasses.dataclass(frozen=True)
class Report:
  """The result of an exact evaluation: each token of the text is scored once.

  Attributes:
    name: Name of the model or baseline, such as 'model' or 'bigram'.
    nats_per_token: Mean negative log-likelihood of a token.
    stderr: Standard error of `nats_per_token`, with documents as the sampled
      units (tokens of one document are not independent); None for fewer than
      two documents.
    accuracy: Share of tokens that were the most probable one.
    tokens: Number of scored tokens, EOS included; BOS is never scored.
    documents: Number of documents.
    bytes: UTF-8 bytes of the original text; None if not known.
    characters: Its characters (Unicode code points); None if not known.
    words: Its whitespace-separated words; None if not known, or if the script
      does not separate words.
    uncontexted: Number of tokens with no token before them, as without BOS.
      Each is charged log(vocab_size).
    nonfinite: Number of tokens whose loss was NaN or infinite. One of them
      makes the means NaN or infinite too.
    by_position: Loss by the number of tokens that a prediction could see.
    by_frequency: Loss by the token's count in the training data.
    vocab_size: Size of the vocabulary.
    context: Most tokens that a prediction could see; None if there was no
      limit.
    stride: Tokens by which the window moved over long documents; None if it did
      not: a note says how documents were read.
    rule: Sentence that says how documents became tokens: BOS, EOS.
    data_hash: Hash of the scored tokens, in order.
    tokenizer_hash: Hash of the tokenizer; None if not given.
    parameters_hash: Hash of the parameters; None if not given.
    seconds: Wall time, compilation included.
    tokens_per_second: Speed after the first batch, without compilation; None
      if there was only one batch.
    notes: Sentences that a reader must know to quote the numbers.
    by_document: The loss of each document, which is kept in a file of its own;
      None if the original text is not known, and in a report that was read.
  """
  name: str
  nats_per_token: float
  stderr: float | None
  accuracy: float
  tokens: int
  documents: int
  bytes: int | None
  characters: int | None
  words: int | None
  uncontexted: int
  nonfinite: int
  by_position: tuple[Bucket, ...]
  by_frequency: tuple[Bucket, ...]
  vocab_size: int
  context: int | None
  stride: int | None
  rule: str
  data_hash: str
  tokenizer_hash: str | None
  parameters_hash: str | None
  seconds: float
  tokens_per_second: float | None
  notes: tuple[str, ...] = ()
  by_document: by_document_lib.Scores | None = dataclasses.field(
      default=None, compare=False, repr=False)

  @property
  def nats(self) -> float:
    """Negative log-likelihood of the whole text."""
    return self.nats_per_token * self.tokens

  @property
  def perplexity(self) -> float:
    """Exponential of the nats per token."""
    return _exp(self.nats_per_token)

  @property
  def bits_per_byte(self) -> float | None:
    """Bits of all tokens, EOS included, per UTF-8 byte of the original text."""
    return self.nats / math.log(2) / self.bytes if self.bytes else None

  @property
  def nats_per_character(self) -> float | None:
    """Nats of all tokens, EOS included, per character of the original text."""
    return self.nats / self.characters if self.characters else None

  @property
  def bits_per_character(self) -> float | None:
    """Bits of all tokens, EOS included, per character of the original text."""
    return self.nats_per_character and self.nats_per_character / math.log(2)

  @property
  def word_perplexity(self) -> float | None:
    """Exponential of the nats of all tokens, EOS included, per word."""
    return _exp(self.nats / self.words) if self.words else None

  def to_dict(self) -> dict[str, Any]:
    """Returns JSON types; a number that is not finite becomes None."""
    derived = {name: getattr(self, name) for name in (
        'nats', 'perplexity', 'bits_per_byte', 'nats_per_character',
        'bits_per_character', 'word_perplexity')}
    fields = dataclasses.asdict(dataclasses.replace(self, by_document=None))
    del fields['by_document']
    return finite(fields | derived)

  @classmethod
  def from_dict(cls, tree: dict[str, Any]) -> 'Report':
    """Returns the report that `to_dict` wrote."""
    fields = {f.name: tree[f.name] for f in dataclasses.fields(cls)
              if f.name != 'by_document'}
    for name in ('by_position', 'by_frequency'):
      fields[name] = tuple(Bucket(**_real(bucket)) for bucket in fields[name])
    return cls(**_real(fields) | {'notes': tuple(fields['notes'])})


def save(path: str | os.PathLike, reports: Sequence[Report],
         choices: Sequence[Any] = (), **facts: Any) -> None:
  """Writes `report.json` atomically.

  Args:
    path: Path of the file.
    reports: Report of the model, then reports of its baselines.
    choices: Results of multiple choice, each with a `to_dict`.
    **facts: Further entries, of JSON types.
  """
  tree = {'schema': SCHEMA,
          'reports': [report.to_dict() for report in reports],
          'choices': [choice.to_dict() for choice in choices]}
  atomic.write(path, json.dumps(
      secrets.redact(tree | finite(facts)), indent=2, allow_nan=False) + '\n')


def load(path: str | os.PathLike) -> list[Report]:
  """Returns the reports in a `report.json`.

  Raises:
    InputError: If the file cannot be read or holds no reports.
  """
  try:
    tree = strict_json.read(path)
    return [Report.from_dict(report) for report in tree['reports']]
  except (OSError, ValueError, LookupError, TypeError,
          AttributeError) as error:
    raise errors.InputError(
        f'{os.fspath(path)!r} holds no reports ({error!r}); evaluate the run '
        'again.') from None


_COLUMNS = (  # Heading, decimals, attribute.
    ('nats/token', 4, 'nats_per_token'), ('±', 4, 'stderr'),
    ('ppl', 2, 'perplexity'), ('bits/byte', 4, 'bits_per_byte'),
    ('bits/char', 4, 'bits_per_character'),
    ('word ppl', 1, 'word_perplexity'), ('accuracy', 4, 'accuracy'),
    ('tokens/s', 0, 'tokens_per_second'))


def cells(report: Report) -> list[str]:
  """Returns a report's row of the table, in the order of `headings()`."""
  return [report.name] + [
      number(getattr(report, name), decimals) for _, decimals, name in _COLUMNS]


def headings() -> list[str]:
  return [''] + [heading for heading, _, _ in _COLUMNS]


def number(value: float | None, decimals: int) -> str:
  """Returns a number formatted for tables; None becomes a dash."""
  if value is None:
    return '-'
  if not math.isfinite(value):
    return str(value)
  return f'{value:,.{decimals}f}' if abs(value) < 1e5 else f'{value:.3g}'


def terms(report: Report) -> list[str]:
  """Returns sentences that state what was scored, and how."""
  lines = [
      f'{report.tokens:,} tokens, each scored once; documents: '
      f'{report.documents:,}; ' + ''.join(
          f'{name} {value}, ' for name, value in (
              ('context', report.context), ('stride', report.stride))
          if value is not None) + f'vocabulary {report.vocab_size:,}.']
  if report.bytes is not None:
    paid = 'bits' if report.words is None else 'bits and word ppl'
    counts = [f'{report.bytes:,} UTF-8 bytes',
              f'{report.characters:,} characters']
    if report.words is not None:
      counts.append(f'{report.words:,} words')
    *others, last = counts
    lines.append(f'{", ".join(others)} and {last} of original text; EOS is '
                 f'paid for in {paid}.')
    if report.words is None:
      lines.append('Spaces do not separate its words: there is no word ppl.')
  if report.rule:
    lines.append(report.rule)
  return lines + list(report.notes)


def table(reports: Sequence[Report]):
  """Returns a `rich` table of reports of one evaluation."""
  # A long heading takes two lines, so that the table fits 80 columns.
  return grid([heading.replace('/', '/\n') if len(heading) > 8 else heading
               for heading in headings()],
              [cells(report) for report in reports],
              '\n'.join(terms(reports[0])))


def grid(columns: Sequence[str], rows: Sequence[Sequence[str]],
         caption: str | None = None):
  """Returns a `rich` table whose first column names the rows."""
  from rich import box  # pylint: disable=g-import-not-at-top
  from rich import table as rich_table  # pylint: disable=g-import-not-at-top
  from rich import text  # pylint: disable=g-import-not-at-top
  out = rich_table.Table(
      box=box.SIMPLE_HEAD, pad_edge=False, padding=(0, 1, 0, 0),
      show_edge=False,  # Its two columns are those that 80 would lack.
      caption=caption and text.Text('\n' + terminal.printable(caption)),
      caption_justify='left')
  for i, column in enumerate(columns):
    out.add_column(column, justify='right' if i else 'left', no_wrap=True)
  for i, row in enumerate(rows):
    out.add_row(*(text.Text(terminal.printable(cell)) for cell in row),
                style='bold' if i == 0 else None)
  return out


def show(reports: Sequence[Report], file=None) -> None:
  """Prints the table of reports."""
  display(table(reports), file)


def display(shown: Any, file=None) -> None:
  """Prints a `rich` table to `file`, by default standard output."""
  from rich import console  # pylint: disable=g-import-not-at-top
  out = console.Console(file=file)
  if not out.is_terminal:
    out.width = 100  # Columns; without a terminal Rich would assume 80.
  out.print(shown)


def finite(tree: Any) -> Any:
  """Returns a tree with None in place of floats that are not finite."""
  if isinstance(tree, dict):
    return {key: finite(value) for key, value in tree.items()}
  if isinstance(tree, (list, tuple)):
    return [finite(value) for value in tree]
  if isinstance(tree, float) and not math.isfinite(tree):
    return None
  return tree


def _exp(x: float) -> float:
  try:
    return math.exp(x)
  except OverflowError:
    return math.inf


def _real(fields: dict[str, Any]) -> dict[str, Any]:
  """Returns the fields with NaN for the means that are null in JSON."""
  return fields | {name: math.nan for name in ('nats_per_token', 'accuracy')
                   if name in fields and fields[name] is None}
