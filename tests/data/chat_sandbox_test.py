"""What a chat template can do, and what it cannot."""
import time

import pytest

from lmjax.core import errors
from lmjax.data import chat
from lmjax.data import chat_sandbox

USER = [{'role': 'user', 'content': 'Hi'}]


def answer(template, *conversations, now='2026-01-02T03:04:05'):
  return chat_sandbox.answer({
      'template': template, 'now': now,
      'conversations': conversations or [{'messages': USER}]})


@pytest.fixture(autouse=True)
def without_limits(monkeypatch):
  monkeypatch.setattr(chat_sandbox, '_allow', lambda seconds: None)


@pytest.mark.parametrize('template, text', [
    ("{{ messages[0]['content'].strip() }}{{ 'a,b'.split(',')[-1] }}", 'Hib'),
    ("{% for m in messages %}\n  {% if loop.first %}\nA\n{% endif %}\n"
     '{% endfor %}', 'A\n'),
    ('{% set ns = namespace(n=1) %}{% for m in messages %}'
     '{% set ns.n = ns.n + 1 %}{% endfor %}{{ ns.n }}', '2'),
    ("{{ {'a': '<é>'} | tojson }}", '{"a": "<é>"}'),
    ("{{ {'b': 1, 'a': [2]} | tojson(indent=1) }}",
     '{\n "b": 1,\n "a": [\n  2\n ]\n}'),
    ("{{ strftime_now('%d %b %Y') }}", '02 Jan 2026'),
    ('a {%- generation -%} b {%- endgeneration %} c', 'ab c'),
    ('{% for m in messages %}{% break %}{% endfor %}x', 'x'),
    ("{{ '<&>' }}", '<&>'), ('{{ tools is defined }}', 'False'),
    ('{{ messages[0].__class__ }}{{ strftime_now.__self__ }}', ''),
])
def test_a_template_is_rendered(template, text):
  assert answer(template) == {'texts': [text]}


@pytest.mark.parametrize('template, sentence', [
    ("{{ raise_exception('Only users.') }}",
     'refuses conversation 0: Only users.'),
    ("{{ ''.__class__.__mro__ }}", 'cannot be rendered'),
    ('{{ x.y }}', 'cannot be rendered'), ('{{ x', 'unexpected end of input'),
    ("{% include '/etc/passwd' %}", 'cannot be rendered'),
    ('{% for i in range(9999) %}{% for j in range(9999) %}{% endfor %}'
     '{% endfor %}', 'more steps than a conversation may, 3,000,000'),
    ('{% macro f() %}{{ f() }}{% endmacro %}{{ f() }}', 'recursion'),
    ("{{ 'a' * 2**40 }}", 'more steps'), ("{{ 'a'.nothing() }}", 'rendered'),
    ('{{ {}|tojson(indent=[]) }}', 'cannot be rendered'),
])
def test_a_template_that_fails_says_why(template, sentence):
  assert sentence in answer(template)['error']
  assert '\n' not in answer(template)['error']


def test_a_text_that_is_too_long_is_refused(monkeypatch):
  monkeypatch.setattr(chat_sandbox, 'CHARACTERS', 3)
  assert answer('abc') == {'texts': ['abc']}
  assert 'may have, 3.' in answer('abcd')['error']


@pytest.mark.parametrize('template', [
    '{% set ns = namespace(s=[1]) %}{% for i in range(60) %}'
    '{% set ns.s = ns.s + ns.s %}{% endfor %}{{ ns.s|length }}',
    "{% set ns = namespace(s='a') %}{% for i in range(60) %}"
    '{% set ns.s = ns.s + ns.s %}{% endfor %}{{ ns.s }}',
], ids=['time', 'memory'])
def test_a_hostile_template_is_ended(template):
  begun = time.process_time()
  with pytest.raises(errors.InputError, match='more steps|time or memory'):
    chat.ChatTemplate(template).render(USER)
  assert time.process_time() - begun < 1
