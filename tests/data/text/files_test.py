"""Reading text files, and the sentence that each kind of damage gets."""
import collections
import gzip
import hashlib
import os
import threading

import pytest

from lmjax.core import errors
from lmjax.data.text import files


def _write(path, raw: bytes) -> str:
  path.write_bytes(gzip.compress(raw) if path.suffix == '.gz' else raw)
  return str(path)


def _lines(path, on_bad_text='fail', limit=1000):
  counts = collections.Counter()
  return list(files.lines(path, on_bad_text, limit, counts)), dict(counts)


def _read(path, on_bad_text='fail'):
  counts = collections.Counter()
  return files.read(path, on_bad_text, counts), dict(counts)


@pytest.mark.parametrize('name', ['a.txt', 'a.txt.gz'])
def test_text_is_read_unchanged(tmp_path, name):
  path = _write(tmp_path / name, b'\xef\xbb\xbfone\r\n\ntw\xc3\xb6\n three')
  assert _read(path) == ('one\r\n\ntwö\n three', {})
  assert _lines(path)[0] == [(1, 'one'), (2, ''), (3, 'twö'), (4, ' three')]


def test_globs_are_sorted_and_no_file_comes_twice(tmp_path):
  for name in 'b.txt', 'a.txt', 'c.log':
    _write(tmp_path / name, b'x')
  found = files.expand([f'{tmp_path}/c.log', f'{tmp_path}/*'])
  assert [os.path.basename(path) for path in found] == [
      'c.log', 'a.txt', 'b.txt']


@pytest.mark.parametrize('name', ['lr=[1,2]', 'a*', 'a?b', '{x}', '~', '\\'])
def test_the_name_of_a_folder_is_no_glob(tmp_path, name):
  for folder in name, 'axb':
    (tmp_path / folder / 'inner').mkdir(parents=True)
    (tmp_path / folder / 'inner' / 'a.txt').write_text('text')
  path = f'{tmp_path}/{name}/inner/a.txt'
  assert files.expand([f'{tmp_path}/{name}/*/a*']) == [path]
  assert files.expand([f'{tmp_path}/{name}/**/*.txt']) == [path]


def test_a_name_with_glob_letters_is_a_file_first(tmp_path):
  path = _write(tmp_path / 'a[1].txt', b'x')
  assert files.expand([path]) == [path]


def test_a_pipe_is_read_and_refused_where_it_is_read_again(tmp_path):
  path = str(tmp_path / 'pipe')
  os.mkfifo(path)
  assert files.expand([path, '-', '/dev/stdin']) == [path, '-', '/dev/stdin']
  writer = threading.Thread(
      target=(tmp_path / 'pipe').write_bytes, args=[b'a\nb'])
  writer.start()
  assert _lines(path)[0] == [(1, 'a'), (2, 'b')]
  writer.join()
  for once in path, '-':
    for again in files.fingerprint, files.contents:
      with pytest.raises(errors.InputError, match='only once.*to a file'):
        again([once])


@pytest.mark.parametrize('paths, message', [
    ([], 'paths is empty'),
    (['{}/inptu.txt'], "Did you mean '.*input.txt'"),
    (['{}/*.json'], 'No file'),
    (['{}/no/input.txt'], 'no folder'),
    (['{}'], 'is a folder'),
    (['{}/zero.txt'], r'zero.txt is empty \(0 bytes\)'),
])
def test_paths_without_text_are_refused(tmp_path, paths, message):
  _write(tmp_path / 'input.txt', b'x')
  _write(tmp_path / 'zero.txt', b'')
  with pytest.raises(errors.InputError, match=message):
    files.expand([path.format(tmp_path) for path in paths])


def test_bytes_that_are_not_utf8_are_placed_or_handled(tmp_path):
  path = _write(tmp_path / 'a.txt', b'good\nb\xff\xfed\nlast\n')
  for read in _read, _lines:
    with pytest.raises(errors.InputError,
                       match='a.txt:2: invalid UTF-8 at byte 6 of the file'):
      read(path)
  repaired = {'lines of bad text repaired': 1}
  skipped = {'lines of bad text skipped': 1}
  assert _read(path, 'replace') == ('good\nb\ufffd\ufffdd\nlast\n', repaired)
  assert _read(path, 'skip') == ('good\nlast\n', skipped)
  lines, counts = _lines(path, 'replace')
  assert (lines[1], counts) == ((2, 'b\ufffd\ufffdd'), repaired)
  assert _lines(path, 'skip') == ([(1, 'good'), (3, 'last')], skipped)


@pytest.mark.parametrize('encoding', [
    'latin-1', 'cp1252', 'utf-8', 'utf-8-sig', 'utf-16', 'utf-16-be', 'utf-32'])
def test_lines_are_read_in_their_encoding(tmp_path, encoding):
  raw = 'déjà\r\n\n£5\nlast'.encode(encoding)
  for name in 'a.txt', 'a.txt.gz':
    path = _write(tmp_path / name, raw)
    assert list(files.lines(path, 'fail', 99, collections.Counter(), encoding)
                ) == [(1, 'déjà'), (2, ''), (3, '£5'), (4, 'last')]


