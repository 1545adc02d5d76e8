"""Files made to harm: each loader refuses them in a sentence, and runs nothing.

And files with random bytes changed: a loader refuses those too, or they make no
difference that matters.
"""
import gzip
import io
import json
import os
import random
import shutil
import zipfile

from lmjax.checkpoints import reading
from lmjax.checkpoints import store
from lmjax.core import errors
from lmjax.data import pipeline
from lmjax.data.text import files
from lmjax.data.text import sources
from lmjax.data.text import tables
from lmjax.data import token_store
from lmjax.data.tokenizers import subwords as subwords_lib
from lmjax.data.tokenizers import symbols
from lmjax.data.tokenizers import tokenizer
from lmjax.data.tokenizers import words
from lmjax.evaluation.choice import questions
from lmjax.evaluation import report
from lmjax import experiment
from lmjax.models.counted import archive as archive_lib
from lmjax.models.counted import arpa
from lmjax.models.counted import hmm
from lmjax.models.counted import ngram
from lmjax.recipes.loaded import trained
from lmjax.recipes.loaded import tuned
from lmjax.run import directory
from lmjax.run import skips
from lmjax.tasks.readers.texts import json_lines as labelled_lines
from lmjax.tasks import task as task_lib
from lmjax.training import step as step_lib
from lmjax.training import writers
import numpy as np
import optax
import pytest

TEXTS = ['The cat sat on the mat.\n', 'A dog ran, and ran.', 'naïve 日本'] * 4
DEEP = '[' * 100_000
COUNT = experiment.Count(data=pipeline.DataConfig(
    source=sources.InMemory(('a text',))))


def pickled(mark):
  """Returns a pickle, of protocol 0, that creates the file `mark`."""
  return f"cposix\nsystem\n(S'touch {mark}'\ntR.".encode()


def object_npy(mark):
  """Returns an .npy file of objects, which NumPy would unpickle."""
  file = io.BytesIO()
  np.lib.format.write_array_header_1_0(file, {
      'descr': '|O', 'fortran_order': False, 'shape': (1,)})
  return file.getvalue() + pickled(mark)


def npy(header):
  """Returns an .npy file with a header of one's own."""
  header = header.encode().ljust(118) + b'\n'
  return b'\x93NUMPY\x01\x00' + len(header).to_bytes(2, 'little') + header


def refused(load, *args, match=None):
  with pytest.raises(errors.InputError, match=match) as caught:
    load(*args)
  text = str(caught.value)
  assert len(text) < 2000 and 'Traceback' not in text


# --- What they are given.


def make_store(folder):
  token_store.build(folder / 'store', sources.InMemory(TEXTS),
              symbols.Bytes().build())
  return folder / 'store'


def make_tokenizer(folder):
  symbols.Characters().build(TEXTS).save(folder / 'tokenizer')
  return folder / 'tokenizer'


def make_words(folder):
  words.Words().build(TEXTS).save(folder / 'words')
  return folder / 'words'


@pytest.fixture(scope='session')
def subwords():
  return subwords_lib.SentencePiece(vocab_size=300).build(TEXTS)


@pytest.fixture(scope='session')
def counted():
  return ngram.NgramConfig(order=2).fit(
      [np.arange(5), np.array([0, 3, 3])], 5, 0)


@pytest.fixture(scope='session')
def steps(tmp_path_factory):
  """A folder with checkpoints 1 and 2, and the state to restore into."""
  folder = tmp_path_factory.mktemp('steps') / 'checkpoints'
  state = step_lib.init_state(
      {'layer': {'kernel': np.ones((3, 2), np.float32)}}, optax.sgd(0.1), 0)
  with store.Checkpoints(folder) as saved:
    saved.save(1, state)
    saved.save(2, state)
  return folder, state


def copied(tree, to):
  return shutil.copytree(tree, to, symlinks=True)


# --- Code.


@pytest.mark.parametrize('name', [
    'meta.json', 'tokens.bin', 'offsets.npy', 'sizes.npy'])
@pytest.mark.parametrize('content', [pickled, object_npy])
def test_no_file_of_a_store_runs(tmp_path, name, content):
  folder, mark = make_store(tmp_path), tmp_path / 'ran'
  (folder / name).write_bytes(content(mark))
  refused(token_store.load, folder, match='token store|damaged')
  assert not mark.exists()


