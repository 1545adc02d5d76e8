import dataclasses

import numpy as np

from lmjax.interop.audit import ends
from lmjax.models import parts
from lmjax.models.presets import decoders
from lmjax.models.presets import encoders

LLAMA = decoders.llama(16, 2, 2, 2, 32, vocab_size=20, context=8, tied=False)


def values(part, field):
  return [getattr(changed, name) for name, changed in ends.READINGS[
      type(part)](part, LLAMA, 8) if name == field]


def test_embeddings_are_read_with_and_without_the_width():
  assert values(parts.Embed(), 'scale') == [4.0, 2.0, 0.5]
  assert values(parts.Embed(scale='sqrt_width'), 'scale') == [1.0, 8.0, 2.0]


def test_logits_are_read_with_and_without_a_cap():
  assert values(parts.Head(), 'softcap') == [30.0]
  assert values(parts.Head(softcap=30.0), 'softcap') == [None, 60.0, 15.0]
  assert values(parts.Head(scale='rsqrt_width'), 'scale') == [1.0, 0.5, 0.125]


def test_heads_of_encoders_are_read_with_other_activations():
  assert 'silu' in values(parts.TokenHead(), 'activation')


def test_an_output_layer_may_be_superfluous():
  given = {'embed': {'embedding': np.zeros((20, 16))},
           'head': {'kernel': np.zeros((16, 20))}}
  (field, _, config, params), = ends.WHOLE[0](LLAMA, given)
  assert field == 'head.tied' and config.head.tied
  assert 'head' not in params
  tied = dataclasses.replace(LLAMA, head=parts.Head())
  assert not list(ends.WHOLE[0](tied, given))


def test_shared_layers_are_applied_more_and_less_often():
  albert = encoders.albert(16, 6, 2)
  assert [config.num_layers for _, _, config, _ in ends.WHOLE[1](
      albert, {})] == [5, 7, 12, 3]
  assert not list(ends.WHOLE[1](LLAMA, {}))
