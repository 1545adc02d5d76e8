"""Entries of a zip file are found where they are, or the file is refused."""
import io
import time
import zipfile
import zlib

import numpy as np
import pytest

from lmjax.interop.formats import zip_entries


def zipped(files, compression=zipfile.ZIP_STORED, force_zip64=False):
  file = io.BytesIO()
  with zipfile.ZipFile(file, 'w', compression) as archive:
    for name, content in files:
      with archive.open(name, 'w', force_zip64=force_zip64) as entry:
        entry.write(content)
  return file.getvalue()


def entries(content):
  return zip_entries.entries(np.frombuffer(content, np.uint8))


FILES = [('a/x', b'123'), ('a/é', b''), ('b', bytes(1000))]


@pytest.mark.parametrize('force_zip64', [False, True])
@pytest.mark.parametrize('comment', [b'', b'a comment'])
def test_entries_are_found(force_zip64, comment):
  content = zipped(FILES, force_zip64=force_zip64)
  content = content[:-2] + len(comment).to_bytes(2, 'little') + comment
  found = entries(content)
  assert [*found] == [name for name, _ in FILES]
  for name, inside in FILES:
    entry = found[name]
    assert content[entry.begin:entry.end] == inside
    assert (entry.size, entry.crc) == (len(inside), zlib.crc32(inside))


def test_the_end_of_a_large_file_is_read(monkeypatch):
  monkeypatch.setattr(zipfile, 'ZIP64_LIMIT', 100)  # Writes numbers of 64 bits.
  monkeypatch.setattr(zipfile, 'ZIP_FILECOUNT_LIMIT', 1)
  content = zipped(FILES, force_zip64=True)
  assert b'PK\6\6' in content and b'PK\6\7' in content
  assert {name: content[entry.begin:entry.end]
          for name, entry in entries(content).items()} == dict(FILES)


def test_an_end_that_is_elsewhere_is_refused():
  locator = b'PK\6\7' + bytes(4) + (2**63).to_bytes(8, 'little') + bytes(4)
  content = zipped(FILES)
  with pytest.raises(ValueError, match='cut short or damaged'):
    entries(content[:-22] + locator + content[-22:])


def replaced(old, new, count=1):
  content = zipped(FILES)
  assert old in content
  return content.replace(old, new, count)


def changed(at, new, field=b'PK\1\2'):
  """Returns a file with new bytes in the header of its last entry."""
  content = zipped(FILES)
  at += content.rindex(field)
  return content[:at] + new + content[at + len(new):]


def overlapping():
  """Returns a file whose entry 'b' is also in the middle of 'a'."""
  inner = zipped([('b', b'12')])
  local = inner[:inner.index(b'PK\1\2')]
  outer = zipped([('a', local), ('b', b'12')])
  at = outer.rindex(b'PK\1\2')
  return outer[:at + 42] + (31).to_bytes(4, 'little') + outer[at + 46:]


@pytest.mark.parametrize('content, why', [
    (b'', 'end of a zip file is missing'),
    (b'PK\3\4' + bytes(100), 'end of a zip file is missing'),
    (zipped(FILES)[:-30], 'end of a zip file is missing'),
    (zipped(FILES)[1:], 'not where its end says'),
    (b'x' + zipped(FILES), 'not where its end says'),
    (zipped(FILES, zipfile.ZIP_DEFLATED), "'a/x' is compressed"),
    (replaced(b'PK\1\2', b'PK\1\3'), 'directory is damaged'),
    (replaced(b'a/x', b'a/y'), "'a/x' is not where it should be"),
    (replaced(b'a/x', b'../', 2), "'../' leads out"),
    (replaced(b'a/x', b'/xy', 2), "'/xy' leads out"),
    (replaced(b'a/x', b'a\nx', 2), 'leads out'),
    (replaced(b'PK\3\4', b'PK\3\5'), "'a/x' is not where it should be"),
    (changed(8, b'\1'), "'b' is compressed or encrypted"),
    (changed(20, b'\1'), "'b' has two sizes"),
    (changed(20, 2 * b'\xe9\3\0\0'), "'b' overlaps others"),
    (changed(42, b'\xff\xff\xff\xff'), 'damaged'),
    (changed(10, b'\2', b'PK\5\6'), 'another length than its end says'),
    (changed(10, b'\4', b'PK\5\6'), 'another length than its end says'),
    (overlapping(), "'b' overlaps others"),
], ids=range(19))
def test_a_file_that_is_not_intact_is_refused(content, why):
  with pytest.raises(ValueError, match=why):
    entries(content)


def test_two_entries_of_one_name_are_refused():
  with pytest.warns(UserWarning, match='Duplicate'):
    content = zipped([('a', b'1'), ('a', b'2')])
  with pytest.raises(ValueError, match="two entries 'a'"):
    entries(content)


def test_a_directory_that_would_fill_the_memory_is_refused():
  content = bytearray(zipped([('a', bytes(5 << 20))]))
  at = content.rindex(b'PK\5\6')
  content[at + 12:at + 20] = at.to_bytes(4, 'little') + bytes(4)
  begun = time.process_time()
  with pytest.raises(ValueError, match='more than 4,194,304'):
    entries(bytes(content))
  assert time.process_time() - begun < 1