def test_no_table_of_a_counted_model_runs(tmp_path, counted):
  path, mark = tmp_path / 'counts.npz', tmp_path / 'ran'
  counted.save(path)
  with zipfile.ZipFile(path) as archive:
    parts = {name: archive.read(name) for name in archive.namelist()}
  for name in parts:
    with zipfile.ZipFile(path, 'w') as archive:
      for other, content in parts.items():
        archive.writestr(
            other, object_npy(mark) if other == name else content)
    refused(ngram.load, path, match='no intact')
    refused(hmm.load, path, match='no intact')
  for content in pickled(mark), object_npy(mark):
    path.write_bytes(content)
    refused(ngram.load, path, match='no intact')
  assert not mark.exists()


def test_no_file_of_a_run_runs(tmp_path):
  directory.open_run(tmp_path, COUNT, {})
  mark, read = tmp_path / 'ran', {
      'config.json': lambda: trained.load_any(tmp_path),
      'run.json': lambda: directory.check(tmp_path, COUNT, {}),
      'metrics.jsonl': lambda: writers.read(tmp_path / 'metrics.jsonl'),
      'report.json': lambda: report.load(tmp_path / 'report.json'),
      'skips.json': lambda: skips.Skips.read(tmp_path),
      'task.json': lambda: tuned.read_splits(directory.RunDir(tmp_path)),
      'tokenizer/tokenizer.json': lambda: tokenizer.load(
          tmp_path / 'tokenizer')}
  (tmp_path / 'tokenizer').mkdir()
  for name, load in read.items():
    path = tmp_path / name
    before = path.read_bytes() if path.exists() else None
    for content in (pickled(mark), object_npy(mark), DEEP.encode() + b'\n',
                    b'{"a": 1, "a": 2}\n', b'{"step": NaN}\n', b'\xff\n',
                    b'[1e999]\n', b'null\n', b'[]\n', b'"' + b'x' * 10**6,
                    b'{"reports": [{}], "kind": [], "ranges": 7}\n'):
      path.write_bytes(content)
      if name == 'metrics.jsonl' and b'\n' not in content:
        assert load() == []  # A line cut short.
      else:
        refused(load)
    path.unlink()
    if before:
      path.write_bytes(before)
  assert not mark.exists()


@pytest.mark.slow
def test_no_file_of_a_checkpoint_runs(tmp_path, steps):
  folder, state = steps
  mark = tmp_path / 'ran'
  names = [os.path.relpath(path, folder) for path in (folder / '2').rglob('*')
           if path.is_file()]
  assert len(names) > 5
  for number, name in enumerate(names):
    copy = copied(folder, tmp_path / str(number))
    (copy / name).write_bytes(pickled(mark))
    with store.Checkpoints(copy) as saved:
      found = saved.restore(state)
    np.testing.assert_array_equal(
        found.state.params['layer']['kernel'], np.ones((3, 2)))
    store.restore_params(copy)
  assert not mark.exists()


# --- Paths.


def test_links_out_of_a_checkpoint_are_refused(tmp_path, steps):
  folder, state = steps
  outside = copied(folder, tmp_path / 'outside')
  for number, (name, target) in enumerate([
      ('2', '2'), ('2/params', '2/params'),
      ('2/about/metadata', '2/about/metadata')]):
    copy = copied(folder, tmp_path / str(number))
    os.rename(copy / name, tmp_path / f'old{number}')
    (copy / name).symlink_to(outside / target)
    with store.Checkpoints(copy) as saved:
      refused(saved.restore, state, match='leads out')
    refused(store.restore_params, copy, match='leads out')
  os.symlink(folder, tmp_path / 'link')  # The run itself may be elsewhere.
  assert store.restore_params(tmp_path / 'link')[0] in (1, 2)


def test_an_item_of_a_checkpoint_stays_within_it(tmp_path, steps):
  folder = copied(steps[0], tmp_path / 'run')
  path = folder / '2/about/metadata'
  about = json.loads(path.read_text())
  for name in '../1/params', '/etc', '', '..':
    about['arrays'][name] = about['arrays']['params']
    with pytest.raises(reading.Damaged, match='not a name within'):
      reading.item(folder, 2, name, about)
  reading.item(folder, 2, 'params', about)


