r"""Imports published weights as a run, which every other script can use.

  python experiments/import_weights.py --source=SmolLM2-135M --workdir=runs/smol
  python experiments/import_weights.py --source=model.gguf --workdir=runs/smol
  python experiments/evaluate.py --workdir=runs/smol \
      --config.data.kind=TextFiles --config.data.paths=mine.txt
  python experiments/generate.py --workdir=runs/smol --prompt='The capital of'

--source is a folder as on the Hugging Face Hub, with config.json, weights and
tokenizer, or a GGUF file. Every field of the config and every tensor has to be
accounted for, and the model is then audited: it is scored on a text as its
config says and as rival configs would have it, and refused if a rival is
clearly better (docs/auditing.md).
"""
from absl import flags
from lmjax.core import cli
from lmjax.core.files import user_paths
from lmjax.recipes import importing


def main(_):
  user_paths.check_free(_WORKDIR.value, '--workdir')
  imported, tokenizer, path = importing.load(
      _SOURCE.value, _TOKENIZER.value, _IGNORE.value, _ACCEPT.value)
  print(importing.describe(imported, tokenizer))
  if _AUDIT.value:
    print(importing.audit(imported, tokenizer, _ACCEPT.value, _TEXT.value))
  run = importing.save(imported, tokenizer, path, _WORKDIR.value)
  print(f'run: {run.path}')


if __name__ == '__main__':
  _SOURCE = cli.path_flag(
      'source', None, 'Folder or file with the weights.', required=True)
  _WORKDIR = cli.path_flag(
      'workdir', None, 'Directory of the new run.', required=True)
  _TOKENIZER = cli.path_flag(
      'tokenizer', None, 'Folder or file of the tokenizer, if it is not with '
      'the weights.')
  _IGNORE = flags.DEFINE_multi_string(
      'ignore', [], 'A pattern of names of tensors to leave out, such as '
      "'classifier.*'; may be repeated.")
  _AUDIT = flags.DEFINE_bool(
      'audit', True, 'Whether to compare the config with the weights.')
  _TEXT = cli.path_flag(
      'text', None, 'Text file for the audit, in a language that the model '
      'knows; by default a text in plain English.')
  _ACCEPT = flags.DEFINE_list(
      'accept', [], 'Fields of the config that may be wrong (see audit.py), '
      'or that are left out: auto_map, or those that lmjax does not know.')
  cli.run(main)
