"""Trials of starts that have to be refused: changed configs, data, bad text."""
import gzip

from lmjax.testing import faults
from survival import bench as bench_lib

STRUCTURE = (
    ('--config.model.width=64', 'model.width'),
    ('--config.model.num_layers=2', 'model.num_layers'),
    ('--config.optimizer.kind=Lion', 'optimizer'))
MEANING = (
    ('--config.optimizer.learning_rate=0.01', 'optimizer.learning_rate'),
    ('--config.training.seed=5', 'training.seed'),
    ('--config.data.batch_size=4', 'data.batch_size'))
LOOKS = ('--config.samples.seed=5', '--config.training.keep_last=3')
TOKENIZER = '--config.data.tokenizer.kind=Characters'
PARAGRAPHS = '--config.data.source.split_on=paragraph'


def changed(flags):
  """Returns the trial that continues a run with another config."""
  def run(bench, rng):
    del rng
    for flag, field in flags:
      workdir = bench.half()
      with bench_lib.untouched(workdir, 'cache'):
        bench.run(workdir, flag, code=bench_lib.REFUSED,
                  says=[field, 'saved -> now'])
    return len(flags)
  return run


def overridden(bench, rng):
  """Changes a semantic field with --override; the change takes effect."""
  del rng
  flag, field = MEANING[0]
  workdir = bench.half()
  bench.run(workdir, flag, f'--override={field}')
  rates = [row['learning_rate'] for row in bench_lib.rows(workdir)
           if 'learning_rate' in row]
  assert max(rates) > 2 * max(rates[:20]), f'The rates: {rates}.'
  return 1


def looks(bench, rng):
  """Changes fields that do not affect results."""
  del rng
  for flag in LOOKS:
    workdir = bench.half()
    bench.run(workdir, flag)
    bench.same(workdir)
  return len(LOOKS)


def size(bench, rng):
  """Starts with --expect_params and a model of another size."""
  del rng
  workdir = bench.fresh('size')
  bench.run(workdir, '--expect_params=124000000', code=bench_lib.REFUSED,
            says=['124,000,000'])
  _no_run(workdir)
  return 1


def data_changed(bench, rng):
  """Changes the text of a run: a word, its end, its time of change."""
  text = bench.folder / f'changing-{rng.integers(1 << 30)}.txt'
  flag = f'--config.data.source.paths={text}'
  text.write_bytes(bench.text.read_bytes())
  first = bench.fresh('data')
  faults.kill_at_step(bench.command(first, flag), 10, bench_lib.metrics(first),
                      env=bench.environment)
  sound = text.read_text()
  for changed_text in (sound.replace('Line 7 ', 'Line 8 '),
                       sound[:-200], sound + '\n\nOne more.'):
    text.write_text(changed_text)
    with bench_lib.untouched(first, 'cache'):
      bench.run(first, flag, code=bench_lib.REFUSED,
                says=['data', 'saved -> now'])
  text.write_text(sound)
  bench.run(first, flag)  # The time of change does not matter.
  bench.same(first)
  return 4


def tokens_damaged(bench, rng, trials=4):
  """Truncates the tokenized text, or flips a bit of it."""
  for trial in range(trials):
    workdir = bench.half()
    tokens = max(workdir.rglob('tokens.bin'), key=lambda p: p.stat().st_size)
    if trial % 2:
      faults.truncate(tokens, 0.9)
    else:
      faults.flip_bit(tokens, rng)
    bench.run(workdir, code=bench_lib.REFUSED, says=[str(tokens.parent)])
  return trials


def bad_text(bench, rng):
  """Uses text that is not UTF-8, or binary."""
  folder = bench.fresh('text')
  folder.mkdir()
  lines = bench.text.read_bytes().split(b'\n')
  at = int(rng.integers(1, len(lines)))
  for name, line, says in (
      ('latin', b'caf\xe9 au lait', 'invalid UTF-8'),
      ('cut', '\N{SNOWMAN}'.encode()[:2], 'invalid UTF-8'),
      ('binary', b'a\0b', 'NUL')):
    path = folder / f'{name}.txt'
    path.write_bytes(b'\n'.join([*lines[:at], line, *lines[at:]]))
    source = f'--config.data.source.paths={path}'
    workdir = bench.fresh('bad')
    where = [str(path), says] + [f'{path}:{at + 1}:'] * (says != 'NUL')
    bench.run(workdir, source, code=bench_lib.REFUSED, says=where)
    _no_run(workdir)
  return 3


