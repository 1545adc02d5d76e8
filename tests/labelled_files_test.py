"""A user's own labelled files are read by flags alone, whatever their form."""
import csv
import itertools
import json
import os
import pathlib
import random
import re
import subprocess
import sys

import pytest

from lmjax.core import errors
from lmjax.core.flags import named
from lmjax.core.flags import overrides
from lmjax import experiment
from lmjax.recipes import starting
from tests.reference import environment

ROOT = pathlib.Path(__file__).parents[1]
DEFAULT = named.Named(
    experiment.Finetune,
    ROOT / 'experiments/configs/finetune_docstrings.py').load()
ENCODINGS = 'utf-8', 'utf-8-sig', 'latin-1', 'utf-16'
ROWS = [(f'Café {i}', f'serves {i}', 'ab'[i % 2]) for i in range(40)]


def config(*flags):
  """Returns the config of finetune.py with flags such as task.kind=Tagging."""
  return overrides.override(
      DEFAULT, dict(flag.split('=', 1) for flag in flags), experiment.Finetune)


def table(mark, header, texts, rows):
  """Returns a file of columns, and the flags that name them."""
  lines = [mark.join((label, *both)) for *both, label in rows]
  columns = 'y', 'title', 'body'
  if header:
    lines.insert(0, mark.join(columns))
  else:
    columns = '0', '1', '2'
  flags = {'one': [f'text={columns[1]}'],
           'pair': [f'text={columns[1]}', f'second={columns[2]}'],
           'joined': [f'text={columns[1]},{columns[2]}']}[texts]
  flags += [f'label={columns[0]}'] + ['header=false'] * (not header)
  return '\n'.join(lines) + '\n', flags


def json_lines(texts, rows):
  """Returns JSON lines, and the flags that name their fields."""
  lines = [json.dumps({'title': first, 'body': second, 'label': label},
                      ensure_ascii=False) for first, second, label in rows]
  return '\n'.join(lines), {
      'one': ['text=title'], 'pair': ['text=title', 'second=body'],
      'joined': ['text=title,body']}[texts]


def label_first(texts, rows):
  """Returns lines that begin with their label, and their flags."""
  lines = [f'{label} {first}' + f'\t{second}' * (texts == 'pair')
           for first, second, label in rows]
  return '\n'.join(lines), ['kind=LabelFirst'] + ['texts=2'] * (texts == 'pair')


def conll(rows):
  """Returns a word and its tag per line, and no flags."""
  return '\n\n'.join(
      '\n'.join(f'{word} B-{label}' for word in first.split())
      for first, _, label in rows), []


FORMS = {
    **{f'a.{kind}, {"a" if header else "no"} header': (
        f'a.{kind}', ('one', 'pair', 'joined'),
        lambda texts, rows, mark=mark, header=header: table(
            mark, header, texts, rows))
       for kind, mark in (('csv', ','), ('tsv', '\t'))
       for header in (True, False)},
    'a.jsonl': ('a.jsonl', ('one', 'pair', 'joined'), json_lines),
    'label first': ('a.txt', ('one', 'pair'), label_first),
    'a.conll': ('a.conll', ('one',), lambda _, rows: conll(rows)),
}


def splits_of(folder, name, made, rows, splits, encoding):
  """Writes the splits; returns the flags that read them."""
  cut = {'held out': {'train': rows}, 'fraction': {'train': rows}, 'given': {
      'train': rows[:30], 'valid': rows[30:35], 'test': rows[35:]}}[splits]
  flags = {'held out': [], 'fraction': ['held_out=0.2'],
           'given': []}[splits]
  for split, some in cut.items():
    text, fields = made(some)
    path = folder / f'{split}_{name}'
    path.write_bytes(text.encode(encoding))
    fields = [f'paths={path}', *fields]
    if encoding not in ('utf-8', 'utf-8-sig'):  # UTF-8 needs no flag.
      fields.append(f'encoding={encoding}')
    flags += [f'{split}.{field}' for field in fields]
  return [f'task.source.{flag}' for flag in flags]


@pytest.mark.parametrize('encoding', ENCODINGS)
@pytest.mark.parametrize('form', FORMS)
def test_every_form_is_read(tmp_path, form, encoding):
  name, kinds, make = FORMS[form]
  for texts, splits in itertools.product(
      kinds, ('held out', 'given', 'fraction')):
    flags = splits_of(tmp_path, name, lambda rows, texts=texts: make(
        texts, rows), ROWS, splits, encoding)
    kind = ['task.source.kind=Labelled']
    if name == 'a.conll':
      kind = ['task.kind=Tagging', 'task.source.kind=Tagged']
    found = config(*kind, *flags).task.read()
    every = [*found.train, *found.valid, *found.test]
    want = {'one': ('Café 7',), 'pair': ('Café 7', 'serves 7'),
            'joined': ('Café 7 serves 7',)}[texts]
    assert len(every) == 40 and want in [e.texts for e in every]
    assert found.labels == (
        ('O', 'B-a', 'B-b') if name == 'a.conll' else ('a', 'b'))
    if splits == 'given':
      assert len(found.valid) == 5


