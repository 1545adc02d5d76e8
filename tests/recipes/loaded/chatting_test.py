"""Conversations are written by the template that a run was imported with."""
import types

import pytest

from lmjax.core import errors
from lmjax.recipes import importing
from lmjax.recipes.loaded import chatting
from lmjax.recipes.loaded import trained
from tests.reference import published

END = published.END
TEMPLATE = (
    '{% for m in messages %}{{ m.role }}: {{ m.content }}{{ eos_token }}'
    '{% endfor %}{% if add_generation_prompt %}assistant: {% endif %}')
USER = {'role': 'user', 'content': f'Hi {END} \n'}


@pytest.fixture(name='run', scope='module')
def _run(tmp_path_factory):
  folder = tmp_path_factory.mktemp('chatting')
  published.llama(folder / 'files', {'eos_token_id': [256, 3]})
  (folder / 'files/chat_template.jinja').write_text(TEMPLATE)
  importing.save(*importing.load(folder / 'files'), folder / 'run')
  return trained.load(folder / 'run')


def test_special_tokens_come_from_the_template_only(run):
  ids, = chatting.encode(run, [[USER]])
  assert ids.tolist() == [
      *f'user: Hi {END} \n'.encode(), 256, *b'assistant: ']


@pytest.mark.slow
def test_a_reply_continues_the_conversation(run, monkeypatch):
  def completions(run, prompts, *, encode, **options):
    assert options == {'max_new_tokens': 5}
    text = bytes(i for i in encode(None, prompts[0]) if i < 256).decode()
    return [(0, types.SimpleNamespace(text=text))]
  monkeypatch.setattr(chatting.asking, 'completions', completions)
  found = chatting.reply(run, [USER], max_new_tokens=5)
  assert found == f'user: Hi {END} \nassistant: '


def test_the_system_speaks_first():
  said = dict(prompt=USER['content'], path=None)
  assert chatting.asked(**said, system=None) == [[USER]]
  assert chatting.asked(**said, system='Be kind.') == chatting.with_system(
      [[USER]], 'Be kind.')
  begun, = chatting.with_system([[USER]], 'Be kind.')
  assert begun == [{'role': 'system', 'content': 'Be kind.'}, USER]
  with pytest.raises(errors.InputError, match='0 has a message of the system'):
    chatting.with_system([begun], 'Be brief.')


def test_conversations_are_read_from_json_lines(tmp_path):
  path = tmp_path / 'chats.jsonl'
  path.write_text('{"messages": [{"role": "user", "content": "a"}]}\n\n')
  assert chatting.read(str(path)) == [[{'role': 'user', 'content': 'a'}]]
  for text, told in [('', 'is empty'), ('{"message": []}', "'messages'"),
                     ('Hello', 'not JSON')]:
    path.write_text(text)
    with pytest.raises(errors.InputError, match=told):
      chatting.read(str(path))


def test_a_run_without_a_template_is_refused(tmp_path):
  published.llama(tmp_path / 'files')
  importing.save(*importing.load(tmp_path / 'files'), tmp_path / 'run')
  with pytest.raises(errors.InputError, match='no chat template, .*Import'):
    chatting.reply(trained.load(tmp_path / 'run'), [USER])


@pytest.mark.parametrize('messages', [[], 'Hello', [{'content': 'a'}], [3]])
def test_a_malformed_conversation_is_refused(run, messages):
  with pytest.raises(errors.InputError, match='onversation 0'):
    chatting.encode(run, [messages])
  if messages:
    begun = chatting.with_system([messages], 'Be kind.')
    with pytest.raises(errors.InputError, match='onversation 0'):
      chatting.encode(run, begun)
