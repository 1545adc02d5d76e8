"""Measures how fast a file of weights is read, and with how much memory.

  python benchmarks/weights.py [--source=model.safetensors] [--megabytes=500]
      [--rounds=5] [--folder=/tmp] [--out=weights.json]

It reads a safetensors file or one of torch; without --source it writes a
safetensors file first. It prints JSON with the seconds, as medians over rounds
taken in turns, of

  bytes    reading the bytes of the file into one buffer of 16 MiB
  open     opening the file, which reads what describes the tensors
  read     opening the file and copying each tensor into memory, one at a time
  library  the same with the safetensors library, where the file is of it
  write    writing the tensors as safetensors until they are on disk

the ratio of read to bytes, the size of the largest tensor, and the growth of
memory that is not the file's own (RssAnon, on Linux) while reading. The file is
in the page cache.
"""
import json
import pathlib
import re
import statistics
import sys
import tempfile
import time

from absl import app
from absl import flags
import numpy as np
import safetensors

ROOT = pathlib.Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

from lmjax.core import cli
from lmjax.interop.formats import safetensors_files
from lmjax.interop.formats import torch_files

_BUFFER = 16 << 20


def make(folder: pathlib.Path, megabytes: float) -> pathlib.Path:
  """Returns a file of random numbers: square matrices, and their vectors."""
  draw, width = np.random.default_rng(0), 2048
  count = max(int(megabytes * 1e6 / 4 / (width * width + width)), 1)
  safetensors_files.write(folder, (
      (f'layer.{number}.{name}', draw.standard_normal(shape, np.float32))
      for number in range(count)
      for name, shape in (('weight', (width, width)), ('bias', (width,)))))
  return folder / safetensors_files.NAME


def opened(path: pathlib.Path):
  """Returns the tensors of a file, by its suffix."""
  is_torch = path.suffix in ('.bin', '.pt', '.pth')
  return (torch_files if is_torch else safetensors_files).open_file(path)


def read_bytes(path: pathlib.Path) -> None:
  buffer = np.empty(_BUFFER, np.uint8)
  with open(path, 'rb', buffering=0) as file:
    while file.readinto(buffer):
      pass


def read_tensors(path: pathlib.Path) -> None:
  for tensor in opened(path).values():
    np.array(tensor.read())


def read_library(path: pathlib.Path) -> None:
  with safetensors.safe_open(path, 'np') as file:
    for name in file.keys():
      file.get_tensor(name)


def anonymous() -> int:
  """Returns the bytes of this process that are not of files."""
  text = pathlib.Path('/proc/self/status').read_text()
  return 1024 * int(re.search(r'RssAnon:\s+(\d+) kB', text).group(1))


def growth(path: pathlib.Path) -> int | None:
  """Returns the largest growth of memory while reading; None if not on Linux.
  """
  try:
    before, most = anonymous(), 0
  except OSError:
    return None
  for tensor in opened(path).values():
    array = np.array(tensor.read())
    most = max(most, anonymous() - before)
    del array
  return most


def write(path: pathlib.Path, folder: str | None) -> None:
  with tempfile.TemporaryDirectory(dir=folder) as new:
    safetensors_files.write(new, opened(path).items())


def measure(path: pathlib.Path, rounds: int, folder: str | None) -> dict:
  """Returns the report."""
  grown = growth(path)
  works = {'bytes': lambda: read_bytes(path), 'open': lambda: opened(path),
           'read': lambda: read_tensors(path),
           'library': lambda: read_library(path),
           'write': lambda: write(path, folder)}
  if path.suffix != '.safetensors':
    del works['library']
  times = {name: [] for name in works}
  for _ in range(rounds):
    for name, work in works.items():
      begin = time.perf_counter()
      work()
      times[name].append(time.perf_counter() - begin)
  seconds = {name: statistics.median(each) for name, each in times.items()}
  weights = opened(path).values()
  return {
      'megabytes': round(path.stat().st_size / 1e6, 1),
      'tensors': len(weights),
      'seconds': {name: round(each, 4) for name, each in seconds.items()},
      'read_over_bytes': round(seconds['read'] / seconds['bytes'], 2),
      'largest_megabytes': round(
          max(tensor.read().nbytes for tensor in weights) / 1e6, 1),
      'memory_megabytes': grown and round(grown / 1e6, 1)}


def main(argv) -> None:
  del argv
  values = flags.FLAGS
  with tempfile.TemporaryDirectory(dir=values.folder) as new:
    path = pathlib.Path(values.source) if values.source else make(
        pathlib.Path(new), values.megabytes)
    text = json.dumps(
        measure(path, values.rounds, values.folder), indent=2)
  print(text)
  if values.out:
    pathlib.Path(values.out).write_text(text + '\n')


if __name__ == '__main__':
  cli.path_flag('source', None, 'File of weights; one is made by default.')
  flags.DEFINE_float('megabytes', 500, 'Size of the file that is made.')
  flags.DEFINE_integer('rounds', 5, 'Number of timings of each.', lower_bound=1)
  cli.path_flag(
      'folder', None, 'Folder to write in; a temporary one by default.')
  cli.path_flag('out', None, 'File to write the JSON to.')
  app.run(main)
