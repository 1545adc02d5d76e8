"""Runs are exported as files that are imported as the same model."""
import json
import pathlib
import re
import subprocess
import sys

import numpy as np
import pytest

from lmjax.core import errors
from lmjax.core import trees
from lmjax.interop import certificate
from lmjax.interop import checkpoint
from lmjax.interop import runs
from lmjax.recipes import exporting
from lmjax.recipes import importing
from tests.reference import published

ROOT = pathlib.Path(__file__).parents[2]
TEMPLATE = '{% for m in messages %}{{ m.role }}: {{ m.content }}\n{% endfor %}'


@pytest.fixture(name='run', scope='module')
def _run(tmp_path_factory):
  folder = tmp_path_factory.mktemp('exporting')
  published.llama(folder / 'files', {'eos_token_id': [256, 3]})
  (folder / 'files/chat_template.jinja').write_text(TEMPLATE)
  importing.save(*importing.load(folder / 'files'), folder / 'run')
  return folder / 'run'


@pytest.fixture(name='exported', scope='module')
def _exported(run):
  exporting.export(run, run.parent / 'exported')
  return run.parent / 'exported'


@pytest.mark.slow
def test_an_export_is_imported_as_the_same_model(run, exported):
  found, tokenizer, _ = importing.load(exported)
  want = runs.load(run)
  assert found.config == want.config
  leaves = dict(trees.items(want.params))
  for path, array in trees.items(found.params):
    np.testing.assert_array_equal(array, leaves[path])
  text = 'Don\'t  <|endoftext|> 東京\n'
  np.testing.assert_array_equal(
      tokenizer.encode(text), want.tokenizer.encode(text))


def test_an_export_keeps_stop_ids_and_chat_template(exported):
  source = checkpoint.open_source(exported)
  assert source.generation['eos_token_id'] == [256, 3]
  assert source.chat_template == TEMPLATE
  found = certificate.read(exported)
  assert found.stop_ids == [256, 3]
  assert found.chat.startswith('user: What is 2 + 2?\nassistant: It')


@pytest.mark.parametrize('change, what', [
    (lambda tree: tree.update(rms_norm_eps=1e-3), 'standard deviations'),
    (lambda tree: tree['rope_parameters'].update(rope_theta=2e4) or
     tree.update(rope_theta=2e4), 'standard deviations'),
])
def test_a_config_that_was_changed_later_is_refused(exported, tmp_path, change,
                                                    what):
  for path in exported.iterdir():
    (tmp_path / path.name).write_bytes(path.read_bytes())
  tree = json.loads((tmp_path / 'config.json').read_text())
  change(tree)
  (tmp_path / 'config.json').write_text(json.dumps(tree))
  with pytest.raises(errors.InputError, match=what):
    importing.load(tmp_path)


def test_narrow_numbers_are_rounded(run, tmp_path):
  exporting.export(run, tmp_path / 'new', dtype='bfloat16')
  tensors = checkpoint.open_source(tmp_path / 'new').tensors
  assert {tensor.dtype for tensor in tensors.values()} == {'BF16'}
  assert json.loads(
      (tmp_path / 'new/config.json').read_text())['dtype'] == 'bfloat16'


@pytest.mark.parametrize('kind', ['F32', 'Q8_0'])
def test_a_gguf_file_is_imported_as_the_same_model(run, tmp_path, kind):
  exporting.export_gguf(run, tmp_path / 'model.gguf', kind=kind)
  found, tokenizer, _ = importing.load(tmp_path / 'model.gguf')
  want = dict(trees.items(runs.load(run).params))
  assert tokenizer.encode('So be it.').tolist() == [*b'So be it.']
  for path, array in trees.items(found.params):
    largest = np.abs(want[path]).max()
    bound = 0 if kind == 'F32' else largest / 127
    assert np.abs(array - want[path]).max() <= bound, path


def test_the_card_has_the_numbers_of_the_run(run, exported):
  text = (exported / 'README.md').read_text()
  assert '# run\n' in text and 'Llama with 23,840' in text


def test_a_folder_with_files_is_not_written_to(run, exported):
  before = sorted(exported.iterdir())
  with pytest.raises(errors.InputError, match='another --to'):
    exporting.export(run, exported)
  with pytest.raises(errors.InputError, match='another --to'):
    exporting.export_gguf(run, exported)
  assert sorted(exported.iterdir()) == before


def test_a_family_that_is_another_model_is_refused(run, tmp_path):
  with pytest.raises(errors.InputError, match='GPT-2'):
    exporting.export(run, tmp_path / 'new', model_type='gpt2')
  assert not list(tmp_path.iterdir())


@pytest.mark.slow
def test_transformers_computes_what_the_certificate_says(run, tmp_path):
  """By the script of docs/weights.md."""
  pytest.importorskip('transformers')
  exporting.export(run, tmp_path / 'exported', dtype='float16')
  text = (ROOT / 'docs/weights.md').read_text()
  script, = re.findall(r'```py\n(import json.*?)```', text, re.DOTALL)
  (tmp_path / 'check.py').write_text(script)
  check = lambda: subprocess.run(
      [sys.executable, 'check.py', 'exported'], cwd=tmp_path, text=True,
      capture_output=True, check=False)
  done = check()
  assert done.returncode == 0, done.stderr
  assert 'as certified' in done.stdout
  path = tmp_path / 'exported/config.json'
  path.write_text(path.read_text().replace('"silu"', '"gelu"'))
  assert check().returncode != 0