def followed(flags, tried):
  """Returns flags with which `tried` works, by following its messages."""
  for _ in range(4):
    try:
      tried(*flags)
      return flags
    except errors.InputError as error:
      advice = re.findall(r'--config\.([\w.]+=[\w/.]+\w)', str(error))
      assert advice, error
      flags = [flag for flag in flags if flag.split('=')[0] not in [
          each.split('=')[0] for each in advice]] + advice
  raise AssertionError(flags)


def test_following_each_message_leads_to_a_run(tmp_path):
  text, _ = table(',', True, 'one', ROWS)
  (tmp_path / 'a.csv').write_text(text.replace('y,title', 'label,text'))
  paths = f'task.source.train.paths={tmp_path}/a.csv'
  read = lambda *flags: config(*flags).task.read()
  followed([paths], read)
  followed([paths, 'task.source.valid=null', 'task.source.test=None'], read)
  followed([paths, 'task.kind=Classification'], read)

  def begun(*flags):
    made = config(*flags)
    starting.start(made, made.task.read())
  for kind in 'RecurrentConfig', 'XLNetConfig', 'ElectraConfig':
    flags = followed([paths, f'model.kind={kind}', 'tokenizer.kind=Bytes'],
                     begun)
    assert 'dropout=none' in flags

  pretrained = lambda *flags: overrides.override(
      experiment.Pretrain(), dict(flag.split('=', 1) for flag in flags))
  followed([f'data.split.valid_source.paths={tmp_path}/a.csv'], pretrained)
  followed([f'data.source.paths={tmp_path}/a.csv'], pretrained)


@pytest.mark.parametrize('name, kind', [
    ('a.txt', 'TextFiles'), ('a.csv', 'Delimited'), ('a.tsv.gz', 'Delimited'),
    ('a.jsonl', 'JsonLines')])
def test_the_name_of_a_file_chooses_the_source_of_pretraining(name, kind):
  found = overrides.override(experiment.Pretrain(), {'data.source.paths': name})
  assert type(found.data.source).__name__ == kind
  found = overrides.override(experiment.Evaluate(), {'data.paths': name})
  assert type(found.data).__name__ == kind


def reviews(path, count, seed):
  """Writes a CSV of short reviews with their stars, as a shop would export."""
  rng = random.Random(seed)
  words = {'good': 'lovely friendly clean quick warm tasty helpful'.split(),
           'bad': 'cold rude dirty slow stale noisy broken'.split()}
  with open(path, 'w', newline='') as file:
    rows = csv.writer(file)
    rows.writerow(['review', 'stars'])
    for _ in range(count):
      label = rng.choice(['good', 'bad'])
      noun = lambda: rng.choice(['soup', 'waiter', 'room', 'coffee', 'bed'])
      rows.writerow([
          f'The {noun()} was {rng.choice(words[label])}, and the {noun()} was '
          f'"{rng.choice(words[label])}".', label])


@pytest.mark.slow
def test_the_first_commands_of_the_page_train_predict_and_score(tmp_path):
  page = (ROOT / 'docs/finetuning.md').read_text()
  commands = re.search(r'```bash\n(.*?)```', page, flags=re.DOTALL)[1]
  assert commands.count('python experiments/') == 3
  (tmp_path / 'experiments').symlink_to(ROOT / 'experiments')
  reviews(tmp_path / 'reviews.csv', 300, 0)
  reviews(tmp_path / 'more.csv', 50, 1)
  ended = subprocess.run(
      ['bash', '-ec', commands], cwd=tmp_path, capture_output=True, text=True,
      timeout=600, check=False, env=os.environ | environment.OPTIMIZED | {
          'PATH': f'{os.path.dirname(sys.executable)}:{os.environ["PATH"]}',
          'PYTHONPATH': str(ROOT)})
  assert ended.returncode == 0, ended.stderr
  assert re.search(r'^labels: bad \(\d+\), good \(\d+\)\.$', ended.stdout,
                   flags=re.MULTILINE)
  cold, friendly = (json.loads(line) for line in ended.stdout.splitlines()
                    if line.startswith('{'))
  assert (cold['predicted'], friendly['predicted']) == ('bad', 'good')
  answers = [json.loads(line) for line in
             (tmp_path / 'answers.jsonl').read_text().splitlines()]
  right = sum(row['predicted'] == row['label'] for row in answers)
  assert len(answers) == 50 and right >= 45
  assert 'macro-F1' in ended.stdout.split('answers in')[0]