@pytest.mark.parametrize('encoding, raw, message', [
    ('utf-8', 'a\né\n'.encode('latin-1'),
     'a.txt:2: invalid UTF-8 at byte 2 of .*set encoding .*latin-1.*on_bad'),
    ('utf-8', 'a\n'.encode('utf-16-le'), 'byte 1 .*is NUL.*encoding=utf-16'),
    ('utf-8', '中'.encode('utf-16'), 'a.txt:1: invalid.*such as utf-16,'),
    ('utf-16', 'a\n'.encode('utf-16') + b'\x00\xd8b\x00\n\x00',
     'a.txt:2: invalid UTF-16; set'),
    ('utf-16', 'a\nb'.encode('utf-16')[:-1], 'a.txt:2: invalid UTF-16'),
])
def test_a_wrong_encoding_is_answered_with_the_option_to_set(
    tmp_path, encoding, raw, message):
  path = _write(tmp_path / 'a.txt', raw)
  with pytest.raises(errors.InputError, match=message):
    list(files.lines(path, 'fail', 99, collections.Counter(), encoding))


def test_bad_text_in_utf16_is_replaced_or_skipped_by_lines(tmp_path):
  path = _write(tmp_path / 'a.txt', b'\xff\xfea\0\n\0x\0\x00\xd8\n\0z\0')
  read = lambda how: [line for _, line in files.lines(
      path, how, 99, collections.Counter(), 'utf-16')]
  assert read('replace') == ['a', 'x\ufffd', 'z']
  assert read('skip') == ['a', 'z']


def test_memory_is_bounded_by_the_longest_line_in_utf16(tmp_path):
  path = _write(tmp_path / 'a.txt', 'ab\nxxxxxxxxxxxxx\nc'.encode('utf-16'))
  assert list(files.lines(path, 'skip', 9, collections.Counter(), 'utf-16')
              ) == [(1, 'ab'), (3, 'c')]


def test_binary_files_are_refused(tmp_path):
  path = _write(tmp_path / 'a.txt', b'fine\nx\0y\n')
  for read in _read, _lines:
    with pytest.raises(errors.InputError, match='a.txt:2: not text: byte 6 of'):
      read(path)


def test_memory_is_bounded_by_the_longest_line(tmp_path):
  path = _write(tmp_path / 'a.txt', b'ab\n' + b'x' * 35 + b'\n' + b'y' * 10)
  with pytest.raises(errors.InputError, match='a.txt:2: .*max_line_bytes=10'):
    _lines(path, limit=10)
  assert _lines(path, 'skip', limit=10) == (
      [(1, 'ab'), (3, 'y' * 10)], {'over-long lines skipped': 1})


@pytest.mark.parametrize('damage, message', [
    (lambda raw: raw[:len(raw) // 2], 'truncated'),
    (lambda raw: raw[:-4], 'truncated'),
    (lambda raw: raw[:-6] + b'xx' + raw[-4:], 'not an intact gzip file'),
    (lambda raw: b'plain text', 'not an intact gzip file'),
], ids=['half', 'tail', 'checksum', 'plain'])
def test_damaged_gzip_files_are_refused(tmp_path, damage, message):
  path = tmp_path / 'a.gz'
  raw = gzip.compress(os.urandom(20_000).hex().encode())
  path.write_bytes(damage(raw))
  for read in _read, lambda path: _lines(path, limit=10**6):
    with pytest.raises(errors.InputError, match=f'a.gz is {message}'):
      read(str(path))


def test_fingerprints_see_any_edit(tmp_path):
  path = tmp_path / 'a.txt'
  seen = []
  for text in 'aaaa', 'aaab', 'aaaaa':
    _write(path, text.encode())
    os.utime(path, ns=(0, 0))  # Even if the clock stands still.
    seen.append(files.fingerprint([str(path)])[0])
  assert seen[0]['ends'] != seen[1]['ends']
  assert seen[0]['bytes'] != seen[2]['bytes']
  assert files.fingerprint([str(path)])[0] == seen[2]
  os.utime(path, ns=(0, 1))
  assert files.fingerprint([str(path)])[0] != seen[2]


def test_contents_are_named_below_their_folder_and_see_every_byte(
    tmp_path, monkeypatch):
  (tmp_path / 'a').mkdir()
  (tmp_path / 'b').mkdir()
  paths = [_write(tmp_path / name / 'x.txt', b'y' * 400_000) for name in 'ab']
  one, = files.contents(paths[:1]).items()
  sha = hashlib.sha256(b'y' * 400_000).hexdigest()[:12]
  assert one == ('x.txt', f'400,000 bytes, sha {sha}')
  monkeypatch.chdir(tmp_path)
  both = files.contents([paths[0], 'b/x.txt'])
  assert both == {'a/x.txt': one[1], 'b/x.txt': one[1]}
  _write(tmp_path / 'b' / 'x.txt', b'y' * 200_000 + b'z' + b'y' * 199_999)
  assert files.contents(paths)['b/x.txt'] != one[1]  # Far from both ends.
  assert files.contents(paths)['a/x.txt'] == one[1]
