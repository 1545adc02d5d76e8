"""experiments/generate.py: to the terminal, to JSON lines, and bad input."""
import importlib.util
import io
import json
import pathlib

from lmjax.core import cli
from lmjax.core import errors
from lmjax.data.tokenizers import symbols
from lmjax import experiment
from lmjax.generation import transforms
from lmjax.models import cost
from lmjax.models import decoder
from lmjax.recipes import trained as trained_lib
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
                 sampling=transforms.Sampling(top_k=50))
  script.show(trained, 'a\x1b[31m b', **options)
  shown = capsys.readouterr().out
  file = io.StringIO()
  script.generate(trained, ['a\x1b[31m b', 'x'], file, **options)
  lines = [json.loads(line) for line in file.getvalue().splitlines()]
  assert [line['prompt'] for line in lines] == ['a\x1b[31m b'] * 2 + ['x'] * 2
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
