"""Every config freezes and has a shape; every script runs, and refuses well."""
import ast
import dataclasses
import importlib.util
import json
import pathlib
import subprocess
import sys

import jax
import numpy as np
import pytest

from lmjax.core import config as config_lib
from lmjax.core.flags import overrides
from lmjax.core import layouts
from lmjax.core import trees
from lmjax.data.text import tfds
from lmjax.data.text import tfds_builder
from lmjax.evaluation import scoring
from lmjax.generation import samples
from lmjax.models import cost
from lmjax.models import encoder
from lmjax.objectives.encoders import mlm
from lmjax.recipes.loaded import trained as trained_lib
from lmjax.recipes import pretraining
from tests.reference import environment

ROOT = pathlib.Path(__file__).parents[1]
SCRIPTS = sorted((ROOT / 'experiments').glob('*.py'))
CONFIGS = sorted((ROOT / 'experiments/configs').glob('*.py'))


def _module(path):
  spec = importlib.util.spec_from_file_location(path.stem, path)
  module = importlib.util.module_from_spec(spec)
  spec.loader.exec_module(module)
  return module


def _run(script, *flags, **variables):
  return subprocess.run(
      [sys.executable, str(ROOT / f'experiments/{script}.py'), *flags],
      capture_output=True, text=True, timeout=300, check=False,
      env=environment.clean(**variables))


def tiny(tmp_path):
  """Returns a config of a run that takes seconds."""
  text = tmp_path / 'text.txt'
  text.write_text('\n\n'.join(
      f'Line {i} of a text that says that {i} is {i % 7}.' for i in range(400)))
  demo = _module(ROOT / 'experiments/configs/demo.py').get_config()
  return overrides.override(demo, {
      'data.source.kind': 'TextFiles', 'data.source.paths': (str(text),),
      'data.source.split_on': 'paragraph', 'data.tokenizer.kind': 'Bytes',
      'data.batch_size': 8, 'model.context': 32, 'model.width': 32,
      'model.num_layers': 1, 'training.steps': 4, 'training.eval_every': 2,
      'optimizer.schedule.warmup': 0, 'samples.max_new_tokens': 8})


@pytest.mark.parametrize('path', SCRIPTS, ids=lambda p: p.stem)
def test_scripts_are_short_and_import_without_flags(path, monkeypatch):
  monkeypatch.syspath_prepend(path.parent)  # As Python does for a script.
  assert path.read_text().count('\n') <= 100
  assert callable(_module(path).main)


@pytest.mark.parametrize('path', CONFIGS, ids=lambda p: p.stem)
def test_configs_freeze_and_have_shapes(path):
  config = _module(path).get_config()
  assert config_lib.freeze(type(config), config) == config
  assert config_lib.freeze(
      type(config), json.loads(config_lib.dumps(config))) == config
  model = getattr(config, 'model', None)
  if hasattr(model, 'with_vocab'):  # A counted model has no parameters.
    params = cost.shapes(model.with_vocab(model.vocab_size or 300))
    assert len(jax.tree.leaves(params)) > 5


@pytest.mark.slow
def test_pretrain_writes_a_whole_run_and_continues_it(tmp_path):
  config = tiny(tmp_path)
  reports = pretraining.pretrain(config, str(tmp_path / 'run'))
  assert [r.name for r in reports] == ['model', 'uniform', 'unigram', 'bigram']
  assert {p.name for p in (tmp_path / 'run').iterdir()} >= {
      'config.json', 'run.json', 'metrics.jsonl', 'tensorboard', 'checkpoints',
      'tokenizer', 'report.json', 'curve.png', 'report.html'}

  rows = (tmp_path / 'run/metrics.jsonl').read_text()
  again = pretraining.pretrain(config, str(tmp_path / 'run'))
  assert (tmp_path / 'run/metrics.jsonl').read_text() == rows
  assert again[0].nats_per_token == reports[0].nats_per_token

  trained = trained_lib.load(tmp_path / 'run')
  assert trained.step in (2, 4)


@pytest.mark.slow
def test_the_directory_alone_continues_a_run(tmp_path):
  config, run = tiny(tmp_path), tmp_path / 'run'
  pretraining.pretrain(config, str(run))
  done = _run('pretrain', f'--workdir={run}')
  assert done.returncode == 0, done.stderr
  assert f'config: saved in {run}, which holds a run\n' in done.stdout
  assert 'steps: 4, all of which are saved\n' in done.stdout
  done = _run('pretrain', f'--workdir={run}', '--config.training.steps=5')
  assert done.returncode == 2 and 'training.steps: 4 -> 5' in done.stderr
  done = _run('finetune', f'--workdir={run}')
  assert done.returncode == 2 and (
      'config.json holds Pretrain, but this script takes Finetune'
      in done.stderr)


