"""The flags that docs/classification.md lists for well-known sets."""
import pathlib
import re

import pytest

from lmjax.core.flags import named
from lmjax.core.flags import overrides
from lmjax import experiment
from lmjax.tasks import classification
from lmjax.tasks.readers.texts import tfds

ROOT = pathlib.Path(__file__).parents[1]
PAGE = (ROOT / 'docs/classification.md').read_text()
DEFAULT = named.Named(
    experiment.Finetune,
    ROOT / 'experiments/configs/finetune_docstrings.py').load()
ROWS = [[cell.strip().strip('`') for cell in line.split('|')[1:-1]]
        for line in PAGE.splitlines() if re.match(r'\|.*\| `[\w/]+` \|$', line)]
ALWAYS = {'loss', 'accuracy', 'macro_f1', 'matthews'}


def test_glue_is_complete():
  glue = {name for _, name, *_ in ROWS if name.startswith('glue/')}
  assert len(glue) == 9 and len(ROWS) == 12


@pytest.mark.parametrize('row', ROWS, ids=lambda row: row[0])
def test_the_flags_of_a_set_build_its_readers(row):
  _, name, text, second, split, metric = row
  kind = 'Regression' if metric == 'spearman' else 'Classification'
  flags = {'task.kind': kind, 'task.source.kind': 'Labelled',
           'task.source.test.split': split,
           'training.stop.metric': f'valid/{metric}'}
  for part in 'train', 'test':
    flags |= {f'task.source.{part}.{field}': value for field, value in (
        ('kind', 'Tfds'), ('name', name), ('text', text), ('second', second))
              if value}
  if metric.startswith('f1/'):
    flags['task.metrics.f1'] = metric.removeprefix('f1/')
  made = overrides.override(DEFAULT, flags, experiment.Finetune)
  wanted = dict(name=name, text=tuple(text.split(',')),
                second=(second,) if second else ())
  assert made.task.source.train == tfds.Tfds(**wanted)
  assert made.task.source.test == tfds.Tfds(**wanted, split=split)
  if kind == 'Classification':
    named_f1 = {f'f1/{each}' for each in made.task.metrics.f1}
    assert isinstance(made.task, classification.Classification)
    assert metric in ALWAYS | named_f1
