"""Makes golden logits of families: python -m tests.golden.families.make gpt2

The argument is the name of a JSON file beside this one, with the fields of a
config of `transformers`; `architectures` has the class of the model.
"""
import json
import pathlib
import sys
import tempfile

import numpy as np
import safetensors.numpy
import torch
import transformers

from tests.reference import golden

LENGTH = 24


def make(name: str) -> None:
  """Writes the golden file of a family."""
  fields = json.loads((golden.FOLDER / f'{name}.json').read_text())
  config = transformers.AutoConfig.for_model(**fields)
  config._attn_implementation = 'eager'
  reference = getattr(transformers, fields['architectures'][0])(config).eval()
  tree = json.loads(config.to_json_string(use_diff=False))
  fixed = dict(reference.named_buffers()).keys() | {
      tensor for tensor, parameter in reference.named_parameters()
      if not parameter.requires_grad}
  with tempfile.TemporaryDirectory() as folder:
    reference.save_pretrained(folder)  # Its files name tensors as we do.
    path = pathlib.Path(folder) / 'model.safetensors'
    arrays = safetensors.numpy.load_file(path)
    drawn = arrays.keys() - fixed
    arrays |= {tensor: golden.weight(tensor, arrays[tensor].shape)
               for tensor in drawn}
    safetensors.numpy.save_file(arrays, path, {'format': 'pt'})
    reference = type(reference).from_pretrained(
        folder, attn_implementation='eager', dtype=torch.float32).eval()
  ids_BT = np.random.default_rng(0).integers(
      5, config.vocab_size, (1, LENGTH))
  inputs = {'input_ids': torch.from_numpy(ids_BT)}
  if config.is_encoder_decoder:
    inputs['decoder_input_ids'] = inputs['input_ids']
  with torch.no_grad():
    logits_BTV = reference(**inputs).logits.numpy()
  golden.save(name, tree, ids=ids_BT.astype(np.int32), logits=logits_BTV,
              names=np.array(sorted(drawn), 'S'))


if __name__ == '__main__':
  for argument in sys.argv[1:]:
    make(argument)
