"""Renders chat templates in a process of its own, which has limits.

A template is a program from whoever published the checkpoint. `chat` runs this
file as a script: it reads one JSON request from its input, renders every
conversation, and writes one JSON answer. Templates see no files, no other
templates and no attributes of Python's objects. The limits on steps, time and
memory end a template that would not end by itself.
"""
import datetime
import json
import re
import resource
import signal
import sys
from typing import Any

STEPS = 3_000_000  # Of a conversation; about 0.3 s.
SECONDS = 0.8  # Of a conversation's computing.
BYTES = 1 << 30  # Of memory, the interpreter's included.
CHARACTERS = 16 << 20  # Of a rendered conversation.
# Marks where training reads the assistant; it renders as what it encloses.
_GENERATION = re.compile(r'\{%(-?)\s*(?:end)?generation\s*(-?)%\}')


def answer(request: dict[str, Any]) -> dict[str, Any]:
  """Returns {'texts': ...} of a request, or {'error': ...} with a sentence.

  Args:
    request: 'template', the 'conversations' as variables of the template, and
      'now', the time in ISO format.
  """
  import minijinja
  now = datetime.datetime.fromisoformat(request['now'])
  template = _GENERATION.sub(r'{#\1 \2#}', request['template'])
  environment = minijinja.Environment(
      fuel=STEPS, trim_blocks=True, lstrip_blocks=True,
      auto_escape_callback=lambda name: False, debug=False,
      globals={'raise_exception': _refuse, 'strftime_now': now.strftime},
      filters={'tojson': _json})
  texts = []
  for number, variables in enumerate(request['conversations']):
    _allow(SECONDS)
    try:
      text = environment.render_str(template, **variables)
    except Refused as error:
      return {'error': f'The chat template refuses conversation {number}: '
                       f'{_line(error)}'}
    except minijinja.TemplateError as error:
      if error.kind == 'OutOfFuel':
        return {'error': 'The chat template takes more steps than a '
                         f'conversation may, {STEPS:,}; it may never end.'}
      return {'error': 'The chat template cannot be rendered: '
                       f'{_line(error.detail or error)}'}
    except Exception as error:  # pylint: disable=broad-exception-caught
      return {'error': 'The chat template cannot be rendered: '
                       f'{_line(error)}'}
    if len(text) > CHARACTERS:
      return {'error': 'The chat template writes more characters than a '
                       f'conversation may have, {CHARACTERS:,}.'}
    texts.append(text)
  return {'texts': texts}


class Refused(Exception):
  """A template called raise_exception."""


def _refuse(message: Any = '') -> None:
  raise Refused(str(message))


def _json(value: Any, ensure_ascii: bool = False, indent: int | None = None,
          separators: Any = None, sort_keys: bool = False) -> str:
  """Returns a value as JSON, as templates of Hugging Face expect it."""
  return json.dumps(
      value, ensure_ascii=ensure_ascii, indent=indent,
      separators=separators and tuple(separators), sort_keys=sort_keys)


def _line(error: Any) -> str:
  """Returns the message of an exception as one short sentence."""
  text = ' '.join(str(error).split())[:300].removesuffix('.')
  return f'{text or "it gives no reason"}.'


def _allow(seconds: float) -> None:
  """Ends this process once it has computed for some seconds more."""
  signal.setitimer(signal.ITIMER_PROF, seconds)


def main() -> None:
  """Answers the request on the standard input."""
  request = json.load(sys.stdin)
  resource.setrlimit(resource.RLIMIT_AS, (BYTES, BYTES))
  resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
  json.dump(answer(request), sys.stdout)


if __name__ == '__main__':
  main()
