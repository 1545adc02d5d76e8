"""The text part of a Gemma 3 that also sees images is read as the model."""
import dataclasses

import pytest

from lmjax.core import errors
from lmjax.interop import families
from lmjax.models.presets import lookup

FAMILY = families.FAMILIES['gemma3']
# The text_config of google/gemma-3-4b-it, which leaves out most fields.
TEXT = {
    'hidden_size': 2560, 'intermediate_size': 10240,
    'model_type': 'gemma3_text', 'num_hidden_layers': 34,
    'rope_scaling': {'factor': 8.0, 'rope_type': 'linear'},
    'sliding_window': 1024}
PUBLISHED = {
    'architectures': ['Gemma3ForConditionalGeneration'],
    'boi_token_index': 255999, 'eoi_token_index': 256000,
    'eos_token_id': [1, 106], 'image_token_index': 262144,
    'initializer_range': 0.02, 'mm_tokens_per_image': 256,
    'model_type': 'gemma3', 'text_config': TEXT,
    'vision_config': {'hidden_size': 1152, 'image_size': 896,
                      'model_type': 'siglip_vision_model'}}


def test_the_published_text_part_is_the_preset():
  found = FAMILY.config(PUBLISHED)
  assert found.vocab_size == 262_208  # 64 more rows than are used.
  assert dataclasses.replace(
      found, vocab_size=262_144) == lookup.named('gemma3_4b')


def test_a_field_of_the_text_part_that_is_not_known_is_refused():
  with pytest.raises(errors.InputError, match='text_config.*spiral'):
    FAMILY.config(PUBLISHED | {'text_config': TEXT | {'spiral': 1}})
