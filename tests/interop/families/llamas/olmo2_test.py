"""OLMo 2 normalises the queries and keys of all heads together."""
from lmjax.interop import families
from tests.reference import families as references


def test_norms_have_the_size_of_all_heads():
  family = families.FAMILIES['olmo2']
  config = family.config(references.FAMILIES['olmo2'].size)
  rows = {row.names[0]: row for row in family.rows(config)}
  row = rows['model.layers.0.self_attn.k_norm.weight']
  assert row.file_shapes([(2, 8)]) == ((16,),)
