r"""Fills the masks in a text with a bidirectional model.

  python experiments/fill_mask.py --workdir=runs/mlm --text='The [MASK] sat.'
  python experiments/fill_mask.py --workdir=runs/mlm --texts_file=texts.txt \
      --top_k=3 --json

The run has to be made by experiments/pretrain.py with MaskedLM or another
objective that masks. --json prints a line for each text instead of a table.
"""
import dataclasses
import json

from absl import flags
from lmjax.core import cli
from lmjax.core import errors
from lmjax.core import terminal
from lmjax.evaluation import report
from lmjax.generation import fill
from lmjax.recipes import given
from lmjax.recipes.loaded import trained as trained_lib


def fill_mask(trained: trained_lib.Trained, texts: list[str], top_k: int = 5
              ) -> list[list[fill.Fill]]:
  """Returns candidates for every mask of each text, the most likely first.

  A blank text has no mask and no candidates.
  """
  some = [text for text in texts if text.strip()]
  found = iter(fill.fill(
      trained.model, trained.params, trained.tokenizer, some, top_k=top_k))
  return [next(found) if text.strip() else [] for text in texts]


def show(text: str, fills: list[fill.Fill]) -> None:
  """Prints a text and a table with a column for each of its masks."""
  print(terminal.printable(text))
  if not fills:
    return
  columns = [''] + [f'mask {i}' for i in range(1, len(fills) + 1)]
  rows = [[str(rank + 1)] + [
      f'{terminal.printable(each.texts[rank])!r} {each.probabilities[rank]:.1%}'
      for each in fills] for rank in range(len(fills[0].texts))]
  report.display(report.grid(columns, rows))


def main(_):
  if (_TEXT.value is None) == (_TEXTS.value is None):
    raise errors.InputError('Give either --text or --texts_file.')
  texts = [_TEXT.value] if _TEXTS.value is None else _READ(_TEXTS.value)
  trained = trained_lib.load(_WORKDIR.value, _STEP.value)
  for index, (text, fills) in enumerate(zip(
      texts, fill_mask(trained, texts, _TOP_K.value))):
    if _JSON.value:
      print(json.dumps({'index': index, 'text': text, 'masks': [
          dataclasses.asdict(each) for each in fills]}))
    else:
      show(text, fills)


if __name__ == '__main__':
  _WORKDIR = cli.path_flag(
      'workdir', None, 'Directory of the run.', required=True)
  _STEP = flags.DEFINE_string(
      'step', 'best', "A checkpoint's number, best or latest.")
  _TEXT = flags.DEFINE_string('text', None, 'A text with [MASK] in it.')
  _TEXTS = cli.path_flag(
      'texts_file', None, 'File with one such text per line, or - for stdin.')
  _READ = given.define('text')
  _TOP_K = flags.DEFINE_integer(
      'top_k', 5, 'Number of candidates per mask.', lower_bound=1)
  _JSON = flags.DEFINE_bool('json', False, 'Print JSON lines.')
  cli.run(main)
