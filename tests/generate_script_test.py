"""experiments/generate.py draws as its flags say."""
import importlib.util
import pathlib

from absl import flags
from lmjax.data.tokenizers import symbols
from lmjax import experiment
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
