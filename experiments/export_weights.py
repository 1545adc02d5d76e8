r"""Exports the model of a run for other software.

  python experiments/export_weights.py --workdir=runs/demo --to=exported
  python experiments/export_weights.py --workdir=runs/smol --to=exported \
      --dtype=bfloat16 --family=llama
  python experiments/export_weights.py --workdir=runs/smol --to=smol.gguf \
      --dtype=q8_0

A folder has config.json, weights as safetensors, the tokenizer's files, a model
card with the run's results, and a certificate: what the model computes for a
text, with which any other software can be compared. `transformers` loads it as
it is. A name that ends in .gguf becomes a GGUF file, for llama.cpp.
"""
from absl import flags
from lmjax.core import cli
from lmjax.core import errors
from lmjax.interop import families
from lmjax.recipes import exporting

_FOLDER = ('float32', 'bfloat16', 'float16')
_GGUF = {'float32': 'F32', 'float16': 'F16', 'q8_0': 'Q8_0'}


def main(_):
  gguf = _TO.value.endswith('.gguf')
  if _DTYPE.value not in (_GGUF if gguf else _FOLDER):
    raise errors.InputError(
        f'--dtype={_DTYPE.value} is not for a '
        f'{"GGUF file" if gguf else "folder"}; choose from '
        f'{", ".join(_GGUF if gguf else _FOLDER)}.')
  how = dict(step=_STEP.value, model_type=_FAMILY.value)
  if gguf:
    family = exporting.export_gguf(
        _WORKDIR.value, _TO.value, kind=_GGUF[_DTYPE.value], **how)
  else:
    family = exporting.export(
        _WORKDIR.value, _TO.value, dtype=_DTYPE.value, **how)
  print(f'{family.name}: {_TO.value}')


if __name__ == '__main__':
  _WORKDIR = cli.path_flag(
      'workdir', None, 'Directory of the run.', required=True)
  _TO = cli.path_flag(
      'to', None, 'The new folder, or file ending in .gguf.', required=True)
  _STEP = flags.DEFINE_string(
      'step', 'best', "A checkpoint's number, best or latest.")
  _DTYPE = flags.DEFINE_enum(
      'dtype', 'float32', [*_FOLDER, 'q8_0'], 'Type of the numbers; the narrow '
      'ones are rounded, and q8_0 is for GGUF files.')
  _FAMILY = flags.DEFINE_enum(
      'family', None, list(families.FAMILIES), 'The family; by default, the '
      "run's own if it was imported, or the first that fits.")
  cli.run(main)
