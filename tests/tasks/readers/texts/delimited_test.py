"""CSV and TSV files as labelled text."""
import pytest

from lmjax.core import errors
from lmjax.tasks.readers.texts import delimited


def write(tmp_path, name, text):
  path = tmp_path / name
  path.write_text(text)
  return str(path)


def found(reader):
  return [(e.text, e.label) for e in reader.examples()]


def test_delimited_joins_texts_and_renames_labels(tmp_path):
  path = write(tmp_path, 'a.csv', '3,Title,Body\n1,T,"B, b"\n')
  reader = delimited.Delimited(
      (path,), ('1', '2'), '0', header=False, rename=('3=World',))
  assert found(reader) == [('Title Body', 'World'), ('T B, b', '1')]
  assert [e.where for e in reader.examples()] == [f'{path}:1', f'{path}:2']


def test_columns_of_the_second_text_make_a_pair(tmp_path):
  path = write(tmp_path, 'a.csv', 'a,b,c,label\nx,y,z,1\n')
  example, = delimited.Delimited(
      (path,), ('a',), second=('b', 'c')).examples()
  assert example.texts == ('x', 'y z') and example.label == '1'


def test_without_labels_a_row_of_empty_values_is_an_example_too(tmp_path):
  path = write(tmp_path, 'a.csv', 'text,label\na,1\n,\n\nb,2\n')
  assert found(delimited.Delimited((path,))) == [('a', '1'), ('b', '2')]
  assert found(delimited.Delimited((path,), label=None)) == [
      ('a', None), ('', None), ('b', None)]


@pytest.mark.parametrize('text, options, message', [
    ('text,label\na\n', {}, 'x:2: 1 columns'),
    ('text,lable\na,1\n', {}, "no column 'label'.*Did you mean 'lable'"),
    ('text,label\na,1\n', {'second': ('txet',)},
     "no column 'txet'.*Did you mean 'text'"),
])
def test_what_is_wrong_is_named(tmp_path, text, options, message):
  reader = delimited.Delimited((write(tmp_path, 'x', text),), **options)
  with pytest.raises(errors.InputError, match=message):
    list(reader.examples())
