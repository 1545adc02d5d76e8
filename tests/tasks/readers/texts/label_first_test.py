"""Lines that begin with their label."""
import pytest

from lmjax.core import errors
from lmjax.tasks.readers.texts import label_first


def write(tmp_path, name, text):
  path = tmp_path / name
  path.write_text(text)
  return str(path)


def found(reader):
  return [(e.text, e.label) for e in reader.examples()]


def test_label_first_lines(tmp_path):
  path = write(tmp_path, 'a.txt', '0 a bad film .\n\n1 good\n')
  assert found(label_first.LabelFirst((path,), ('0=no', '1=yes'))) == [
      ('a bad film .', 'no'), ('good', 'yes')]


def test_a_tab_ends_a_label_and_separates_a_pair(tmp_path):
  path = write(tmp_path, 'a.txt', '0\ta bad film\tit is bad\n 1 good\tyes\n')
  assert [e.texts + (e.label,) for e in label_first.LabelFirst(
      (path,), texts=2).examples()] == [
          ('a bad film', 'it is bad', '0'), ('good', 'yes', '1')]
  path = write(tmp_path, 'b.txt', '0 a\n')
  with pytest.raises(errors.InputError, match='b.txt:1 should hold 2 texts'):
    list(label_first.LabelFirst((path,), texts=2).examples())


@pytest.mark.parametrize('text, options, message', [
    ('1 good\nbad\n', {}, 'x:2: should be a label'),
    ('1 good\n', {'rename': ('1',)}, "rename.*got '1'"),
    ('', {}, 'is empty'),
])
def test_what_is_wrong_is_named(tmp_path, text, options, message):
  reader = label_first.LabelFirst((write(tmp_path, 'x', text),), **options)
  with pytest.raises(errors.InputError, match=message):
    list(reader.examples())
