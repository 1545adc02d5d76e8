"""Conversations with a run, written as the files that it came from say.

Example:
  run = lmjax.load('runs/smol')
  chatting.reply(run, [{'role': 'user', 'content': 'Who are you?'}])
"""
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from lmjax.core import errors
from lmjax.data import chat
from lmjax.data.text import json_lines
from lmjax.data.tokenizers import export
from lmjax.recipes.loaded import asking

Conversation = Sequence[chat.Message]


def template(run: Any) -> chat.ChatTemplate:
  """Returns the chat template of a run, a `trained.Trained`.

  Raises:
    InputError: If it has none.
  """
  text = run.published.chat_template
  if text is None:
    raise errors.InputError(
        'This run has no chat template, which says how its model was trained '
        'to read a conversation. Import the weights of a model that has one, '
        'in chat_template.jinja, tokenizer_config.json or its GGUF file, or '
        'give it the prompt as plain text.')
  _, roles = export.described(run.tokenizer)
  return chat.ChatTemplate.of(text, roles)


def encode(run: Any, conversations: Sequence[Conversation]
           ) -> list[np.ndarray]:
  """Returns the ids of conversations, each up to where the reply begins.

  Raises:
    InputError: If the run has no chat template, or a conversation cannot be
      written by it.
  """
  return template(run).encode_all(conversations, run.tokenizer)


def given(tokenizer: Any, ids: Sequence[int]) -> Sequence[int]:
  """Returns ids that are continued as they are, an `asking.options.encode`."""
  del tokenizer
  return ids


def reply(run: Any, messages: Conversation, **options: Any) -> str:
  """Returns the reply to a conversation; options as in `asking.completions`."""
  (_, found), = asking.completions(
      run, encode(run, [messages]), encode=given, **options)
  return found.text


def read(path: str) -> list[Conversation]:
  """Returns the conversations of JSON lines, each with a field "messages".

  Raises:
    InputError: If the file cannot be read, or a line has no such field.
  """
  found = [json_lines.value(row, 'messages', where)
           for where, row in json_lines.rows(path)]
  if not found:
    raise errors.InputError(
        f'{path} is empty; write one conversation per line, as '
        '{"messages": [{"role": "user", "content": "Hello"}]}.')
  return found


def asked(prompt: str | None, path: str | None, system: str | None
          ) -> list[Conversation]:
  """Returns the conversations that a user of a script gives.

  Args:
    prompt: What the user says, if there is no file.
    path: A file, see `read`, or None.
    system: What the system says before, or None.
  """
  found = [[{'role': 'user', 'content': prompt}]] if path is None else (
      read(path))
  return found if system is None else with_system(found, system)


def with_system(conversations: Sequence[Conversation], text: str
                ) -> list[Conversation]:
  """Returns conversations that begin with a message of the system.

  Raises:
    InputError: If one has its own.
  """
  for number, messages in enumerate(conversations):
    first = messages[0] if messages else {}
    if isinstance(first, Mapping) and first.get('role') == 'system':
      raise errors.InputError(
          f'Conversation {number} has a message of the system of its own; '
          'leave it out, or --system.')
  return [[{'role': 'system', 'content': text}, *messages]
          for messages in conversations]
