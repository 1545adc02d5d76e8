"""Conversations as texts, and what is refused."""
import datetime
import json

import pytest

from lmjax.core import errors
from lmjax.data import chat

USER = {'role': 'user', 'content': ' Hi\n'}
REPLY = {'role': 'assistant', 'content': 'Hello.'}
# Templates in the manner of published ones.
TEMPLATES = {
    'marked': (
        "{% for message in messages %}{{'<|im_start|>' + message['role'] + "
        "'\n' + message['content'] + '<|im_end|>' + '\n'}}{% endfor %}"
        "{% if add_generation_prompt %}{{ '<|im_start|>assistant\n' }}"
        '{% endif %}'),
    'default system': (
        "{% if messages[0]['role'] != 'system' %}{{ 'SYS: be kind\n' }}"
        '{% endif %}{% for m in messages %}{{ m.role }}: {{ m.content | trim }}'
        '\n{% endfor %}'),
    'system taken out': (
        "{% if messages[0]['role'] == 'system' %}{% set system = "
        "messages[0]['content'] %}{% set rest = messages[1:] %}{% else %}"
        "{% set system = '' %}{% set rest = messages %}{% endif %}"
        '{{ bos_token }}{% for m in rest %}{% if m.role == "user" %}[INST] '
        '{% if loop.first and system %}<<{{ system }}>> {% endif %}'
        "{{ m.content.strip() }} [/INST]{% else %} {{ m.content }}"
        '{{ eos_token }}{% endif %}{% endfor %}'),
    'alternating': (
        '{% for m in messages %}{% if (m.role == "user") != '
        '(loop.index0 % 2 == 0) %}{{ raise_exception("Roles must alternate") }}'
        '{% endif %}{{ m.content }}|{% endfor %}'),
    'indented': (
        '{%- for m in messages %}\n    {%- if m.role == "user" %}\n'
        '        {{- "U:" + m.content -}}\n    {% else %}\n'
        '        {{- "A:" + m.content }}\n    {% endif %}\n{%- endfor %}\n'),
    'tools': (
        '{% if tools is defined and tools %}{{ tools | tojson }}\n'
        '{% for tool in tools %}{% for k, v in tool.items() %}{{ k }}={{ v }};'
        '{% endfor %}{% endfor %}{% else %}no tools\n{% endif %}'),
    'namespace': (
        '{% set ns = namespace(last=-1, found=false) %}{% for m in messages %}'
        '{% if m.role == "user" %}{% set ns.last = loop.index0 %}'
        '{% set ns.found = true %}{% endif %}{% endfor %}{{ ns.last }}'
        '{{ " found" if ns.found }}{% for m in messages[::-1] %}'
        '{{ m.role[0] | upper }}{% endfor %}'),
    'macro': (
        '{% macro show(m, mark="*") %}{{ mark }}{{ m.content | trim }}'
        '{{ mark }}{% endmacro %}{% for m in messages %}{{ show(m) }}'
        '{{ show(m, mark="_") }}{% endfor %}'),
    'thoughts': (
        "{% for m in messages %}{% set c = m.content %}{% if '</t>' in c %}"
        "{% set c = c.split('</t>')[-1].lstrip('\\n') %}{% endif %}{{ c }}"
        "{{ '' if loop.last else '\n' }}{% endfor %}"),
    'generation': (
        '{% for m in messages %}\n  {% if m.role == "user" %}\nU{{ m.content }}'
        '\n  {% else %}\n  {% generation %}\n{{ m.content }}\n'
        '  {% endgeneration %}\n{%- generation -%} x {%- endgeneration -%}\n'
        ' y{% endif %}\n{% endfor %}'),
    'parts': (
        '{% for m in messages %}{% if m.content is string %}{{ m.content }}'
        '{% else %}{% for p in m.content %}{% if p.type == "text" %}'
        '{{ p.text }}{% elif p["type"] == "image" %}<image>{% endif %}'
        '{% endfor %}{% endif %}{% endfor %}'
        '{{ messages | selectattr("role", "equalto", "user") | list | length }}'
        "{{ messages | map(attribute='role') | join(',') }}"),
}
CONVERSATIONS = [
    [USER], [USER, REPLY, USER],
    [{'role': 'system', 'content': 'Be é<brief> & 中.'}, USER, REPLY],
    [USER, {'role': 'assistant', 'content': '<t>hm</t>\n\nYes'}]]
TOOLS = [{'name': 'add', 'about': 'é <b>'}]
TOKENS = {'bos_token': '<s>', 'eos_token': '</s>'}


