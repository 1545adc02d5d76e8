"""Examples made of the columns or fields of a row."""
from collections.abc import Mapping, Sequence
from typing import Any

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


def settle(reader: Any) -> None:
  """Turns the columns of a new reader into text, and several into a tuple.

  So text=3 and text='title' are accepted in Python as they are by flags.

  Args:
    reader: A frozen dataclass with the fields `text`, `second` and `label`.
  """
  for field in ('text', 'second'):
    names = getattr(reader, field)
    names = (names,) if isinstance(names, str | int) else names
    object.__setattr__(reader, field, tuple(map(str, names)))
  if reader.label is not None:
    object.__setattr__(reader, 'label', str(reader.label))
