"""What README and docs show is run: their Python, and their files exist."""
import pathlib
import re
import shlex

import jax
import pytest

ROOT = pathlib.Path(__file__).parents[1]
README = ROOT / 'README.md'
PAGES = [README, *(path for path in sorted((ROOT / 'docs').glob('*.md'))
                   if path.name != 'index.md')]  # The front page of the site.
_TRAINING = 'extending.md', 'finetuning.md', 'notebooks.md'  # Takes longer.
TEXTS = {page: page.read_text() for page in PAGES}


def _blocks(page, language):
  return re.findall(rf'```{language}\n(.*?)```', TEXTS[page], flags=re.DOTALL)


@pytest.mark.parametrize('page', [
    pytest.param(page, marks=pytest.mark.slow)
    if page.name in _TRAINING else page
    for page in PAGES if _blocks(page, 'python')], ids=lambda p: p.name)
def test_python_of_a_page_runs_as_one_session(page, tmp_path, monkeypatch):
  monkeypatch.chdir(tmp_path)
  session = {}
  # Users have none of the strictness that our tests switch on.
  with jax.numpy_rank_promotion('allow'):
    for block in _blocks(page, 'python'):
      exec(compile(block, page.name, 'exec'), session)
  if page.name == 'extending.md':
    assert session['result'].rows[-1]['loss'] > 0


@pytest.mark.parametrize('page', PAGES, ids=lambda p: p.name)
def test_files_that_are_linked_or_run_exist(page):
  text = TEXTS[page]
  linked = [path for path in re.findall(r'\]\(([^)#]+)\)', text)
            if not path.startswith('http')]
  run = [word for block in
         _blocks(page, 'bash') + re.findall(r'`([^`\n]+)`', text)
         for word in block.split() if re.fullmatch(
             r'(experiments|notebooks|benchmarks|tests)/[\w/.]+\.\w+', word)]
  assert linked or run
  for path in linked:
    assert (page.parent / path).exists(), path
  for path in run:
    assert (ROOT / path).exists(), path


def test_every_page_is_linked_from_the_readme():
  for page in PAGES[1:]:
    assert f'](docs/{page.name})' in TEXTS[README], page.name


def test_the_readme_is_short_and_its_numbers_are_those_of_their_page():
  lines = TEXTS[README].splitlines()
  assert len(lines) <= 150
  numbers = [line for line in lines if re.match(r'\| `\w+\.py`', line)]
  assert len(numbers) >= 4
  for line in numbers:
    assert line in TEXTS[ROOT / 'docs/numbers.md'], line


def test_the_test_command_is_what_ci_runs():
  command = next(b for b in _blocks(README, 'bash') if 'pytest' in b).strip()
  ci = (ROOT / '.ci/run').read_text()
  for part in command.split('&&')[1:]:
    words = shlex.split(part.replace('.venv/', ''))
    assert words[0].removeprefix('bin/') in ci, words[0]
    for word in words[1:]:
      assert word in ci, word


def test_tests_that_ci_names_exist():
  named = re.findall(r'tests/[\w/]+\.py', (ROOT / '.ci/run').read_text())
  assert named
  for path in named:
    assert (ROOT / path).exists(), path


@pytest.mark.parametrize('path', sorted(
    p for folder in ('lmjax', 'experiments', 'benchmarks')
    for p in (ROOT / folder).rglob('*.py')), ids=lambda p: str(
        p.relative_to(ROOT)))
def test_no_file_outgrows_its_room(path):
  assert path.read_text().count('\n') <= 400


def test_every_script_has_a_row():
  rows = re.findall(
      r'^\| `experiments/(\w+)\.py', TEXTS[ROOT / 'docs/scripts.md'],
      flags=re.MULTILINE)
  assert sorted(rows) == sorted(
      path.stem for path in (ROOT / 'experiments').glob('*.py'))
