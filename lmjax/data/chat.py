"""Chat templates: how a checkpoint writes a conversation as one text.

A template is a Jinja program that comes with the checkpoint, so it runs in a
process of its own with limits; see `chat_sandbox`.

Example:
  >>> template = ChatTemplate(
  ...     "{% for message in messages %}<{{ message['role'] }}> "
  ...     "{{ message['content'] }}\\n{% endfor %}"
  ...     '{% if add_generation_prompt %}<assistant> {% endif %}')
  >>> template.render([{'role': 'user', 'content': 'Hello'}])
  '<user> Hello\\n<assistant> '
"""
from collections.abc import Callable, Mapping, Sequence
import dataclasses
import datetime
import json
import pathlib
import secrets
import subprocess
import sys
from typing import Any

import numpy as np

from lmjax.core import errors
from lmjax.core.files import safe_paths
from lmjax.core.files import strict_json
from lmjax.data import chat_sandbox
from lmjax.data import documents as documents_lib
from lmjax.data.tokenizers import roles as roles_lib
from lmjax.data.tokenizers import vocabulary

FILE = 'chat_template.jinja'
_MAX_BYTES = 1 << 20
_PARTS = ('text', 'image', 'audio', 'video')

Message = Mapping[str, Any]


@dataclasses.dataclass(frozen=True)
class ChatTemplate:
  """A chat template.

  Attributes:
    text: The Jinja program.
    tokens: The tokens that it may write by variables, such as 'bos_token'.
  """
  text: str
  tokens: Mapping[str, str] = dataclasses.field(default_factory=dict)

  def render(self, messages: Sequence[Message], **options: Any) -> str:
    """Returns a conversation as text; see `render_all`."""
    return self.render_all([messages], **options)[0]

  def render_all(self, conversations: Sequence[Sequence[Message]], *,
                 reply: bool = True, tools: Sequence[Any] | None = None,
                 now: datetime.datetime | None = None,
                 variables: Mapping[str, Any] | None = None) -> list[str]:
    """Returns conversations as texts.

    The text has the names of special tokens. A tokenizer's
    `encode_with_specials` gives their ids.

    Args:
      conversations: The messages of each conversation: mappings with 'role' and
        'content'.
      reply: Whether a text ends where the assistant's reply begins.
      tools: Descriptions of the functions that the assistant may call.
      now: The time that a template may write; None for the present.
      variables: More variables that this template reads.

    Raises:
      InputError: If a message is malformed, or the template refuses the
        conversation, is not valid or exceeds the limits of `chat_sandbox`.
    """
    for number, messages in enumerate(conversations):
      _check(messages, number)
    now = now or datetime.datetime.now()
    shared = {**self.tokens, 'add_generation_prompt': reply, 'tools': tools,
              'documents': None, **(variables or {})}
    return _answered({
        'template': self.text, 'now': now.isoformat(), 'conversations': [
            shared | {'messages': messages} for messages in conversations]})

  def encode_all(self, conversations: Sequence[Sequence[Message]],
                 tokenizer: vocabulary.Tokenizer, **options: Any
                 ) -> list[np.ndarray]:
    """Returns conversations as ids; see `render_all`.

    Special tokens come from the template only: their names in a message are
    encoded as other text, so that no user can end a turn or begin one. No BOS
    is added to what the template writes.
    """
    # Digits, which filters of templates leave as they are.
    marks = {name: f'{secrets.randbelow(10 ** 30):030}'
             for name in tokenizer.special_names}
    names = vocabulary.any_of(marks)
    texts = self.render_all(
        _marked(conversations, lambda text: names.sub(
            lambda found: marks[found[0]], text)), **options)
    plain = {mark: name for name, mark in marks.items()}
    return [tokenizer.encode_with_specials(text, plain) for text in texts]

  def begin_reply(self, messages: Sequence[Message], **options: Any) -> str:
    """Returns a conversation as text up to the end of its last message.

    The last message is then the beginning of a reply, which a model continues.
    """
    text, last = self.render(messages, reply=False, **options), str(
        messages[-1].get('content'))
    place = text.rfind(last.strip())
    if place < 0:
      raise errors.InputError(
          'The chat template changes the last message, so that it cannot be '
          'continued.')
    whole = last.lstrip()  # If the template keeps the white space at its end.
    kept = text.startswith(whole, place)
    return text[:place + len(whole if kept else last.strip())]

  @classmethod
  def read(cls, folder: str | pathlib.Path, name: str = 'default'
           ) -> 'ChatTemplate | None':
    """Returns the template of a checkpoint, or None if it has none.

    Args:
      folder: The folder of the checkpoint.
      name: Which of several templates in tokenizer_config.json to take.

    Raises:
      InputError: If a file is damaged, or has no template of that name.
    """
    try:
      config = _config(folder)
      path = safe_paths.safe_join(folder, FILE)
      text = (path.read_text('utf-8') if path.exists() else
              config.get('chat_template'))
      tokens = roles_lib.declared(config, 'tokenizer_config.json')
    except (OSError, ValueError) as error:
      if isinstance(error, errors.InputError):
        raise
      raise errors.InputError(
          f'The chat template in {str(folder)!r} cannot be read: {error}.'
      ) from None
    if isinstance(text, list):
      named = {each['name']: each['template'] for each in text if isinstance(
          each, dict) and {'name', 'template'} <= each.keys()}
      if name not in named:
        raise errors.InputError(
            f'{str(folder)!r} has no chat template {name!r}; choose from '
            f'{", ".join(sorted(named))}.')
      text = named[name]
    if text is None:
      return None
    if not isinstance(text, str) or len(text) > _MAX_BYTES:
      raise errors.InputError(
          f'The chat template in {str(folder)!r} should be a text of at most '
          f'{_MAX_BYTES:,} characters.')
    return cls.of(text, tokens)

  @classmethod
  def of(cls, text: str, roles: Mapping[str, str]) -> 'ChatTemplate':
    """Returns a template for a tokenizer with these tokens, by role."""
    return cls(text, {f'{role}_token': token for role, token in roles.items()})


