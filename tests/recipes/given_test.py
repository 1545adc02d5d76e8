"""The flags of a file of texts, shared by scripts."""
from absl import flags
import pytest

from lmjax.generation import transforms
from lmjax.recipes import given


@pytest.fixture
def read(monkeypatch):
  """Defines the flags; returns a function that reads a file under some."""
  values = flags.FlagValues()
  for name in 'DEFINE_enum', 'DEFINE_string':
    monkeypatch.setattr(given.flags, name, lambda *args, _f=getattr(
        flags, name): _f(*args, flag_values=values))
  reader = given.define('prompt')

  def read(path, *args, kind=None):
    values(['script', *args])
    return reader(str(path), *([kind] if kind else []))
  return read


def test_flags_say_how_a_file_is_read(read, tmp_path, capsys):
  path = tmp_path / 'texts'
  path.write_bytes(b'{"prompt": "a", "b": "\xff"}\n')
  replace = '--on_bad_text=replace'
  assert read(path, '--format=jsonl', replace) == ['a']
  assert read(path, '--format=jsonl', '--field=b', replace) == ['\ufffd']
  told = f'{path}: 1 lines of bad text repaired.\n'
  assert capsys.readouterr().err == 2 * told
  assert read(path, '--format=jsonl', replace, kind='lines') == [
      '{"prompt": "a", "b": "\ufffd"}']


def test_sampling_has_a_flag_for_each_field(monkeypatch):
  values = flags.FlagValues()
  for name in 'DEFINE_float', 'DEFINE_integer':
    monkeypatch.setattr(given.flags, name, lambda *args, _f=getattr(
        flags, name): _f(*args, flag_values=values))
  sampling = given.define_sampling()
  known = transforms.Sampling.__match_args__
  values(['script', '--top_k=5', '--temperature=0'])
  assert sampling() == {'top_k': 5, 'temperature': 0.0}
  assert [name for name in known if name not in values] == []