def test_many_conversations_are_rendered_at_once():
  template = chat.ChatTemplate(TEMPLATES['marked'])
  first, second = template.render_all(CONVERSATIONS[:2], reply=False)
  assert first == '<|im_start|>user\n Hi\n<|im_end|>\n'
  assert second.endswith(first) and second != first
  assert template.render([USER]) == first + '<|im_start|>assistant\n'


def test_a_template_reads_tokens_tools_time_and_variables():
  template = chat.ChatTemplate(
      "{{ bos_token }}{{ tools[0].name }}{{ strftime_now('%Y') }}{{ extra }}",
      TOKENS)
  assert template.render(
      [USER], tools=TOOLS, now=datetime.datetime(2020, 1, 1),
      variables={'extra': 3}) == '<s>add20203'


@pytest.mark.parametrize('messages, sentence', [
    ([], 'should be a list of messages'), ('Hi', 'should be a list'),
    (USER, 'should be a list'), ([3], "should have a 'role'"),
    ([{'content': 'Hi'}], "Message 0 of conversation 0 should have a 'role'"),
    ([USER, {'role': 'user'}], "Message 1 .* text as 'content'; got NoneType"),
    ([{'role': 'user', 'content': 3}], 'got int'),
    ([{'role': 'user', 'content': [{'x': 1}]}], "should have a 'type'"),
    ([{'role': 'user', 'content': '\ud800'}], 'lone surrogate'),
    ([{'role': 'user', 'content': 'a', 'x': {1}}], 'should be JSON values'),
])
def test_a_bad_conversation_is_refused(messages, sentence):
  with pytest.raises(errors.InputError, match=sentence):
    chat.ChatTemplate('x').render(messages)


def test_the_template_of_a_folder_is_found(tmp_path):
  assert chat.ChatTemplate.read(tmp_path) is None
  config = tmp_path / 'tokenizer_config.json'
  config.write_text(json.dumps({
      'bos_token': {'content': '<s>'}, 'chat_template': 'A'}))
  assert chat.ChatTemplate.read(tmp_path) == chat.ChatTemplate(
      'A', {'bos_token': '<s>'})
  config.write_text(json.dumps({'chat_template': [
      {'name': 'default', 'template': 'D'}, {'name': 'rag', 'template': 'R'}]}))
  assert chat.ChatTemplate.read(tmp_path).text == 'D'
  assert chat.ChatTemplate.read(tmp_path, 'rag').text == 'R'
  with pytest.raises(errors.InputError, match='choose from default, rag'):
    chat.ChatTemplate.read(tmp_path, 'tools')
  (tmp_path / chat.FILE).write_text('F')
  assert chat.ChatTemplate.read(tmp_path).text == 'F'


@pytest.mark.parametrize('name, content, sentence', [
    ('tokenizer_config.json', b'[]', 'should be an object'),
    ('tokenizer_config.json', b'{', 'cannot be read'),
    ('tokenizer_config.json', b'{"chat_template": 3}', 'should be a text'),
    (chat.FILE, b'\xff', 'cannot be read')])
def test_damaged_files_are_refused(tmp_path, name, content, sentence):
  (tmp_path / name).write_bytes(content)
  with pytest.raises(errors.InputError, match=sentence):
    chat.ChatTemplate.read(tmp_path)


@pytest.mark.slow
@pytest.mark.parametrize('name', TEMPLATES)
def test_texts_are_those_of_transformers(name):
  pytest.importorskip('transformers')
  from transformers.utils import chat_template_utils
  template = chat.ChatTemplate(TEMPLATES[name], TOKENS)
  for messages in CONVERSATIONS:
    for reply in (True, False):
      for tools in (None, TOOLS):
        try:
          (expected,), _ = chat_template_utils.render_jinja_template(
              conversations=[messages], tools=tools,
              chat_template=TEMPLATES[name], add_generation_prompt=reply,
              **TOKENS)
        except Exception:  # The template calls raise_exception.
          with pytest.raises(errors.InputError, match='Roles must alternate'):
            template.render(messages, reply=reply, tools=tools)
          continue
        assert template.render(
            messages, reply=reply, tools=tools) == expected


def test_a_message_that_goes_on_ends_the_text():
  template = chat.ChatTemplate(
      '{% for m in messages %}[{{ m.content }}]{% endfor %}')
  trimmed = chat.ChatTemplate(
      '{% for m in messages %}[{{ m.content | trim }}]{% endfor %}')
  messages = [USER, {'role': 'assistant', 'content': 'It is '}]
  assert template.begin_reply(messages) == '[ Hi\n][It is '
  assert trimmed.begin_reply(messages) == '[Hi][It is'
  with pytest.raises(errors.InputError, match='changes the last message'):
    chat.ChatTemplate('x').begin_reply(messages)