def test_links_out_of_a_tokenizer_or_a_store_are_refused(tmp_path, subwords):
  secret = tmp_path / 'secret'
  secret.write_text('top secret')
  subwords.save(tmp_path / 'subwords')
  for folder, load in (
      (make_tokenizer(tmp_path), tokenizer.load),
      (tmp_path / 'subwords', tokenizer.load),
      (make_store(tmp_path), token_store.load)):
    for path in sorted(folder.iterdir()):
      path.rename(tmp_path / 'kept')
      for target in secret, tmp_path / 'kept', '/dev/zero', '/etc/passwd':
        path.symlink_to(target)
        refused(load, folder, match='leads out')
        path.unlink()
      os.mkfifo(path)  # Opening it would wait forever.
      refused(load, folder, match='a pipe')
      path.unlink()
      (tmp_path / 'kept').rename(path)
    load(folder)


def test_a_run_whose_files_are_elsewhere_is_refused(tmp_path):
  directory.open_run(tmp_path / 'run', COUNT, {})
  for name in 'config.json', 'run.json':
    (tmp_path / 'run' / name).rename(tmp_path / name)
    (tmp_path / 'run' / name).symlink_to(tmp_path / name)
    refused(directory.check, tmp_path / 'run', COUNT, {}, match='leads out')
    if name == 'config.json':
      refused(trained.load_any, tmp_path / 'run', match='leads out')
    (tmp_path / 'run' / name).unlink()
    (tmp_path / name).rename(tmp_path / 'run' / name)
  make_tokenizer(tmp_path)
  (tmp_path / 'run/tokenizer').mkdir()
  (tmp_path / 'run/tokenizer/tokenizer.json').symlink_to(
      tmp_path / 'tokenizer/tokenizer.json')
  refused(trained.load_any, tmp_path / 'run', match='leads out')


# --- Values.


@pytest.mark.parametrize('change', [
    {'kind': 'os.system'}, {'kind': None}, {'kind': ['Count']}, {'data': 'x'},
    {'data': {'kind': 'DataConfig', 'auto_map': {'x': 'evil.py'}}},
    {'auto_map': {'AutoConfig': 'evil.Config'}}, {'data': {'kind': {}}},
    {'model': {'kind': 'NgramConfig', 'order': '__import__("os")'}},
    {'model': {'kind': 'NgramConfig', 'order': -10**18}},
    {'model': {'was': 5}}, {'model': [1]}, {'model': None}])
def test_hostile_values_in_a_config(tmp_path, change):
  directory.open_run(tmp_path, COUNT, {})
  path = tmp_path / 'config.json'
  path.write_text(json.dumps(json.loads(path.read_text()) | change))
  refused(trained.load_any, tmp_path)
  refused(directory.check, tmp_path, COUNT, {})


@pytest.mark.parametrize('change', [
    {'kind': 'evil'}, {'kind': ['Words']}, {'kind': 'Extended'},
    {'kind': 'Extended', 'of': [], 'specials': [], 'sentinels': 0},
    {'kind': 'Extended', 'sentinels': 10**12, 'specials': [],
     'of': {'kind': 'Bytes', 'bos': True, 'eos': True}},
    {'kind': 'Extended', 'sentinels': 0, 'specials': 'abc',
     'of': {'kind': 'Bytes', 'bos': True, 'eos': True}},
    {'kind': 'SentencePiece'}, {'bos': 10**9}, {'alphabet': '\ud800'},
    {'alphabet': ''}, {'alphabet': 'aa'}, {'alphabet': 7}, {'alphabet': None},
    {'digest': None}, {'digest': []},
    {'kind': 'Words', 'words': ['a'], 'unk': 'b'},
    {'kind': 'Words', 'words': 'ab', 'unk': 'b'},
    {'kind': 'Words', 'words': [1], 'unk': 1}])
