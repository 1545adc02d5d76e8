r"""Predicts on texts with a run that experiments/finetune.py trained.

  python experiments/predict.py --workdir=runs/labels --texts='Parse a date.'
  python experiments/predict.py --workdir=runs/labels --input=texts.txt
  python experiments/predict.py --workdir=runs/labels --input=mine.csv \
      --text=title,body --out=answers.jsonl
  python experiments/predict.py --workdir=runs/labels --input=test.jsonl \
      --label=label
  zcat texts.gz | python experiments/predict.py --workdir=runs/labels --input=-

Writes a JSON line for each input, in order: its number from 0, its text, and the
model's answer as in the run's predictions.jsonl. The answer to an input without
text, such as a blank line, is null. The texts of a pair are in two columns
(--text, --second) or separated by a tab. With --label, the task's metrics are
printed too.
"""
from absl import flags
from lmjax.core import cli
from lmjax.recipes.loaded import loading
from lmjax.recipes.loaded import predicting
from lmjax.recipes.loaded import tuned


def main(_):
  inputs = predicting.Inputs(
      _INPUT.value, tuple(_TEXTS.value), _FORMAT.value, tuple(_TEXT.value),
      tuple(_SECOND.value), _LABEL.value, tuple(_RENAME.value),
      _DELIMITER.value, _HEADER.value, _QUOTED.value,
      _ENCODING.value, _ON_BAD_TEXT.value)
  encoder = _ENCODER.value and loading.load(_ENCODER.value)
  predicting.predict(
      tuned.load(_WORKDIR.value, _STEP.value), inputs, _OUT.value, encoder)


if __name__ == '__main__':
  _WORKDIR = cli.path_flag(
      'workdir', None, 'Directory of the run.', required=True)
  _STEP = flags.DEFINE_string(
      'step', 'best', "A checkpoint's number, best or latest.")
  _INPUT = cli.path_flag(
      'input', None, 'File or pipe of texts, plain or .gz, or - for stdin.')
  _TEXTS = flags.DEFINE_multi_string(
      'texts', [], 'A text, instead of a file; may be repeated.')
  _FORMAT = flags.DEFINE_enum(
      'format', None, sorted(predicting.FORMATS),
      'How the file is written; by default what its name ends in: .csv, .tsv, '
      '.jsonl, or else lines.')
  _TEXT = flags.DEFINE_list(
      'text', ['text'], 'Columns or fields with the text, by name or number.')
  _SECOND = flags.DEFINE_list(
      'second', [], "Columns or fields with a pair's other text.")
  _LABEL = flags.DEFINE_string(
      'label', None, 'Column or field with the label, if there is one.')
  _RENAME = flags.DEFINE_list(
      'rename', [], 'What labels are called here: 0=negative,1=positive.')
  _DELIMITER = flags.DEFINE_string(
      'delimiter', None, 'What separates columns, if not a comma or a tab.')
  _HEADER = flags.DEFINE_bool('header', True, 'The first row names columns.')
  _QUOTED = flags.DEFINE_bool('quoted', True, 'Quotes enclose values.')
  _ENCODING = flags.DEFINE_string(
      'encoding', 'utf-8', 'Encoding of the input, such as latin-1 or utf-16.')
  _ON_BAD_TEXT = flags.DEFINE_enum(
      'on_bad_text', 'fail', ['fail', 'replace'],
      'Refuse text that is not in this encoding, or replace bytes by U+FFFD.')
  _ENCODER = cli.path_flag(
      'encoder', None, 'A run whose vectors tell how close written texts are to '
      'their labels in meaning.')
  _OUT = cli.path_flag('out', None, 'File for JSON lines.')
  cli.run(main)
