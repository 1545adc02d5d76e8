r"""Turns texts into vectors, and finds similar texts.

  python experiments/embed.py --workdir=runs/demo --texts_file=texts.txt \
      --out=vectors.npy
  python experiments/embed.py --workdir=runs/demo --texts_file=texts.txt \
      --query='a list of names' --top_k=3
  python experiments/embed.py --workdir=runs/demo --pairs_file=sts.tsv

The hidden states of the run's model, fine-tuned or not, are pooled. Each line of
a pairs file has two texts, separated by a tab, and optionally a human score as
a third column; then Spearman's correlation of cosines and scores is printed.
"""
from absl import flags
from lmjax.core import cli
from lmjax.core import errors
from lmjax.core import terminal
from lmjax.evaluation.downstream import correlations
from lmjax.evaluation import embeddings
from lmjax.evaluation import report
from lmjax.nn import readout
from lmjax.recipes import given
from lmjax.recipes.loaded import loading


def neighbours(run, texts, query, pooling, top_k) -> None:
  """Prints the texts nearest to a query."""
  cosines, places = embeddings.nearest(
      run.embed([query], pooling), run.embed(texts, pooling), top_k)
  report.display(report.grid(['text', 'line', 'cosine'], [
      [terminal.printable(texts[place]), f'{place + 1}', f'{cosine:.3f}']
      for cosine, place in zip(cosines[0], places[0])]))


def compare(run, lines, pooling) -> None:
  """Prints the cosine of each pair, and the correlation with given scores."""
  rows = [line.split('\t') for line in lines]
  for number, row in enumerate(rows, 1):
    if len(row) not in (2, 3) or len(row) != len(rows[0]):
      raise errors.InputError(
          'Each line of a pairs file should have two texts, or two texts and a '
          f'score, separated by tabs; line {number} has {len(row)} columns, '
          f'line 1 has {len(rows[0])}.')
  a, b = (run.embed([row[i] for row in rows], pooling) for i in (0, 1))
  cosines = [float(embeddings.similarity(x[None], y[None])[0, 0])
             for x, y in zip(a, b)]
  for row, cosine in zip(rows, cosines):
    print(terminal.printable(f'{cosine:.4f}\t{row[0]}\t{row[1]}'))
  if len(rows[0]) == 3:
    try:
      scores = [float(row[2]) for row in rows]
    except ValueError as error:
      raise errors.InputError(
          f'The third column should be numbers: {error}.') from None
    found = correlations.spearman(cosines, scores, ('cosines', 'scores'))
    error = '' if found.stderr is None else f' ± {found.stderr:.4f}'
    why = found.why and f' (undefined: {found.why})'
    print(f'Spearman: {report.number(found.value, 4)}{error} over '
          f'{len(rows)} pairs{why}')


def main(_):
  if (_TEXTS.value is None) == (_PAIRS.value is None):
    raise errors.InputError('Give either --texts_file or --pairs_file.')
  lines = (_READ(_TEXTS.value) if _PAIRS.value is None
           else _READ(_PAIRS.value, 'lines'))
  run = loading.load(_WORKDIR.value, _STEP.value)
  if _PAIRS.value:
    compare(run, lines, _POOLING.value)
  elif _QUERY.value is not None:
    neighbours(run, lines, _QUERY.value, _POOLING.value, _TOP_K.value)
  elif _OUT.value is None:
    raise errors.InputError('Give --out=FILE.npy for the vectors, or --query.')
  else:
    with cli.writing(_OUT.value, 'wb') as file:
      embeddings.save(file, run.embed(lines, _POOLING.value))
    print(f'{len(lines)} vectors: {_OUT.value}')


if __name__ == '__main__':
  _WORKDIR = cli.path_flag(
      'workdir', None, 'Directory of the run.', required=True)
  _STEP = flags.DEFINE_string(
      'step', 'best', "A checkpoint's number, best or latest.")
  _TEXTS = cli.path_flag(
      'texts_file', None, 'File with one text per line, or - for stdin.')
  _PAIRS = cli.path_flag('pairs_file', None, 'File of pairs of texts.')
  _READ = given.define('text')
  _QUERY = flags.DEFINE_string('query', None, 'Text whose neighbours to find.')
  _TOP_K = flags.DEFINE_integer('top_k', 5, 'Neighbours to find.', 1)
  _POOLING = flags.DEFINE_enum(
      'pooling', None, sorted(readout.POOLING), 'How to pool tokens; by default '
      'as the published model does if the run was imported, and by their mean '
      'otherwise.')
  _OUT = cli.path_flag('out', None, 'The .npy file for the vectors.')
  cli.run(main)
