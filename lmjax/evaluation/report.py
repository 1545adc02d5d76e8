"""What an evaluation found, in every unit the field quotes, with its terms."""
from collections.abc import Iterable, Sequence
import dataclasses
import json
import math
import os
from typing import Any

from lmjax.core import atomic
from lmjax.core import errors
from lmjax.core import secrets
from lmjax.core import strict_json
from lmjax.core import terminal

SCHEMA = 'lmjax.report.v1'


@dataclasses.dataclass(frozen=True)
class TextSize:
  """The size of original text, before any tokenizer.

  Attributes:
    bytes: Its UTF-8 bytes.
    words: Its words, as whitespace separates them.
  """
  bytes: int
  words: int

  @classmethod
  def of(cls, texts: Iterable[str]) -> 'TextSize':
    """Returns the size of all `texts` together."""
    sizes = [(len(text.encode()), len(text.split())) for text in texts]
    return cls(sum(b for b, _ in sizes), sum(w for _, w in sizes))


@dataclasses.dataclass(frozen=True)
class Bucket:
  """The mean loss of the tokens for which `low <= quantity <= high`.

  `high` is None in the last bucket of an open scale.
  """
  low: int
  high: int | None
  tokens: int
  nats_per_token: float


@dataclasses.dataclass(frozen=True)
class Report:
  """An exact evaluation: each token of the text scored once.

  Attributes:
    name: What was evaluated, such as 'model' or 'bigram'.
    nats_per_token: Mean negative log-likelihood of a token.
    stderr: Standard error of `nats_per_token`, documents being what is drawn
      at random (tokens of one document are not independent); None for fewer
      than two documents.
    accuracy: How often the most probable token was the right one.
    tokens: Tokens scored, EOS among them; BOS is given, never scored.
    documents: Documents they came from.
    bytes: UTF-8 bytes of the original text; None if not known.
    words: Its whitespace-separated words; None if not known.
    uncontexted: Tokens that nothing precedes, as where there is no BOS. Each
      is charged log(vocab_size).
    nonfinite: Tokens whose loss was NaN or infinite. One of them makes the
      means NaN or infinite too.
    by_position: Loss by the number of tokens a prediction could see.
    by_frequency: Loss by how often the token occurs in the training data.
    vocab_size: Size of the vocabulary.
    context: The most tokens a prediction could see.
    stride: How far the window moved over long documents.
    rule: How a document became tokens: BOS, EOS.
    data_hash: Of the tokens scored, in order.
    tokenizer_hash: Of the tokenizer; None if not given.
    parameters_hash: Of the parameters; None if not given.
    seconds: Wall time, compilation included.
    tokens_per_second: Speed once compiled, that is after the first batch; None
      if there was but one.
    notes: What a reader must know to quote the numbers.
  """
  name: str
  nats_per_token: float
  stderr: float | None
  accuracy: float
  tokens: int
  documents: int
  bytes: int | None
  words: int | None
  uncontexted: int
  nonfinite: int
  by_position: tuple[Bucket, ...]
  by_frequency: tuple[Bucket, ...]
  vocab_size: int
  context: int
  stride: int
  rule: str
  data_hash: str
  tokenizer_hash: str | None
  parameters_hash: str | None
  seconds: float
  tokens_per_second: float | None
  notes: tuple[str, ...] = ()

  @property
  def nats(self) -> float:
    """Negative log-likelihood of the whole text."""
    return self.nats_per_token * self.tokens

  @property
  def perplexity(self) -> float:
    """Exponential of the nats a token."""
    return _exp(self.nats_per_token)

  @property
  def bits_per_byte(self) -> float | None:
    """Bits for each UTF-8 byte of the original text; EOS is paid for too."""
    return self.nats / math.log(2) / self.bytes if self.bytes else None

  @property
  def word_perplexity(self) -> float | None:
    """Exponential of all nats, those of EOS included, over the words."""
    return _exp(self.nats / self.words) if self.words else None

  def to_dict(self) -> dict[str, Any]:
    """Returns JSON types; a number that is not finite becomes None."""
    derived = {name: getattr(self, name) for name in (
        'nats', 'perplexity', 'bits_per_byte', 'word_perplexity')}
    return finite(dataclasses.asdict(self) | derived)

  @classmethod
  def from_dict(cls, tree: dict[str, Any]) -> 'Report':
    """Returns the report that `to_dict` was called on."""
    fields = {f.name: tree[f.name] for f in dataclasses.fields(cls)}
    for name in ('by_position', 'by_frequency'):
      fields[name] = tuple(Bucket(**_real(bucket)) for bucket in fields[name])
    return cls(**_real(fields) | {'notes': tuple(fields['notes'])})


