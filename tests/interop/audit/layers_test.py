from lmjax.interop.audit import layers
from lmjax.models.presets import decoders
from lmjax.nn import layers as layers_lib
from lmjax.nn.mixture import experts


def readings(part):
  return list(layers.READINGS[type(part)](part, None, 64))


def test_norms_with_the_same_parameters_replace_each_other():
  assert ('', layers_lib.RMSNorm(epsilon=1e-5)) in readings(
      layers_lib.LayerNorm(bias=False))
  assert ('', layers_lib.LayerNorm(epsilon=1e-6, bias=False)) in readings(
      layers_lib.RMSNorm())
  assert all(field for field, _ in readings(layers_lib.LayerNorm()))
  assert all(field for field, _ in readings(layers_lib.RMSNorm(axes=2)))


def test_scales_are_read_as_differences_from_one():
  assert ('around_one', layers_lib.RMSNorm(around_one=True)) in readings(
      layers_lib.RMSNorm())


def test_every_other_activation_is_a_reading():
  found = [part.activation for _, part in readings(
      layers_lib.MLPConfig(activation='silu'))]
  assert sorted(found + ['silu']) == sorted(layers_lib.ACTIVATIONS)


def test_experts_are_read_with_other_numbers_of_experts():
  found = readings(experts.MixtureOfExperts(top_k=2))
  assert {part.top_k for field, part in found if field == 'top_k'} == {3, 4}
  assert [part.normalize for field, part in found if field == 'normalize'] == [
      False]


def test_gate_and_input_are_exchanged_where_there_is_a_gate():
  llama = decoders.llama(8, 1, 2, 2, 16, vocab_size=9, context=8)
  given = {'layer_0': {'mlp': {'in': {'kernel': 1}, 'gate': {'kernel': 2},
                               'out': {'kernel': 3}}}}
  (_, _, _, changed), = layers.WHOLE[0](llama, given)
  assert changed == {'layer_0': {'mlp': {
      'in': {'kernel': 2}, 'gate': {'kernel': 1}, 'out': {'kernel': 3}}}}
  gpt2 = decoders.gpt2(8, 1, 2, vocab_size=9, context=8)
  assert not list(layers.WHOLE[0](gpt2, given))
