"""experiments/generate.py draws as its flags say."""
import importlib.util
import pathlib

from absl import flags
import pytest

from tests.reference import untrained

_SCRIPT = pathlib.Path(__file__).parents[1] / 'experiments' / 'generate.py'
spec = importlib.util.spec_from_file_location('generate_script', _SCRIPT)
script = importlib.util.module_from_spec(spec)
spec.loader.exec_module(script)


@pytest.fixture(scope='module')
def trained():
  return untrained.run()


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
