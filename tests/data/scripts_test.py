"""Scripts that do not separate words, told by their letters."""
import pytest

from lmjax.data import scripts


@pytest.mark.parametrize('text, count', [
    ('The cat, 3 mats.', 0), ('Grüße, мир, γειά, हिन्दी, 한국어', 0),
    ('漢字、仮名。', 4), ('ひらがなとカタカナー', 10), ('ｶﾀ', 2), ('人々', 2),
    ('ภาษาไทย', 7), ('ລາວ ខ្មែរ မြန်မာ བོད་', 17), ('𠀀😀', 1), ('', 0)])
def test_letters_and_marks_of_such_scripts_are_counted(text, count):
  assert scripts.count(text) == count
