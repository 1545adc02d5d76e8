"""`~` is expanded in every flag and every field of a config that is a path."""
import ast
import dataclasses
import pathlib
import re
import typing

from absl import flags
import pytest

from lmjax.core import cli
from lmjax.core import config as config_lib
from lmjax.core import errors
from lmjax.core.files import user_paths
from lmjax.core.flags import config_flags
from lmjax.core.flags import config_help
from lmjax.core.flags import named
from lmjax import experiment

ROOT = pathlib.Path(__file__).parents[3]
ROOTS = (experiment.Pretrain | experiment.Count | experiment.Evaluate
         | experiment.Finetune)
# Documentation that begins with a file or folder, as in 'The .npy file for ...'.
ABOUT_FILES = re.compile(
    r'(\S+ ){0,3}(files?|globs?|folders?|director(?:y|ies))\b', re.IGNORECASE)
WITHIN_RUNS = {'below'}  # Flags with a folder of a run directory.


@dataclasses.dataclass(frozen=True)
class Texts:
  paths: tuple[user_paths.Path, ...] = ()
  cache: user_paths.Path | None = None
  prefix: str = '~/no path'


@dataclasses.dataclass(frozen=True)
class Run:
  texts: tuple[Texts, ...] = (Texts(),)
  init: user_paths.Path = 'runs/demo'


@pytest.fixture(autouse=True)
def home(monkeypatch):
  monkeypatch.setenv('HOME', '/home/me')


@pytest.mark.parametrize('path, expanded', [
    ('~', '/home/me'), ('~/a b', '/home/me/a b'), ('~root/x', '/root/x'),
    ('~/data/*.txt', '/home/me/data/*.txt'), ('a/~', 'a/~'), ('./~', './~'),
    ('$HOME/x', '$HOME/x'), ('-', '-'), ('', '')])
def test_only_a_tilde_at_the_start_is_expanded(path, expanded):
  assert user_paths.expand(path) == expanded


def test_an_unknown_user_is_refused():
  with pytest.raises(errors.InputError, match=r"--out is '~no1/x'.* no user "
                     r"'no1'; write ./~no1/x"):
    user_paths.expand('~no1/x', '--out')


def test_fields_of_configs_that_are_paths_are_expanded():
  config = Run((Texts(('a.txt', '~/b.txt'), '~'), Texts()), '~/runs/x')
  assert user_paths.expanded(config) == Run(
      (Texts(('a.txt', '/home/me/b.txt'), '/home/me'), Texts()),
      '/home/me/runs/x')
  with pytest.raises(errors.InputError, match='config.texts.0.cache is'):
    user_paths.expanded(Run((Texts(cache='~no1'),)))


def test_a_config_from_flags_is_expanded(monkeypatch, tmp_path):
  monkeypatch.setenv('HOME', str(tmp_path))
  (tmp_path / 'mine.py').write_text(f'from {__name__} import Run\n'
                                    'get_config = lambda: Run(init="~/old")\n')
  flag = config_flags.ConfigFlag(named.Named(Run, Run()), {})
  flag.value = '~/mine.py'
  assert not flag.take(['--config.texts.0.paths=a,~/b'])
  assert flag.config() == Run(
      (Texts(('a', f'{tmp_path}/b')),), f'{tmp_path}/old')


def test_a_flag_that_is_a_path_is_expanded():
  values = flags.FlagValues()
  cli.path_flag('out', None, 'A file.', flag_values=values)
  values(['script', '--out=~/x'])
  assert values.out == '/home/me/x'
  with pytest.raises(flags.IllegalFlagValueError, match='no user'):
    values(['script', '--out=~no1/x'])


def fields(hint, found):
  """Adds all fields of all dataclasses below a type to `found`."""
  for cls in config_lib.kinds(hint).values():
    if cls in found:
      continue
    found[cls] = typing.get_type_hints(cls, include_extras=True)
    for below in config_lib.hints(cls).values():
      for inner in (below, *typing.get_args(config_lib.tuple_of(below) or ())):
        fields(inner, found)
  return found


def test_every_field_about_files_is_a_path():
  paths = set()
  for cls, hints in fields(ROOTS, {}).items():
    docs = config_help.documentation(cls)
    for field in dataclasses.fields(cls):
      hint = hints[field.name]
      if user_paths.is_path(hint):
        paths.add(field.name)
      elif str in (*config_lib.members(hint), *typing.get_args(
          config_lib.tuple_of(hint) or ())):
        assert not ABOUT_FILES.match(docs.get(field.name, '')), (
            f'{cls.__module__}.{cls.__name__}.{field.name} should be a '
            'user_paths.Path')
  assert paths >= {'paths', 'cache', 'init', 'mix', 'teacher', 'data_dir'}


def text_flags():
  """Yields (name, function, documentation) of the flags of all scripts."""
  files = [*ROOT.glob('experiments/*.py'), *ROOT.glob('lmjax/**/*.py')]
  for file in files:
    for node in ast.walk(ast.parse(file.read_text())):
      function = getattr(getattr(node, 'func', None), 'attr', None)
      if function in ('DEFINE_string', 'DEFINE_list', 'DEFINE_multi_string',
                      'path_flag'):
        words = [arg.value for arg in node.args
                 if isinstance(arg, ast.Constant)]
        if words and isinstance(words[0], str):
          yield words[0], function, str(words[-1])


@pytest.mark.slow
def test_every_flag_about_files_is_a_path():
  found = list(text_flags())
  wrong = [name for name, function, doc in found
           if function != 'path_flag' and name not in WITHIN_RUNS
           and ABOUT_FILES.match(doc)]
  assert wrong == [], f'Define these flags with cli.path_flag: {wrong}.'
  assert {name for name, function, _ in found if function == 'path_flag'} >= {
      'workdir', 'out', 'output', 'input', 'texts_file', 'profile'}


def test_a_folder_that_holds_files_is_not_free(tmp_path):
  user_paths.check_free(tmp_path, '--to')
  user_paths.check_free(tmp_path / 'new', '--to')
  (tmp_path / 'file').touch()
  for path in tmp_path, tmp_path / 'file':
    with pytest.raises(errors.InputError, match='holds files; .* another --to'):
      user_paths.check_free(path, '--to')