def test_hostile_values_in_a_tokenizer(tmp_path, change):
  path = make_tokenizer(tmp_path) / 'tokenizer.json'
  path.write_text(json.dumps(json.loads(path.read_text()) | change))
  refused(tokenizer.load, path.parent)


@pytest.mark.parametrize('change', [
    {'dtype': 'O'}, {'dtype': 'U9'}, {'dtype': 'f8'}, {'dtype': []},
    {'dtype': 'u2,O'}, {'num_tokens': 10**15}, {'num_tokens': 0},
    {'num_tokens': '9' * 9}, {'num_documents': -1}, {'num_documents': None},
    {'digest': {}}, {'counts': 1}, {'source': []}, {'text_bytes': '9'}])
def test_hostile_values_in_a_store(tmp_path, change):
  path = make_store(tmp_path) / 'meta.json'
  path.write_text(json.dumps(json.loads(path.read_text()) | change))
  refused(token_store.load, path.parent)


@pytest.mark.parametrize('content', [
    npy("{'descr': '<i8', 'fortran_order': False, 'shape': (10**15,)}"),
    npy("{'descr': '<i8', 'fortran_order': False, 'shape': "
        '(9223372036854775807, 9)}'),
    npy("{'descr': '<i8', 'fortran_order': False, 'shape': (-1,)}"),
    npy('-' * 117 + '1'), npy('(' * 110), npy('__import__("os")'), npy('{'),
    npy("{'descr': 'O', 'fortran_order': False, 'shape': ()}"),
    b'\x93NUMPY\x01\x00\xff\xff' + b'-' * 65535, b'PK\x03\x04', b''])
def test_hostile_headers_of_arrays(tmp_path, content, counted):
  folder = make_store(tmp_path)
  (folder / 'offsets.npy').write_bytes(content)
  refused(token_store.load, folder)
  path = tmp_path / 'counts.npz'
  counted.save(path)
  with zipfile.ZipFile(path, 'a') as archive:
    archive.writestr('more.npy', content)
  refused(ngram.load, path)


def test_offsets_that_lead_out_of_a_store(tmp_path):
  folder = make_store(tmp_path)
  offsets = np.load(folder / 'offsets.npy', allow_pickle=False)
  for at, value in (1, -5), (1, 10**12), (0, 3), (-1, 1):
    wrong = offsets.copy()
    wrong[at] = value
    np.save(folder / 'offsets.npy', wrong)
    refused(token_store.load, folder, match='damaged: tokens.bin')


def test_tables_that_fit_no_model(tmp_path, counted):
  path = tmp_path / 'counts.npz'
  counted.save(path)
  facts, arrays = archive_lib.load(path, 'n-gram model')
  for change in ({'order': 10**9}, {'order': 'x'}, {'vocab_size': 10**9},
                 {'bos_id': -4}, {'bos_id': 'x'}, {'cache': [1]},
                 {'lower': 'evil'}, {'unseen': None}, {'name': 3}):
    archive_lib.save(path, 'n-gram model', facts | change, arrays)
    refused(ngram.load, path)
  for name in arrays:
    for wrong in (arrays[name][:1], arrays[name][None],
                  np.array(['x'] * len(arrays[name])),
                  np.full(len(arrays[name]), np.nan)):
      archive_lib.save(path, 'n-gram model', facts, arrays | {name: wrong})
      refused(ngram.load, path)


def test_an_archive_that_unpacks_to_much_more(tmp_path):
  path = tmp_path / 'counts.npz'
  np.savez_compressed(path, header='{}', zeros=np.zeros(10**6))
  assert path.stat().st_size < 10**4
  refused(ngram.load, path, match='compressed')


