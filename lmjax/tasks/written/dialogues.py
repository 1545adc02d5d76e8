"""Conversations: a reply, or the state before it, from what was said."""
import collections
from collections.abc import Iterator, Mapping, Sequence
import dataclasses
from typing import Any, Literal

from lmjax.core import errors
from lmjax.core.files import user_paths
from lmjax.core import ranges
from lmjax.data.text import encodings
from lmjax.data.text import files
from lmjax.data.text import json_lines
from lmjax.evaluation.downstream.written import states
from lmjax.tasks.written import example


@dataclasses.dataclass(frozen=True)
@ranges.checked
class Dialogues:
  """JSON lines with conversations, as chat models are trained on.

  A line is {"messages": [{"role": "user", "content": "..."}, ...]}. The target
  is the last message of `role`, and messages after it are left out; or every
  message of `role` makes a pair, if `every`. The source is the messages before,
  each on a line as 'role: content'; line breaks within a message become spaces.

  A message may also have a state, an object with the value of each slot that is
  known by then: {"role": "user", "content": "...", "state": {"food": "thai"}}.
  Then the target may be the state of the message before the reply, 'food =
  thai', or both, 'food = thai => Where should it be?'.

  Attributes:
    paths: Files and globs, plain or `.gz`.
    field: The field with the messages.
    role: The role that replies.
    every: Whether every reply makes a pair; if not, only the last does.
    turns: Most messages in a source, the last ones; None takes all.
    target: The 'reply', the 'state' before it, or 'both'.
    state: The field of a message with its state.
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
  target: Literal['reply', 'state', 'both'] = 'reply'
  state: str = 'state'

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

  def _pairs(self, messages: Sequence[Mapping[str, Any]], where: str,
             counts: collections.Counter) -> Iterator[example.Pair]:
    """Yields the pairs of a conversation."""
    replies = [place for place, message in enumerate(messages)
               if place and message['role'] == self.role]
    if not replies:
      raise errors.InputError(
          f'{where}: no message of role {self.role!r} replies to another, '
          f'among the roles {[each["role"] for each in messages][:10]}; '
          'remove the line, or set role= to the role that replies.')
    if after := len(messages) - 1 - replies[-1]:
      counts['messages after the last reply left out'] += after
    for place in replies if self.every else replies[-1:]:
      first = 0 if self.turns is None else max(0, place - self.turns)
      source = '\n'.join(
          f'{each["role"]}: {" ".join(each["content"].split())}'
          for each in messages[first:place])
      target = messages[place]['content']
      if self.target != 'reply':
        state = self._state(messages[place - 1], f'{where}, message {place}')
        target = state if self.target == 'state' else (
            f'{state}{states.REPLY}{target}')
      yield example.pair(source, (target,), where)

  def _state(self, message: Mapping[str, Any], where: str) -> str:
    """Returns the state of a message as text."""
    given = message.get(self.state)
    if not isinstance(given, dict) or not all(
        isinstance(value, str) for value in given.values()):
      raise errors.InputError(
          f'{where}: the message before a reply should have {self.state!r}, an '
          'object with the value of each slot as text, such as {"food": "thai"}'
          f'; got {given!r:.80}. Name its field with state=, or set '
          'target=reply.')
    try:
      return states.text(given)
    except ValueError as error:
      raise errors.InputError(
          f'{where}: {error}; write it otherwise.') from None


def _messages(row: Mapping[str, Any], field: str, where: str
              ) -> list[Mapping[str, Any]]:
  """Returns the messages of a line."""
  given = json_lines.value(row, field, where)
  if not isinstance(given, list) or not all(
      isinstance(message, dict) and all(
          isinstance(message.get(name), str) for name in ('role', 'content'))
      for message in given):
    raise errors.InputError(
        f'{where}: {field!r} should be a list of messages with the texts role '
        f'and content; got {given!r:.80}.')
  return given
