"""Builds the documentation: `sphinx-build -W -c docs . build/site`.

The source folder is the root of the repository, so that pages, notebooks and
the reference link to one another as they do on GitHub.
"""
import pathlib
import posixpath
import re
import sys

ROOT = pathlib.Path(__file__).parents[1]
sys.path[:0] = [str(ROOT), str(ROOT / 'docs')]

import lmjax
import reference

REPOSITORY = 'https://github.com/lmjax/lmjax'

project = 'lmjax'
version = release = lmjax.__version__
root_doc = 'docs/index'
include_patterns = [
    'docs/*.md', f'docs/{reference.FOLDER}/*.md', 'notebooks/*.ipynb',
    'benchmarks/README.md', 'CHANGELOG.md', 'CONTRIBUTING.md']

extensions = ['myst_nb', 'sphinx.ext.autodoc', 'sphinx.ext.napoleon']
nb_execution_mode = 'off'  # Notebooks are stored with their outputs.
myst_heading_anchors = 3
autodoc_default_options = {
    'members': True, 'member-order': 'bysource'}
toc_object_entries = False  # A room has hundreds of them.
autodoc_typehints = 'signature'
autodoc_preserve_defaults = True
napoleon_numpy_docstring = False
napoleon_use_ivar = True
napoleon_use_rtype = False
add_module_names = False
default_role = 'literal'  # Docstrings have code in single backticks.

html_theme = 'furo'
html_title = 'lmjax'
html_show_copyright = False
html_copy_source = False
html_theme_options = {
    'source_repository': REPOSITORY, 'source_branch': 'main',
    'source_directory': ''}


def _link_outside(app, docname, source):
  """Turns links to files that are not pages into links to the repository."""
  folder = posixpath.dirname(docname)

  def replaced(match):
    path = posixpath.normpath(posixpath.join(folder, match[1]))
    page = path.endswith(('.md', '.ipynb')) and path != 'README.md'
    if page or not (ROOT / path).exists():
      return match[0]  # Sphinx warns if there is no such page.
    kind = 'tree' if (ROOT / path).is_dir() else 'blob'
    return f']({REPOSITORY}/{kind}/main/{path})'

  source[0] = re.sub(r'\]\((?!\w+:|#)([^)#\s]+)\)', replaced, source[0])


def setup(app):
  reference.write(ROOT / 'docs' / reference.FOLDER)
  app.connect('source-read', _link_outside)
  app.connect('autodoc-process-docstring', reference.as_restructured_text,
              priority=400)  # Before napoleon reads Args and Returns.
  app.connect('autodoc-process-signature', reference.signature)
  app.connect('autodoc-skip-member', reference.skip)
