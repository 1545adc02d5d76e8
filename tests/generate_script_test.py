"""experiments/generate.py: to the terminal, to JSON lines, and bad input."""
import dataclasses
import importlib.util
import io
import json
import pathlib

from absl import flags
from lmjax.core import cli
from lmjax.core import errors
from lmjax.data.tokenizers import symbols
from lmjax import experiment
from lmjax.interop import continuing
from lmjax.models import cost
from lmjax.models import decoder
from lmjax.recipes.loaded import trained as trained_lib
from lmjax.testing import hot
import pytest

_SCRIPT = pathlib.Path(__file__).parents[1] / 'experiments' / 'generate.py'
spec = importlib.util.spec_from_file_location('generate_script', _SCRIPT)
script = importlib.util.module_from_spec(spec)
spec.loader.exec_module(script)


@pytest.fixture(scope='module')
def trained():
  tokenizer = symbols.Bytes().build()
  config = experiment.Pretrain(model=decoder.DecoderConfig(
      vocab_size=tokenizer.vocab_size, context=64, width=32, num_layers=1))
  model = config.model.build()
  params = hot.hot_params(cost.shapes(config.model))
  return trained_lib.Trained(config, tokenizer, model, params, 1)


def test_terminal_and_json_lines_tell_the_same(trained, capsys):
  options = dict(max_new_tokens=16, num_samples=2, seed=1, stop=['q'],
                 top_k=50)
  script.show(trained, 'a\x1b[31m b', **options)
  shown = capsys.readouterr().out
  file = io.StringIO()
  script.generate(trained, ['a\x1b[31m b', 'x'], file, **options)
  lines = [json.loads(line) for line in file.getvalue().splitlines()]
  assert [(line['index'], line['prompt']) for line in lines] == (
      [(0, 'a\x1b[31m b')] * 2 + [(1, 'x')] * 2)
  for line in lines:
    assert len(line['tokens']) == len(line['logprobs']) <= 16
    assert line['ended'] in ('eos', 'stop', 'length')
    assert 'q' not in line['text']
  want = [f'--- sample {i + 1} of 2\na[31m b'
          + script.terminal.printable(lines[i]['text']) for i in range(2)]
  assert shown == '\n'.join(want) + '\n'


def test_a_prompt_too_long_leaves_no_file(trained, tmp_path):
  path = tmp_path / 'out.jsonl'
  with pytest.raises(errors.InputError, match='Prompt 1 has 71 tokens'):
    with cli.writing(str(path)) as file:
      script.generate(trained, ['a', 'b' * 70], file, max_new_tokens=4)
  assert not list(tmp_path.iterdir())


def test_a_prompt_that_is_refused_is_not_printed(trained, capsys):
  with pytest.raises(errors.InputError, match='--window .* its last part'):
    script.show(trained, 'b' * 70)
  assert capsys.readouterr().out == ''


def test_a_conversation_is_written_by_the_template(trained, capsys):
  run = dataclasses.replace(trained, published=continuing.Continuing(
      chat_template='{% for m in messages %}{{ m.content }}\n{% endfor %}'))
  chats = [[{'role': 'user', 'content': 'hi'}]]
  ids = script.chatting.encode(run, chats)
  options = dict(max_new_tokens=16, temperature=0, stop=['q'],
                 conversations=chats, encode=script.chatting.given)
  file = io.StringIO()
  script.generate(run, ids, file, **options)
  line = json.loads(file.getvalue())
  assert line['messages'] == chats[0] and 'prompt' not in line
  script.show(run, ids[0], **options)
  assert capsys.readouterr().out == script.terminal.printable(
      line['text']) + '\n'


@pytest.mark.slow
def test_text_ends_where_the_context_is_full_and_says_so(trained, capsys):
  script.show(trained, 'b' * 60)
  told = '1 of 1 continuations ended early, because the context of 64 tokens'
  assert told in capsys.readouterr().err
  file = io.StringIO()
  script.generate(trained, ['b' * 60, 'b'], file, max_new_tokens=20)
  first, second = map(json.loads, file.getvalue().splitlines())
  assert (first['ended'], len(first['tokens'])) == ('context', 3)
  assert (second['ended'], len(second['tokens'])) == ('length', 20)
  assert '1 of 2 continuations ended early' in capsys.readouterr().err


def test_a_window_goes_on_beyond_the_context(trained, capsys):
  file = io.StringIO()
  script.generate(trained, ['b' * 70], file, max_new_tokens=100, window=True)
  line = json.loads(file.getvalue())
  assert line['ended'] in ('length', 'eos') and len(line['tokens']) > 32
  assert capsys.readouterr().err == ''


def test_main_draws_as_the_runs_samples_except_for_what_is_given(
    trained, monkeypatch, capsys):
  given = dict(workdir='run', step='best', prompt='b', prompts_file=None,
               specials=False, chat=False, system=None, out=None,
               max_new_tokens=9, stop=[], seed=1, num_samples=2, window=False,
               batch_size=8)
  values = flags.FlagValues()
  for name, value in given.items():
    flags.DEFINE_string(name, None, '', flag_values=values)
    values[name].value = value
  values.mark_as_parsed()
  monkeypatch.setattr(script, 'FLAGS', values, raising=False)
  monkeypatch.setattr(script, '_SAMPLING', lambda: {'top_k': 3}, raising=False)
  monkeypatch.setattr(script.trained_lib, 'load', lambda *args: trained)
  script.main([])
  shown = capsys.readouterr()
  assert shown.out.startswith('--- sample 1 of 2\nb')
  assert shown.err == 'sampling: temperature 0.8, top_k 3, top_p 0.95\n'
