"""GPT-2 may compute attention in another order, with the same result."""
import dataclasses

import pytest

from tests.reference import families as references
from tests.reference import parity


@pytest.mark.slow
def test_the_order_of_computing_attention_does_not_matter(tmp_path):
  row = references.FAMILIES['gpt2']
  row = dataclasses.replace(
      row, size={**row.size, 'reorder_and_upcast_attn': True}, wrong=[])
  right, = row.errors(tmp_path)
  assert right < parity.LOGITS
