"""Runs a script by its name: `lmjax pretrain --workdir=runs/demo`.

An installed lmjax contains the scripts of `experiments`; in a checkout they are
next to the package.
"""
import ast
import difflib
import pathlib
import runpy
import sys

HERE = pathlib.Path(__file__).parent


def scripts() -> dict[str, pathlib.Path]:
  """Returns {name: path} of the scripts."""
  installed, checkout = HERE / 'experiments', HERE.parent / 'experiments'
  folder = installed if installed.is_dir() else checkout
  return {path.stem: path for path in sorted(folder.glob('*.py'))}


def usage(found: dict[str, pathlib.Path]) -> str:
  """Returns the list of scripts, each with the first line of its docstring."""
  lines = ['Usage: lmjax SCRIPT --flag=value ...', '']
  wide = max(map(len, found), default=0)
  for name, path in found.items():
    first = ast.get_docstring(ast.parse(path.read_text('utf-8'))) or ''
    lines.append(f'  {name:<{wide}}  {first.partition(chr(10))[0]}')
  return '\n'.join(lines + ['', '`lmjax SCRIPT --help` lists its flags.'])


def main() -> None:
  """Runs the script named by the first argument with the other arguments."""
  found = scripts()
  name = sys.argv[1] if len(sys.argv) > 1 else ''
  if name in ('--help', '-h', 'help'):
    print(usage(found))
    return
  if name not in found:
    if name:
      near = difflib.get_close_matches(name, found, 1)
      meant = f' Did you mean `lmjax {near[0]}`?' if near else ''
      print(f'Error: lmjax has no script {name!r}.{meant}', file=sys.stderr)
    print(usage(found), file=sys.stderr)
    sys.exit(2)
  path = str(found[name])
  sys.argv[:2] = [path]
  sys.path.insert(0, str(found[name].parent))  # Python does so for a script.
  runpy.run_path(path, run_name='__main__')


if __name__ == '__main__':
  main()
