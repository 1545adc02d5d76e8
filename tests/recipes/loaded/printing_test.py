"""Continuations are printed to the terminal, and as JSON lines."""
import dataclasses
import io
import json

import pytest

from lmjax.core import cli
from lmjax.core import errors
from lmjax.core import terminal
from lmjax.interop import continuing
from lmjax.recipes.loaded import chatting
from lmjax.recipes.loaded import printing
from tests.reference import untrained


@pytest.fixture(scope='module')
def trained():
  return untrained.run()


@pytest.mark.slow
def test_terminal_and_json_lines_tell_the_same(trained, capsys):
  options = dict(max_new_tokens=16, num_samples=2, seed=1, stop=['q'],
                 top_k=50)
  printing.show(trained, 'a\x1b[31m b', **options)
  shown = capsys.readouterr().out
  file = io.StringIO()
  printing.generate(trained, ['a\x1b[31m b', 'x'], file, **options)
  lines = [json.loads(line) for line in file.getvalue().splitlines()]
  assert [(line['index'], line['prompt']) for line in lines] == (
      [(0, 'a\x1b[31m b')] * 2 + [(1, 'x')] * 2)
  for line in lines:
    assert len(line['tokens']) == len(line['logprobs']) <= 16
    assert line['ended'] in ('eos', 'stop', 'length')
    assert 'q' not in line['text']
  want = [f'--- sample {i + 1} of 2\na[31m b'
          + terminal.printable(lines[i]['text']) for i in range(2)]
  assert shown == '\n'.join(want) + '\n'


def test_a_prompt_too_long_leaves_no_file(trained, tmp_path):
  path = tmp_path / 'out.jsonl'
  with pytest.raises(errors.InputError, match='Prompt 1 has 71 tokens'):
    with cli.writing(str(path)) as file:
      printing.generate(trained, ['a', 'b' * 70], file, max_new_tokens=4)
  assert not list(tmp_path.iterdir())


def test_a_prompt_that_is_refused_is_not_printed(trained, capsys):
  with pytest.raises(errors.InputError, match='--window .* its last part'):
    printing.show(trained, 'b' * 70)
  assert capsys.readouterr().out == ''


def test_a_conversation_is_written_by_the_template(trained, capsys):
  run = dataclasses.replace(trained, published=continuing.Continuing(
      chat_template='{% for m in messages %}{{ m.content }}\n{% endfor %}'))
  chats = [[{'role': 'user', 'content': 'hi'}]]
  ids = chatting.encode(run, chats)
  options = dict(max_new_tokens=16, temperature=0, stop=['q'],
                 conversations=chats, encode=chatting.given)
  file = io.StringIO()
  printing.generate(run, ids, file, **options)
  line = json.loads(file.getvalue())
  assert line['messages'] == chats[0] and 'prompt' not in line
  printing.show(run, ids[0], **options)
  assert capsys.readouterr().out == terminal.printable(
      line['text']) + '\n'


@pytest.mark.slow
def test_text_ends_where_the_context_is_full_and_says_so(trained, capsys):
  printing.show(trained, 'b' * 60)
  told = '1 of 1 continuations ended early, because the context of 64 tokens'
  assert told in capsys.readouterr().err
  file = io.StringIO()
  printing.generate(trained, ['b' * 60, 'b'], file, max_new_tokens=20)
  first, second = map(json.loads, file.getvalue().splitlines())
  assert (first['ended'], len(first['tokens'])) == ('context', 3)
  assert (second['ended'], len(second['tokens'])) == ('length', 20)
  assert '1 of 2 continuations ended early' in capsys.readouterr().err


@pytest.mark.slow
def test_a_window_goes_on_beyond_the_context(trained, capsys):
  file = io.StringIO()
  printing.generate(trained, ['b' * 70], file, max_new_tokens=100, window=True)
  line = json.loads(file.getvalue())
  assert line['ended'] in ('length', 'eos') and len(line['tokens']) > 32
  assert capsys.readouterr().err == ''