def bad_text_skipped(bench, rng):
  """Uses text that is not UTF-8, with on_bad_text set."""
  del rng
  path = bench.fresh('text')
  path.write_bytes(b'caf\xe9 au lait\n\n' + bench.text.read_bytes())
  for policy in 'replace', 'skip':
    bench.run(
        bench.fresh('bad'), f'--config.data.source.paths={path}',
        f'--config.data.source.on_bad_text={policy}',
        '--config.training.steps=12', says=['1 lines of bad text'])
  return 2


def bad_shards(bench, rng):
  """Uses shards that are truncated, flipped, empty, blank or absent."""
  del rng
  folder = bench.fresh('shards')
  folder.mkdir()
  raw = bench.text.read_bytes()
  (folder / 'cut.txt.gz').write_bytes(gzip.compress(raw)[:-100])
  (folder / 'flipped.txt.gz').write_bytes(_flipped(gzip.compress(raw)))
  (folder / 'empty.txt').write_bytes(b'')
  (folder / 'blank.txt').write_bytes(b' \n\n' * 50)
  (folder / 'rows.jsonl').write_bytes(b'{"text": "sound"}\n{"text": "cut o')
  names = ['cut.txt.gz', 'flipped.txt.gz', 'empty.txt', 'blank.txt',
           'rows.jsonl', 'absent.txt']
  for name in names:
    kind = (['--config.data.source.kind=JsonLines'] if name == 'rows.jsonl'
            else [])
    workdir = bench.fresh('bad')
    bench.run(
        workdir, *kind, f'--config.data.source.paths={folder / name}',
        code=bench_lib.REFUSED, says=[] if name == 'blank.txt' else [name])
    _no_run(workdir)
  return len(names)


def _flipped(data):
  data = bytearray(data)
  data[len(data) // 2] ^= 4
  return bytes(data)


def _no_run(workdir):
  """Raises AssertionError if a refused start has left files of a run."""
  left = [name for name in ('config.json', 'checkpoints', 'metrics.jsonl')
          if (workdir / name).exists()]
  assert not left, f'Refused, but {left} are there.'


FAULTS = [
    bench_lib.Fault(
        'structure', 'another model or optimizer than the run has',
        'refused, exit code 2: field, saved -> now', changed(STRUCTURE)),
    bench_lib.Fault(
        'meaning', 'another learning rate, seed or batch size',
        'refused, exit code 2: field, saved -> now', changed(MEANING)),
    bench_lib.Fault(
        'override', '... with --override', 'continues with it', overridden),
    bench_lib.Fault(
        'looks', 'another logging or sampling', 'continues, bit for bit', looks),
    bench_lib.Fault(
        'tokenizer', 'another tokenizer than the run has',
        'refused, exit code 2', changed([(TOKENIZER, 'tokenizer')])),
    bench_lib.Fault(
        'data', 'other text under the run', 'refused, exit code 2',
        data_changed),
    bench_lib.Fault(
        'tokens', 'tokenized text cut, or a bit of it flipped',
        'refused, exit code 2', tokens_damaged),
    bench_lib.Fault(
        'size', 'another model size than --expect_params',
        'refused, exit code 2', size),
    bench_lib.Fault(
        'utf8', 'invalid UTF-8, binary files',
        'refused, exit code 2: file:line, byte', bad_text),
    bench_lib.Fault(
        'utf8_skipped', '... with on_bad_text', 'counted and reported',
        bad_text_skipped),
    bench_lib.Fault(
        'shards', 'shards cut, flipped, empty, blank or absent',
        'refused, exit code 2, naming the file', bad_shards),
]
