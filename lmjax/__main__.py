"""Runs a script by its name: `python -m lmjax pretrain --workdir=runs/demo`.

An installed lmjax contains the scripts of `experiments`; in a checkout they are
next to the package.
"""
import pathlib
import runpy
import sys

HERE = pathlib.Path(__file__).parent


def scripts() -> dict[str, pathlib.Path]:
  """Returns {name: path} of the scripts."""
  installed, checkout = HERE / 'experiments', HERE.parent / 'experiments'
  folder = installed if installed.is_dir() else checkout
  return {path.stem: path for path in sorted(folder.glob('*.py'))}


def main() -> None:
  """Runs the script named by the first argument with the other arguments."""
  found = scripts()
  name = sys.argv[1] if len(sys.argv) > 1 else ''
  if name not in found:
    print(f'Usage: lmjax SCRIPT --flag=value ...; SCRIPT is one of '
          f'{", ".join(found)}.', file=sys.stderr)
    sys.exit(2)
  path = str(found[name])
  sys.argv[:2] = [path]
  sys.path.insert(0, str(found[name].parent))  # Python does so for a script.
  runpy.run_path(path, run_name='__main__')


if __name__ == '__main__':
  main()