def _marked(value: Any, mark: Callable[[str], str]) -> Any:
  """Returns JSON values with `mark` applied to every text in them."""
  if isinstance(value, str):
    return mark(value)
  if isinstance(value, Mapping):
    return {key: _marked(each, mark) for key, each in value.items()}
  if isinstance(value, (list, tuple)):
    return [_marked(each, mark) for each in value]
  return value


def _config(folder: str | pathlib.Path) -> dict[str, Any]:
  """Returns the tokenizer_config.json of a folder, or {} without it."""
  path = safe_paths.safe_join(folder, 'tokenizer_config.json')
  value = strict_json.read(path) if path.exists() else {}
  if not isinstance(value, dict):
    raise ValueError('tokenizer_config.json should be an object')
  return value


def _check(messages: Sequence[Message], number: int) -> None:
  """Raises InputError unless messages are a conversation."""
  where = f'Conversation {number}'
  if isinstance(messages, (str, Mapping)) or not len(messages):
    raise errors.InputError(
        f'{where} should be a list of messages, such as '
        "[{'role': 'user', 'content': 'Hello'}].")
  for place, message in enumerate(messages):
    name = f'Message {place} of conversation {number}'
    if not isinstance(message, Mapping) or not isinstance(
        message.get('role'), str):
      raise errors.InputError(
          f"{name} should have a 'role', such as 'user', and a 'content'; got "
          f'{str(message)[:60]!r}.')
    content = message.get('content')
    if isinstance(content, str):
      documents_lib.check(content, name)
    elif isinstance(content, list):
      if not all(isinstance(part, Mapping) and part.get('type') in _PARTS
                 for part in content):
        raise errors.InputError(
            f"Each part of {name[0].lower() + name[1:]} should have a 'type', "
            f'one of {", ".join(_PARTS)}.')
    elif content is not None or 'tool_calls' not in message:
      raise errors.InputError(
          f"{name} should have a text as 'content'; got "
          f'{type(content).__name__}.')


def _answered(request: Mapping[str, Any]) -> list[str]:
  """Returns the texts that the sandbox renders for a request."""
  try:
    written = json.dumps(request)
  except (TypeError, ValueError, RecursionError) as error:
    raise errors.InputError(
        f'Messages and tools should be JSON values: {error}.') from None
  done = subprocess.run(
      [sys.executable, '-I', chat_sandbox.__file__], input=written.encode(),
      capture_output=True, check=False)
  try:
    answer = json.loads(done.stdout)
  except ValueError:
    raise errors.InputError(
        'The chat template needs more time or memory than a conversation may: '
        f'{chat_sandbox.SECONDS} s and {chat_sandbox.BYTES >> 20:,} MB.'
    ) from None
  if 'error' in answer:
    raise errors.InputError(answer['error'])
  return answer['texts']
