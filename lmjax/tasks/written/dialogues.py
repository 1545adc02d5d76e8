"""Conversations: what was said before is the source, the reply the target."""
import collections
from collections.abc import Iterator, Mapping, Sequence
import dataclasses
from typing import Any

from lmjax.core import errors
from lmjax.core.files import user_paths
from lmjax.core import ranges
from lmjax.data.text import encodings
from lmjax.data.text import files
from lmjax.data.text import json_lines
from lmjax.tasks.written import example


@dataclasses.dataclass(frozen=True)
@ranges.checked
class Dialogues:
  """JSON lines with conversations, as chat models are trained on.

  A line is {"messages": [{"role": "user", "content": "..."}, ...]}. The target
  is the last message of `role`, and messages after it are left out; or every
  message of `role` makes a pair, if `every`. The source is the messages before,
  each on a line as 'role: content'; line breaks within a message become spaces.

  Attributes:
    paths: Files and globs, plain or `.gz`.
    field: The field with the messages.
    role: The role that replies.
    every: Whether every reply makes a pair; if not, only the last does.
    turns: Most messages in a source, the last ones; None takes all.
    encoding: The encoding of the text, such as 'latin-1' or 'utf-16'.
    on_bad_text: How to handle bytes that are not in this encoding: 'fail',
      'replace' them by U+FFFD, or 'skip' their lines.
  """
  paths: tuple[user_paths.Path, ...]
  field: str = 'messages'
  role: str = 'assistant'
  every: bool = False
  turns: ranges.Count | None = None
  encoding: str = 'utf-8'
  on_bad_text: files.OnBadText = 'fail'

  def __post_init__(self):
    encodings.check(self.encoding)

  def examples(self, counts: collections.Counter | None = None
               ) -> Iterator[example.Pair]:
    """Yields the pairs, line by line.

    Args:
      counts: Receives the numbers of repaired and skipped lines, and of
        messages after the last reply, which are left out.

    Raises:
      InputError: If a line is no conversation, or has no reply after a message.
    """
    counts = collections.Counter() if counts is None else counts
    for path in files.expand(self.paths):
      for where, row in json_lines.rows(
          path, self.on_bad_text, counts, self.encoding):
        yield from self._pairs(_messages(row, self.field, where), where, counts)

  def _pairs(self, messages: Sequence[tuple[str, str]], where: str,
             counts: collections.Counter) -> Iterator[example.Pair]:
    """Yields the pairs of a conversation."""
    replies = [place for place, (role, _) in enumerate(messages)
               if place and role == self.role]
    if not replies:
      raise errors.InputError(
          f'{where}: no message of role {self.role!r} replies to another, '
          f'among the roles {[role for role, _ in messages][:10]}; remove the '
          'line, or set role= to the role that replies.')
    if after := len(messages) - 1 - replies[-1]:
      counts['messages after the last reply left out'] += after
    for place in replies if self.every else replies[-1:]:
      first = 0 if self.turns is None else max(0, place - self.turns)
      source = '\n'.join(f'{role}: {" ".join(text.split())}'
                         for role, text in messages[first:place])
      yield example.pair(source, (messages[place][1],), where)


def _messages(row: Mapping[str, Any], field: str, where: str
              ) -> list[tuple[str, str]]:
  """Returns (role, content) of each message of a line."""
  given = json_lines.value(row, field, where)
  if not isinstance(given, list) or not all(
      isinstance(message, dict) and all(
          isinstance(message.get(name), str) for name in ('role', 'content'))
      for message in given):
    raise errors.InputError(
        f'{where}: {field!r} should be a list of messages with the texts role '
        f'and content; got {given!r:.80}.')
  return [(message['role'], message['content']) for message in given]
