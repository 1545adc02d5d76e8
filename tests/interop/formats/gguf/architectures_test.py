"""The table of architectures is consistent."""
from lmjax.interop.formats.gguf import architectures


def test_every_architecture_can_be_chosen():
  """A variant that always applies is the last of its name and type."""
  seen = set()
  for each in architectures.ARCHITECTURES:
    assert each.name not in seen, each
    if each.variant({}, set()):
      seen.add(each.name)
  assert seen == {each.name for each in architectures.ARCHITECTURES}


def test_the_largest_gemmas_scale_attention_by_the_residual_stream():
  gemma2 = next(each for each in architectures.ARCHITECTURES
                if each.model_type == 'gemma2')
  fields = {'hidden_size': 4608, 'num_attention_heads': 32, 'head_dim': 128}
  for layers, scalar in ((42, 128), (46, 144)):
    assert gemma2.extra(None, fields | {'num_hidden_layers': layers}) == {
        'query_pre_attn_scalar': scalar}


def test_a_field_is_set_once():
  for each in architectures.ARCHITECTURES:
    fields = [field for _, field, _ in each.settings]
    keys = [key for key, _, _ in each.settings]
    assert len(set(fields)) == len(fields) and len(set(keys)) == len(keys)
    assert not {*fields} & {*each.constants, *each.present}
    assert {each.width, each.heads, each.layers} <= {*fields}