def save(path: str | os.PathLike, reports: Sequence[Report],
         choices: Sequence[Any] = (), **facts: Any) -> None:
  """Writes `report.json`, whole or not at all.

  Args:
    path: Of the file.
    reports: Of the model, then of its baselines.
    choices: Results of multiple choice, each with a `to_dict`.
    **facts: More entries, of JSON types.
  """
  tree = {'schema': SCHEMA,
          'reports': [report.to_dict() for report in reports],
          'choices': [choice.to_dict() for choice in choices]}
  atomic.write(path, json.dumps(
      secrets.redact(tree | finite(facts)), indent=2, allow_nan=False) + '\n')


def load(path: str | os.PathLike) -> list[Report]:
  """Returns the reports in a `report.json`.

  Raises:
    InputError: If it is none.
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
    ('word ppl', 1, 'word_perplexity'), ('accuracy', 4, 'accuracy'),
    ('tokens/s', 0, 'tokens_per_second'))


def cells(report: Report) -> list[str]:
  """Returns a report's row of the table, in the order of `headings()`."""
  return [report.name] + [
      number(getattr(report, name), decimals) for _, decimals, name in _COLUMNS]


def headings() -> list[str]:
  return [''] + [heading for heading, _, _ in _COLUMNS]


def number(value: float | None, decimals: int) -> str:
  """Returns a number to be read; an absent one is a dash."""
  if value is None:
    return '-'
  if not math.isfinite(value):
    return str(value)
  return f'{value:,.{decimals}f}' if abs(value) < 1e5 else f'{value:.3g}'


def terms(report: Report) -> list[str]:
  """Returns the sentences under which the numbers hold."""
  lines = [
      f'{report.tokens:,} tokens, each scored once; documents: '
      f'{report.documents:,}; context {report.context}, stride '
      f'{report.stride}, vocabulary {report.vocab_size:,}.']
  if report.bytes is not None:
    lines.append(f'{report.bytes:,} UTF-8 bytes and {report.words:,} words of '
                 'original text; EOS is paid for in bits/byte and word ppl.')
  if report.rule:
    lines.append(report.rule)
  return lines + list(report.notes)


def table(reports: Sequence[Report]):
  """Returns a `rich` table of reports made by the same evaluator."""
  return grid(headings(), [cells(report) for report in reports],
              '\n'.join(terms(reports[0])))


def grid(columns: Sequence[str], rows: Sequence[Sequence[str]],
         caption: str | None = None):
  """Returns a `rich` table whose first column names the rows."""
  from rich import box  # pylint: disable=g-import-not-at-top
  from rich import table as rich_table  # pylint: disable=g-import-not-at-top
  from rich import text  # pylint: disable=g-import-not-at-top
  out = rich_table.Table(
      box=box.SIMPLE_HEAD, pad_edge=False, padding=(0, 1, 0, 0),
      caption=caption and text.Text(terminal.printable(caption)),
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
  """Prints a `rich` table, to standard output unless told where."""
  from rich import console  # pylint: disable=g-import-not-at-top
  out = console.Console(file=file)
  if not out.is_terminal:
    out.width = 100  # A file has no margin to keep.
  out.print(shown)


def finite(tree: Any) -> Any:
  """Returns JSON types with None in place of what is not finite."""
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
  """Returns NaN again for the means that JSON could only call null."""
  return fields | {name: math.nan for name in ('nats_per_token', 'accuracy')
                   if name in fields and fields[name] is None}
