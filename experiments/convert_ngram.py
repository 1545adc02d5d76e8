r"""Converts n-gram models between runs and ARPA files.

  python experiments/convert_ngram.py --workdir=runs/ptb_kn5 --out=kn5.arpa.gz
  python experiments/convert_ngram.py --arpa=kn5.arpa.gz --workdir=runs/kn5
  python experiments/evaluate.py --workdir=runs/kn5 \
      --config.data.kind=TextFiles --config.data.paths=test.txt \
      --config.data.split_on=line

With --out, the model of a run is written as an ARPA file, which SRILM and KenLM
read: a run of pretrain.py whose config is of the kind Count, such as ptb_kn5.
With --arpa, such a file becomes a run, whose text is in words.
"""
from absl import flags
from lmjax.core import cli
from lmjax.core import errors
from lmjax.recipes import arpa_files


def main(_):
  if (_OUT.value is None) == (_ARPA.value is None):
    raise errors.InputError(
        'Give either --out, the file to write, or --arpa, the file to read.')
  if _OUT.value is not None:
    for note in arpa_files.write(_WORKDIR.value, _OUT.value, _IDS.value):
      print(note)
    print(f'ARPA file: {_OUT.value}')
  else:
    model = arpa_files.read(_ARPA.value, _WORKDIR.value)
    counts = ', '.join(
        f'{count:,} {order}-grams'
        for order, count in enumerate(model.num_ngrams, 1))
    print(f'{counts}\nrun: {_WORKDIR.value}')


if __name__ == '__main__':
  _WORKDIR = cli.path_flag(
      'workdir', None, 'Directory of the run.', required=True)
  _OUT = cli.path_flag('out', None, 'ARPA file to write, plain or .gz.')
  _ARPA = cli.path_flag('arpa', None, 'ARPA file to read, plain or .gz.')
  _IDS = flags.DEFINE_bool('ids', False, 'Write ids instead of words.')
  cli.run(main)