def test_sentencepiece_models_that_are_none(tmp_path, subwords):
  model = subwords.files()['tokenizer.model']
  path = tmp_path / 'x.model'
  for content in (b'', b'garbage', model[:len(model) // 2], b'\0' * 1000,
                  pickled(tmp_path / 'ran'), b'\xff' * 4096,
                  model.replace(b'<0x41>', b'<0xZZ>')):
    path.write_bytes(content)
    refused(subwords_lib.SentencePiece(path=str(path)).build, ())
  assert not (tmp_path / 'ran').exists()


ARPA = ('\\data\\\nngram 1=3\nngram 2=2\n\n'
        '\\1-grams:\n-1\t<s>\t-0.5\n-1\ta\t-1\n-1\t</s>\t0\n\n\\2-grams:\n-0.3\t<s> a\n-0.3\ta </s>\n\n\\end\\\n')


@pytest.mark.parametrize('old, new', [
    ('ngram 1=3', 'ngram 1=4'), ('ngram 2=2', 'ngram 2=999999999999'),
    ('ngram 2=2', 'ngram 2=' + '9' * 5000), ('ngram 1=3', 'ngram 1=0'),
    ('ngram 2=2', 'ngram 9=2'), ('\\2-grams:', '\\7-grams:'),
    ('-0.3\t<s> a', 'nan\t<s> a'), ('-0.3\t<s> a', '3\t<s> a'),
    ('-0.5\n', 'inf\n'),
    ('-0.3\ta </s>', '-0.3\t<s> a'), ('<s> a', '<s> unheard'), ('-1\ta', 'a'),
    ('\\end\\\n', ''), ('\\data\\', '\0')])
def test_arpa_files_that_lie(tmp_path, old, new):
  path = tmp_path / 'x.arpa'
  path.write_text(ARPA)
  arpa.load(path)
  path.write_text(ARPA.replace(old, new, 1))
  if old != '\\data\\':
    refused(arpa.load, path)


LINES = {
    'depth': '{"text": ' + DEEP + '\n', 'brackets': DEEP + ']' * 10**5 + '\n',
    'twice': '{"text": "a", "text": "b"}\n', 'endless': '"' + 'x' * 10**6,
    'digits': '{"text": ' + '9' * 10**5 + '}\n',
    'many': json.dumps({f'key {i}': i for i in range(10**4)}) + '\n'}


@pytest.mark.parametrize('line', LINES.values(), ids=LINES)
def test_hostile_lines_of_json(tmp_path, line):
  path = str(tmp_path / 'x.jsonl')
  (tmp_path / 'x.jsonl').write_text(line)
  for read in (lambda: list(sources.JsonLines((path,)).documents()),
               lambda: list(labelled_lines.JsonLines((path,)).examples()),
               lambda: questions.read(path)):
    refused(read, match='jsonl:1')
  small = sources.JsonLines((path,), max_line_bytes=1000)
  refused(lambda: list(small.documents()), match='jsonl:1')


# --- Random bytes.


def _fuzz(whole, rng):
  """Returns a copy of some bytes with a few changed, dropped or repeated."""
  content = bytearray(whole)
  for _ in range(rng.choice([1, 1, 2, 5])):
    at = rng.randrange(len(content))
    kind = rng.randrange(6)
    if kind < 2:
      content[at] ^= 1 << rng.randrange(8)
    elif kind == 2:
      content[at] = rng.choice(b'\0\xff{}[]",:-9e\n\\ ')
    elif kind == 3:
      del content[at:at + rng.choice([1, 8])]
    elif kind == 4:
      content[at:at] = content[at:at + rng.choice([1, 16])]
    elif kind == 5 and rng.random() < 0.2:
      del content[at:]
    if not content:
      break
  return bytes(content)


def _loaders(folder, subwords, counted):
  """Returns {name: (file to be damaged, what reads and uses it)}."""
  (folder / 'x.arpa').write_text(ARPA)
  (folder / 'x.model').write_bytes(subwords.files()['tokenizer.model'])
  (folder / 'x.jsonl').write_text(
      '{"text": "a b", "label": "x"}\n{"text": "é\\u00e9", "label": "y"}\n')
  (folder / 'q.jsonl').write_text(
      '{"query": "a", "choices": ["b", "c"], "gold": 1}\n' * 2)
  (folder / 'x.csv').write_text('text,label\n"a, b",1\nc,2\n')
  (folder / 'metrics.jsonl').write_text('{"step": 1, "loss": 2.5}\n' * 3)
  counted.save(folder / 'counts.npz')
  directory.open_run(folder / 'run', COUNT, {'data': 'f00'})
  (folder / 'run/task.json').write_text(json.dumps(
      task_lib.Splits((), (), (), ('no', 'é')).known()))
  skips.Skips(((3, 5),)).write(folder)
  saved, named, worded = (
      make(folder) for make in (make_store, make_tokenizer, make_words))

  def use_store():
    found = token_store.load(saved)
    for i in range(found.num_documents):
      found.document(i)

  def use_tokenizer(load):
    found = load()
    found.decode(found.encode('cat'))

  def use_arpa():
    found = arpa.load(folder / 'x.arpa')
    found({'inputs': np.zeros((1, 2), int), 'targets': np.zeros((1, 2), int),
           'positions': np.arange(2)[None], 'segments': np.ones((1, 2), int)})

  def use_model():
    built = subwords_lib.SentencePiece(path=str(folder / 'x.model'))
    use_tokenizer(lambda: built.build(()))

  text = str(folder / 'x.jsonl')
  return {
      'meta.json': (saved / 'meta.json', use_store),
      'offsets.npy': (saved / 'offsets.npy', use_store),
      'sizes.npy': (saved / 'sizes.npy', use_store),
      'characters': (named / 'tokenizer.json', lambda: use_tokenizer(
          lambda: tokenizer.load(named))),
      'words': (worded / 'tokenizer.json', lambda: use_tokenizer(
          lambda: tokenizer.load(worded))),
      'counts.npz': (folder / 'counts.npz', lambda: ngram.load(
          folder / 'counts.npz')),
      'arpa': (folder / 'x.arpa', use_arpa),
      'sentencepiece': (folder / 'x.model', use_model),
      'config.json': (folder / 'run/config.json', lambda: trained.read_config(
          directory.RunDir(folder / 'run'))),
      'run.json': (folder / 'run/run.json', lambda: directory.check(
          folder / 'run', COUNT, {'data': 'f00'})),
      'metrics.jsonl': (folder / 'metrics.jsonl', lambda: writers.read(
          folder / 'metrics.jsonl')),
      'task.json': (folder / 'run/task.json', lambda: tuned.read_splits(
          directory.RunDir(folder / 'run'))),
      'skips.json': (folder / 'skips.json', lambda: skips.Skips.read(folder)),
      'jsonl': (folder / 'x.jsonl', lambda: list(
          sources.JsonLines((text,)).documents())),
      'labels': (folder / 'x.jsonl', lambda: list(
          labelled_lines.JsonLines((text,)).examples())),
      'questions': (folder / 'q.jsonl', lambda: questions.read(
          str(folder / 'q.jsonl'))),
      'csv': (folder / 'x.csv', lambda: list(
          tables.Delimited((str(folder / 'x.csv'),)).documents()))}


def _damage_and_read(tmp_path, subwords, counted, trials, seed):
  for name, (path, read) in _loaders(tmp_path, subwords, counted).items():
    read()  # Whole, it is read.
    whole, outcomes = path.read_bytes(), set()
    rng = random.Random(f'{name} {seed}')
    for trial in range(trials):
      path.write_bytes(_fuzz(whole, rng))
      try:
        read()
        outcomes.add('read')
      except errors.InputError:
        outcomes.add('refused')
      except Exception as error:
        raise AssertionError(
            f'{name}, trial {trial} of seed {seed}: {error!r}') from error
    path.write_bytes(whole)
    assert 'refused' in outcomes, name


def test_random_bytes_are_refused_or_harmless(tmp_path, subwords, counted):
  _damage_and_read(tmp_path, subwords, counted, 40, 0)


@pytest.mark.slow
@pytest.mark.parametrize('seed', range(1, 9))
def test_more_random_bytes(tmp_path, subwords, counted, seed):
  _damage_and_read(tmp_path, subwords, counted, 400, seed)


def test_a_small_archive_is_not_unpacked_whole(tmp_path, monkeypatch):
  monkeypatch.setattr(files, '_MAX_FILE_BYTES', 1000)
  path = tmp_path / 'x.txt.gz'
  path.write_bytes(gzip.compress(b'a' * 1001))
  refused(lambda: list(sources.TextFiles((str(path),)).documents()),
          match='larger than')
  path.write_bytes(gzip.compress(b'a' * 1000))
  assert list(sources.TextFiles((str(path),)).documents()) == ['a' * 1000]