@pytest.mark.slow
def test_pretrain_on_a_mesh_is_pretrain_on_one_device(tmp_path):
  config = tiny(tmp_path)

  def losses(name, **training):
    pretraining.pretrain(dataclasses.replace(config, training=dataclasses.replace(
        config.training, log_every=1, replicas_every=2, **training)),
                    str(tmp_path / name))
    lines = (tmp_path / name / 'metrics.jsonl').read_text().splitlines()
    return [value for row in map(json.loads, lines)
            for key, value in row.items() if key in ('loss', 'valid/loss')]

  one = losses('one')
  many = losses('many', parallel='mesh', mesh='data:2,fsdp:2,tensor:2')
  assert len(one) >= 6
  np.testing.assert_allclose(many, one, rtol=1e-5)
  # What one mesh left behind goes on on another.
  assert losses('many', parallel='mesh', mesh='fsdp:8') == many


@pytest.mark.slow
def test_a_run_goes_on_with_scanned_layers_and_is_read(tmp_path):
  config, run = tmp_path / 'config.json', str(tmp_path / 'run')
  config.write_text(config_lib.dumps(overrides.override(tiny(tmp_path), {
      'model.num_layers': 3, 'model.pattern.kind': 'LocalGlobal',
      'model.pattern.every': 2, 'model.pattern.window': 8,
      'training.keep_best': 4, 'training.ema_decay': 0.5})))
  start = ['pretrain', f'--config={config}', f'--workdir={run}']
  first = _run(*start, '--config.training.steps=2')
  assert not first.returncode, first.stderr
  before = trained_lib.load(run, 2)
  then = _run(*start, '--override=training.steps', '--config.model.scan',
              '--config.model.remat=full')
  assert not then.returncode, then.stderr
  assert 'model.scan: False -> True (checkpoints fit)' in then.stderr
  # Of before the change and after it, as the config says now.
  steps = [trained_lib.load(run, step) for step in (2, 4)]
  for found in steps:
    assert found.params.keys() >= {'layers', 'layer_2'}
  assert trees.digest(layouts.looped(steps[0].params)) == before.digest
  scored = _run('evaluate', f'--workdir={run}', '--config.baselines=False',
                '--config.checkpoint=2')
  assert not scored.returncode, scored.stderr


@pytest.mark.slow
def test_tfds_data_prepared_from_local_text_train_a_model(tmp_path):
  config = tiny(tmp_path)
  name = tfds_builder.prepare(
      'lines', {'train': config.data.source}, tmp_path / 'tfds')
  source = tfds.Tfds(name, data_dir=str(tmp_path / 'tfds'))
  assert list(source.documents()) == list(config.data.source.documents())
  config = dataclasses.replace(
      config, data=dataclasses.replace(config.data, source=source),
      training=dataclasses.replace(config.training, steps=20, log_every=1))
  pretraining.pretrain(config, str(tmp_path / 'run'))
  rows = [json.loads(line) for line in
          (tmp_path / 'run/metrics.jsonl').read_text().splitlines()]
  losses = [row['loss'] for row in rows if 'loss' in row]
  assert len(losses) == 20 and losses[-1] < losses[0] - 0.1


@pytest.mark.slow
def test_the_demo_beats_the_bigram(tmp_path):
  done = _run(
      'pretrain', f'--workdir={tmp_path}/demo', **environment.OPTIMIZED)
  assert done.returncode == 0, done.stderr[-2000:]
  model, _, _, bigram = json.loads(
      (tmp_path / 'demo/report.json').read_text())['reports']
  assert model['bits_per_byte'] < 0.9 * bigram['bits_per_byte']


MISTAKES = {
    'unknown flag': (('--wokdir=x',), 'workdir'),
    'unknown field': (
        ('--workdir={}', '--config.training.step=3'),
        'Did you mean --config.training.steps?'),
    'unknown kind': (
        ('--workdir={}', '--config.optimizer.kind=AdamV'), "'AdamW'"),
    'missing file': (
        ('--workdir={}', '--config.data.source.kind=TextFiles',
         '--config.data.source.paths=nowhere.txt'), 'nowhere.txt'),
    'heads that do not divide': (
        ('--workdir={}', '--config.model.width=130'), 'width'),
    'rows that do not divide over a mesh': (
        ('--workdir={}', '--parallel=mesh', '--mesh=data:3'), 'size that does'),
    'mesh with another strategy': (
        ('--workdir={}', '--mesh=data:2', '--parallel=pmap'),
        'implies --parallel=mesh'),
    'no such config': (('--workdir={}', '--config=no.py'), 'no.py'),
}


@pytest.mark.slow
@pytest.mark.parametrize('name', MISTAKES)
def test_mistakes_are_told_in_a_sentence(name, tmp_path):
  flags, told = MISTAKES[name]
  done = _run('pretrain', *(f.format(tmp_path / 'run') for f in flags))
  assert done.returncode not in (0, None)
  assert told in done.stderr
  assert 'Traceback' not in done.stderr
  assert not (tmp_path / 'run/config.json').exists()


