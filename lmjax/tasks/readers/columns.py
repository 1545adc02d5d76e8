"""Helpers of the readers of labelled text: columns and names of labels."""
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from lmjax.core import errors
from lmjax.tasks import task as task_lib


def example(row: Mapping[str, Any], text: Sequence[str], second: Sequence[str],
            label: str | None, where: str) -> task_lib.Example:
  """Returns the example of a row.

  Args:
    row: The values of the columns, as text.
    text: The columns of the text; several are joined by a space.
    second: The columns of the other text of a pair; empty for a single text.
    label: The name of the label; None if it is unknown.
    where: The place of the row, for messages.
  """
  join = lambda names: ' '.join(row[name] for name in names)
  return task_lib.Example(
      join(text), label, where, join(second) if second else None)


def renamed(rename: Sequence[str]) -> Callable[[str], str]:
  """Returns a function from a label in a file to its name.

  Args:
    rename: Pairs such as '1=positive'; other labels are not renamed.
  """
  names = {}
  for pair in rename:
    old, equals, new = pair.partition('=')
    if not equals:
      raise errors.InputError(
          f"rename should hold pairs such as '1=positive'; got {pair!r}.")
    names[old] = new
  return lambda label: names.get(label.strip(), label.strip())
