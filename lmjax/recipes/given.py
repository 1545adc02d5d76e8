"""The flags of scripts that read texts from a file, and that draw tokens."""
import collections
from collections.abc import Callable
import sys
from typing import Any

from absl import flags
from lmjax.core import terminal
from lmjax.data.text import texts

flags.disclaim_key_flags()  # --help lists these flags under the script.


def define(field: str) -> Callable[..., list[str]]:
  """Defines --format, --field and --on_bad_text.

  Args:
    field: The default of --field, the field with the text in JSON lines.

  Returns:
    `read(path, kind=None)`, which reads a file as the flags say, or in the
    format `kind` where there is only one; see `texts.read`. Call it after the
    flags have been parsed.
  """
  layout = flags.DEFINE_enum(
      'format', None, sorted(texts.FORMATS), 'How the file is written; by '
      'default what its name ends in: .csv, .tsv, .jsonl, or else lines.')
  name = flags.DEFINE_string('field', field, 'Field or column with the text.')
  on_bad_text = flags.DEFINE_enum(
      'on_bad_text', 'fail', ['fail', 'replace'],
      'Refuse text that is not UTF-8, or replace its bytes by U+FFFD.')

  def read(path: str, kind: str | None = None) -> list[str]:
    counts = collections.Counter()
    found = texts.read(path, kind=kind or layout.value, field=name.value,
                       on_bad_text=on_bad_text.value, counts=counts)
    for what, count in counts.items():
      print(terminal.printable(f'{path}: {count:,} {what}.'), file=sys.stderr)
    return found
  return read


def define_sampling() -> Callable[[], dict[str, Any]]:
  """Defines a flag for each field of `transforms.Sampling`.

  Returns:
    A function that returns the fields that were given. Call it after the flags
    have been parsed.
  """
  number, whole = flags.DEFINE_float, flags.DEFINE_integer
  fields = [define(name, None, what) for define, name, what in (
      (number, 'temperature', 'Below 1 is bolder; 0 is greedy.'),
      (whole, 'top_k', 'Draw from the k most probable tokens.'),
      (number, 'top_p', 'Draw from the top ones of this mass.'),
      (number, 'typical_p', 'Draw from typical ones of this mass.'),
      (number, 'min_p', 'Leave out what is this much rarer.'),
      (number, 'repetition_penalty', 'Above 1 repeats less.'),
      (number, 'presence_penalty', 'Less for what occurred.'),
      (number, 'frequency_penalty', 'Less each time it occurred.'))]
  return lambda: {field.name: field.value for field in fields
                  if field.value is not None}
