"""A folder of weights is opened without reading them."""
import pytest

from lmjax.core import errors
from lmjax.interop import checkpoint
from tests.reference import published


def test_a_folder_without_a_config_is_refused(tmp_path):
  with pytest.raises(errors.InputError, match='should have a config.json'):
    checkpoint.open_source(tmp_path)


def test_a_missing_source_is_refused(tmp_path):
  with pytest.raises(errors.InputError, match='does not exist'):
    checkpoint.open_source(tmp_path / 'none')


@pytest.mark.parametrize(
    'content', ['', '[]', '{"a": 1, "a": 2}', '{"a": NaN}'])
def test_a_damaged_config_is_refused(tmp_path, content):
  (tmp_path / 'config.json').write_text(content)
  with pytest.raises(errors.InputError, match='cannot be read'):
    checkpoint.open_source(tmp_path)


def test_older_files_say_in_config_json_how_texts_continue(tmp_path):
  published.llama(tmp_path / 'old', bad_words_ids=[[3]], num_beams=4)
  found = checkpoint.open_source(tmp_path / 'old').generation
  assert found == {
      'eos_token_id': 256, 'bad_words_ids': [[3]], 'num_beams': 4}
  published.llama(tmp_path / 'new', {'eos_token_id': 3}, num_beams=4,
                  decoder_start_token_id=5)
  found = checkpoint.open_source(tmp_path / 'new').generation
  assert found == {'eos_token_id': 3, 'decoder_start_token_id': 5}