@pytest.mark.slow
def test_bad_text_is_refused_or_counted_as_flags_say(tmp_path):
  text = tmp_path / 'text.txt'
  text.write_bytes(b''.join(
      [b'Line %d of a text.\n' % i for i in range(200)]
      + [b'broken \xff\n', b' \t \n', b'x' * 500 + b'\n']))
  flags = (f'--workdir={tmp_path / "run"}', '--dry_run',
           '--config.data.source.kind=TextFiles',
           f'--config.data.source.paths={text}',
           '--config.data.source.split_on=line',
           '--config.data.tokenizer.kind=Bytes',
           '--config.data.source.max_line_bytes=100')
  refused = _run('pretrain', *flags)
  assert refused.returncode == 2 and 'text.txt:201: invalid UTF-8 at byte ' in (
      refused.stderr)
  done = _run('pretrain', *flags, '--config.data.source.on_bad_text=skip')
  told = ' '.join(done.stdout.split())
  for count in ('1 empty documents dropped', '1 lines of bad text skipped',
                '1 over-long lines skipped'):
    assert count in told, done.stderr


@pytest.mark.slow
def test_a_config_is_named_by_preset_or_run(tmp_path):
  config = f'{tmp_path}/config.json'
  pathlib.Path(config).write_text(config_lib.dumps(tiny(tmp_path)))
  flags = f'--workdir={tmp_path}/run', '--dry_run'
  for name, told in (('preset:gpt2', '124,439,808'), (config, 'Parameters'),
                     (str(tmp_path), 'Parameters')):
    # GPT-2's batch of the demo needs more memory than a small machine has.
    done = _run('pretrain', *flags, f'--config={name}', '--nocheck_memory')
    assert done.returncode == 0, done.stderr
    assert told in done.stdout, done.stdout
  wrong = _run('pretrain', *flags, '--config=preset:gpt3')
  assert wrong.returncode == 2 and "mean 'gpt2'?" in wrong.stderr


@pytest.mark.slow
@pytest.mark.parametrize('path', SCRIPTS, ids=lambda p: p.stem)
def test_help_reads(path):
  done = _run(path.stem, '--help')
  assert 'Traceback' not in done.stderr
  assert '--[no]traceback' in done.stdout
  doc = ast.get_docstring(ast.parse(path.read_text()), clean=False)
  assert done.stdout.startswith(doc)
  for flag in ('--coordinator', '--watchdog_s') if path.stem in (
      'pretrain', 'finetune') else ():
    assert f'  {flag}: ' in done.stdout


@pytest.mark.slow
def test_masks_are_filled_and_texts_embedded(tmp_path):
  config = tiny(tmp_path)
  config = dataclasses.replace(
      config, model=encoder.EncoderConfig(
          context=32, width=32, num_layers=1), objective=mlm.MaskedLM(),
      data=dataclasses.replace(config.data, specials=('[MASK]',)),
      scoring=scoring.Scoring(tokens=100),
      samples=samples.Samples(prompts=()))
  run = f'--workdir={tmp_path / "run"}'
  pretraining.pretrain(
      config, str(tmp_path / 'run'))
  filled = _run('fill_mask', run, '--text=Line [MASK] of', '--json')
  assert len(json.loads(filled.stdout)['masks'][0]['texts']) == 5, filled.stderr
  refused = _run('fill_mask', run, '--text=Line 3 of')
  assert refused.returncode == 2 and 'Write [MASK]' in refused.stderr

  texts = tmp_path / 'texts.txt'
  texts.write_text('Line 1 of\nsomething else\n')
  found = _run('embed', run, f'--texts_file={texts}', '--query=Line 1 of')
  assert '1.000' in found.stdout, found.stderr
  saved = _run('embed', run, f'--texts_file={texts}',
               f'--out={tmp_path / "vectors.npy"}')
  assert saved.returncode == 0 and (
      np.load(tmp_path / 'vectors.npy', allow_pickle=False).shape == (2, 32))
  pairs = tmp_path / 'pairs.tsv'
  pairs.write_text('a\ta\t5\na\tzzz\t1\n')
  compared = _run('embed', run, f'--pairs_file={pairs}')
  assert 'Spearman: 1.0000 over 2 pairs' in compared.stdout, compared.stderr


@pytest.mark.slow
def test_pairs_are_compared_in_a_table_and_a_plot(tmp_path):
  play = tmp_path / 'play.txt'
  play.write_text('\n\n'.join(
      f'{name}:\nI {word} {i}, and {word} again {i * i}.' for i in range(250)
      for name, word in (('Romeo', 'love'), ('Tybalt', 'hate'))))
  flags = (f'--workdir={tmp_path / "runs"}', f'--text={play}')
  done = _run('compare_objectives', *flags, '--pairs=ngram,lstm_causal',
              '--cpu_minutes=0.01')
  assert done.returncode == 0, done.stderr
  rows = json.loads((tmp_path / 'runs/table.json').read_text())['rows']
  assert [row['name'] for row in rows] == ['ngram', 'lstm_causal']
  assert (tmp_path / 'runs/table.png').exists()
  wrong = _run('compare_objectives', *flags, '--pairs=nothing')
  assert wrong.returncode == 2 and 'choose from' in wrong.stderr
