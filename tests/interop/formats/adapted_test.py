"""An adapted file has what a folder of Hugging Face's has."""
from lmjax.interop.formats import adapted


def test_a_file_without_a_tokenizer_has_no_vocabulary():
  found = adapted.Adapted({'model_type': 'llama'}, {})
  assert not found.vocabulary and not found.generation
