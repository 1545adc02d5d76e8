"""The page of a run: one self-contained HTML file without scripts.

The texts on the page may come from a model or an unknown source, so each text
is escaped and stripped of control characters, and the page's content security
policy forbids scripts and requests.
"""
import base64
from collections.abc import Mapping, Sequence
import hashlib
import html
import os
import pathlib
from typing import Any, NamedTuple
import unicodedata

from lmjax.core import config as config_lib
from lmjax.core.files import atomic
from lmjax.core import secrets
from lmjax.evaluation import report

_STYLE = """
:root { color-scheme: light dark; --ink: #1c2330; --soft: #5d6778;
  --line: #e3e7ee; --card: #fff; --page: #f5f7fa; --accent: #2563eb; }
@media screen and (prefers-color-scheme: dark) {
  :root { --ink: #e6e9ef; --soft: #98a2b3; --line: #2c3442; --card: #171c26;
    --page: #0f131a; --accent: #6ea0ff; }
  img { filter: invert(.91) hue-rotate(180deg); } }
* { box-sizing: border-box; }
body { margin: 0; background: var(--page); color: var(--ink);
  font: 15px/1.55 system-ui, -apple-system, 'Segoe UI', sans-serif; }
main { max-width: 1040px; margin: 0 auto; padding: 40px 24px 64px; }
h1 { font-size: 27px; line-height: 1.25; margin: 0 0 4px; font-weight: 650;
  letter-spacing: -.01em; overflow-wrap: anywhere; }
h2 { font-size: 17px; margin: 38px 0 12px; font-weight: 620; }
p { margin: 0 0 6px; } .soft, .terms { color: var(--soft); }
.terms { font-size: 13px; margin-top: 10px; }
.card { background: var(--card); border: 1px solid var(--line);
  border-radius: 10px; padding: 16px 18px; }
.wide { overflow-x: auto; }
.tiles { display: grid; gap: 12px; margin-top: 24px;
  grid-template-columns: repeat(auto-fit, minmax(150px, 1fr)); }
.tile b { display: block; font-size: 25px; font-weight: 640;
  font-variant-numeric: tabular-nums; letter-spacing: -.02em; }
.tile span { color: var(--soft); font-size: 13px; }
table { border-collapse: collapse; width: 100%;
  font-variant-numeric: tabular-nums; }
th { text-align: right; font-weight: 550; font-size: 13px; color: var(--soft);
  padding: 4px 12px 8px; border-bottom: 1px solid var(--line); }
td { text-align: right; padding: 7px 12px; border-top: 1px solid var(--line); }
tr:first-child td { border-top: 0; }
th:first-child, td:first-child { text-align: left; padding-left: 0;
  position: sticky; left: 0; background: var(--card); }
th:last-child, td:last-child { padding-right: 0; }
th, td { white-space: nowrap; }
.long { text-align: left; } td.long { white-space: normal; min-width: 240px;
  overflow-wrap: anywhere; }
tr.best td { font-weight: 640; }
tr.best td:first-child { color: var(--accent); }
img { display: block; max-width: 100%; margin: 0 auto; border-radius: 6px; }
.two { display: grid; gap: 12px; margin-top: 12px;
  grid-template-columns: repeat(auto-fit, minmax(min(400px, 100%), 1fr)); }
.two .card p { font-size: 13px; font-weight: 550; }
svg { width: 100%; height: auto; } svg text { fill: var(--soft);
  font-size: 11px; font-variant-numeric: tabular-nums; }
.grid { stroke: var(--line); } .curve { fill: none; stroke: var(--soft);
  stroke-width: 1.3; stroke-dasharray: 4 3; opacity: .8; }
.curve.first { stroke: var(--accent); stroke-width: 2.4; stroke-dasharray: none;
  opacity: 1; } .dot { fill: var(--accent); }
text.first { fill: var(--accent); font-weight: 640; }
.sample { margin-bottom: 12px; white-space: pre-wrap; overflow-wrap: anywhere;
  font: 13px/1.6 ui-monospace, 'SF Mono', Menlo, Consolas, monospace; }
.sample b { color: var(--accent); font-weight: 640; }
dl { display: grid; gap: 5px 22px; margin: 0; font-size: 14px;
  grid-template-columns: fit-content(40%) minmax(0, 1fr); }
dt { color: var(--soft); } dt, dd { margin: 0; overflow-wrap: anywhere; }
dd { white-space: pre-wrap; }
.code dd, .code dt {
  font: 12.5px/1.5 ui-monospace, Menlo, Consolas, monospace; }
summary { cursor: pointer; font-weight: 550; } details dl { margin-top: 12px; }
details + details { margin-top: 12px; }
@media (max-width: 560px) { main { padding: 24px 14px 40px; }
  .card { padding: 12px; } .tiles { grid-template-columns: 1fr 1fr; }
  .tile b { font-size: 21px; } td, th { padding-left: 8px; padding-right: 8px; }
  td:first-child { white-space: normal; min-width: 88px; }
  dl { display: block; } dd { margin-bottom: 8px; }
  svg text { font-size: 14px; } }
@media print { body { background: none; } .card { break-inside: avoid; } }
"""


_LONG, _LONGEST = ' class="long"', 40  # Columns of longer cells are wrapped.


class Table(NamedTuple):
  """A table whose first column names the rows.

  Attributes:
    columns: Heads of the columns.
    rows: Cells of each row.
    terms: Sentences below the table, such as the conditions of the numbers.
    main: The row that is highlighted, as the one that others are compared with
      or that matters most, and that the page begins with; None for no row.
  """
  columns: Sequence[str]
  rows: Sequence[Sequence[str]]
  terms: Sequence[str] = ()
  main: int | None = 0


def write(
    path: str | os.PathLike,
    *,
    title: str,
    config: Mapping[str, Any],
    about: Mapping[str, str] | None = None,
    reports: Sequence[report.Report] = (),
    curve_png: str | os.PathLike | None = None,
    curve_terms: Sequence[str] = (),
    pictures: Mapping[str, str | os.PathLike] | None = None,
    tables: Mapping[str, Table] | None = None,
    samples: Sequence[tuple[str, str]] = (),
    facts: Mapping[str, Any] | None = None,
) -> None:
  """Writes the page of a run atomically.

  Args:
    path: Path of the HTML file.
    title: Heading of the page.
    config: The run's config, from `config.to_dict`.
    about: Lines on the model, its data and the device, by name.
    reports: Report of the model, then reports of its baselines.
    curve_png: PNG file of the training curve, which the page embeds.
    curve_terms: Sentences below the curve.
    pictures: Further PNG files, by heading.
    tables: Further tables, by heading.
    samples: Pairs (prompt, generated text).
    facts: Further facts of the run, by name: parameters, time, versions.
  """
  reports = list(reports)
  config, facts, about = (
      secrets.redact(tree) for tree in (config, facts or {}, about or {}))
  first = next(iter((tables or {}).values()), None)
  sections = [_tiles(_likelihoods(reports[0]) if reports
                     else _scores(first) if first else [])]
  if about:
    sections.append(_section('Model and data', _card(_list(about))))
  if curve_png is not None:
    sections.append(_section(
        'Training', _picture('Training', curve_png, curve_terms)))
  if reports:
    sections.append(_section('Held-out likelihood', _table(Table(
        report.headings(), [report.cells(each) for each in reports],
        report.terms(reports[0])))))
    sections.append(_charts(reports))
  for heading, table in (tables or {}).items():
    sections.append(_section(heading, _table(table)))
  for heading, picture in (pictures or {}).items():
    sections.append(_section(heading, _picture(heading, picture)))
  if samples:
    sections.append(_section('Samples', ''.join(
        _card(f'<b>{text(prompt)}</b>{text(output)}', 'sample')
        for prompt, output in samples)))
  sections.append(_section('Details', _details(facts, config)))

  digest = base64.b64encode(hashlib.sha256(_STYLE.encode()).digest()).decode()
  policy = (f"default-src 'none'; img-src data:; style-src 'sha256-{digest}'; "
            "base-uri 'none'; form-action 'none'")
  page = f"""<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta http-equiv="Content-Security-Policy" content="{policy}">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>{text(title)}</title>
<style>{_STYLE}</style>
</head>
<body><main>
<h1>{text(title)}</h1>
{''.join(sections)}
</main></body>
</html>
"""
  atomic.write(path, page)


def text(value: Any) -> str:
  """Returns a value as HTML text: escaped, without control characters.

  Drops all control, formatting, surrogate and unassigned characters except
  line breaks and tabs: they could reorder or forge the text that is displayed.
  """
  shown = ''.join(
      c for c in str(value)
      if c in '\n\t' or not unicodedata.category(c).startswith('C'))
  return html.escape(shown, quote=True)


def _section(heading: str, body: str) -> str:
  return f'<h2>{text(heading)}</h2>\n{body}\n'


def _card(body: str, kind: str = '') -> str:
  return f'<div class="card {kind}">{body}</div>\n'


def _likelihoods(first: report.Report) -> list[tuple[str, str]]:
  """Returns the headline numbers of a report, by name."""
  return [
      ('bits per byte', report.number(first.bits_per_byte, 3)),
      ('perplexity of a token', report.number(first.perplexity, 2)),
      ('nats per token', report.number(first.nats_per_token, 4)),
      ('token accuracy', f'{first.accuracy:.1%}'),
      ('held-out tokens scored', f'{first.tokens:,}')]


def _scores(table: Table) -> list[tuple[str, str]]:
  """Returns the numbers of a table's main row, without standard errors."""
  if table.main is None or not table.rows:
    return []
  row = table.rows[table.main]
  return [(f'{row[0]}, {name}', cell)
          for name, cell in zip(table.columns, row) if name not in ('', '±')]


def _tiles(shown: Sequence[tuple[str, str]]) -> str:
  tiles = ''.join(
      _card(f'<b>{text(value)}</b><span>{text(name)}</span>', 'tile')
      for name, value in shown if value != '-')
  return f'<div class="tiles">{tiles}</div>\n' if tiles else ''


def _picture(name: str, path: str | os.PathLike,
             terms: Sequence[str] = ()) -> str:
  picture = base64.b64encode(pathlib.Path(path).read_bytes()).decode()
  return _card(
      f'<img alt="{text(name)}" src="data:image/png;base64,{picture}">'
      + _terms(terms))


def _terms(lines: Sequence[str]) -> str:
  told = ''.join(f'<p>{text(line)}</p>' for line in lines)
  return f'<div class="terms">{told}</div>' if told else ''


def _table(table: Table) -> str:
  kinds = [
      _LONG if any(len(row[i]) > _LONGEST for row in table.rows) else ''
      for i in range(len(table.columns))]
  head = ''.join(f'<th{kind}>{text(name)}</th>'
                 for name, kind in zip(table.columns, kinds))
  rows = ''.join(
      f'<tr class="{"best" if i == table.main else ""}">'
      + ''.join(f'<td{kind}>{text(cell)}</td>'
                for cell, kind in zip(row, kinds))
      + '</tr>' for i, row in enumerate(table.rows))
  return _card(
      f'<div class="wide"><table><thead><tr>{head}</tr></thead>'
      f'<tbody>{rows}</tbody></table></div>{_terms(table.terms)}')


def _charts(reports: Sequence[report.Report]) -> str:
  """Returns a line chart of each breakdown with at least two points."""
  drawn = ''
  for title, field in (
      ('Nats per token by tokens of context seen', 'by_position'),
      ('Nats per token by count of the token in training', 'by_frequency')):
    series = {each.name: getattr(each, field) for each in reports}
    if len([b for b in series[reports[0].name] if b.low]) > 1:
      drawn += _card(f'<p>{text(title)}</p>{_chart(series)}')
  return f'<div class="two">{drawn}</div>\n' if drawn else ''


def _chart(series: Mapping[str, Sequence[report.Bucket]]) -> str:
  """Returns an SVG line chart of losses by bucket; highlights the first."""
  width, height, left, right, top, bottom = 460, 240, 34, 74, 10, 26
  lows = sorted({b.low for buckets in series.values() for b in buckets} - {0})
  points = {name: [(lows.index(b.low), b.nats_per_token) for b in buckets
                   if b.low and b.nats_per_token < float('inf')]
            for name, buckets in series.items()}
  highest = max([y for p in points.values() for _, y in p], default=1.0) * 1.06
  across = (width - left - right) / max(len(lows) - 1, 1)
  x = lambda i: left + across * i
  y = lambda v: top + (height - top - bottom) * (1 - v / highest)
  out = []
  step = next(s for s in (.1, .2, .5, 1, 2, 5, 10, 20, 50, 1e9)
              if highest / s <= 6)
  for i in range(int(highest / step) + 1):
    at = y(i * step)
    out.append(f'<line class="grid" x1="{left}" x2="{width - right}" '
               f'y1="{at:.1f}" y2="{at:.1f}"/><text x="{left - 6}" '
               f'y="{at + 4:.1f}" text-anchor="end">{i * step:g}</text>')
  every = -(-len(lows) // 9)
  for i, low in enumerate(lows):
    if i % every == 0:
      out.append(f'<text x="{x(i):.1f}" y="{height - 8}" text-anchor="middle">'
                 f'{_short(low)}+</text>')
  labels = []  # Kept apart from each other at the right end.
  for i, (name, line) in enumerate(points.items()):
    if not line:
      continue
    kind = 'first' if i == 0 else ''
    where = ' '.join(f'{x(a):.1f},{y(b):.1f}' for a, b in line)
    out.append(f'<polyline class="curve {kind}" points="{where}"/>')
    if i == 0:
      out += [f'<circle class="dot" cx="{x(a):.1f}" cy="{y(b):.1f}" r="2.8"/>'
              for a, b in line]
    labels.append([y(line[-1][1]) + 4, name, kind])
  labels.sort()
  for above, below in zip(labels, labels[1:]):
    below[0] = max(below[0], above[0] + 14)
  for at, name, kind in labels:
    out.append(f'<text class="{kind}" x="{width - right + 8}" y="{at:.1f}">'
               f'{text(name.partition(" ")[0][:10])}</text>')
  return f'<svg viewBox="0 0 {width} {height}" role="img">{"".join(out)}</svg>'


def _short(value: int) -> str:
  for unit, name in (10**9, 'G'), (10**6, 'M'), (10**3, 'k'):
    if value >= unit and value % unit == 0:
      return f'{value // unit}{name}'
  return str(value)


def _list(pairs: Mapping[str, Any]) -> str:
  """Returns the leaves of a tree of values as HTML, one line each."""
  rows = ''
  for name, value in config_lib.leaves(dict(pairs)).items():
    if isinstance(value, (list, tuple)):
      value = ' '.join(map(str, value))
    elif isinstance(value, float):
      value = f'{value:.6g}'
    rows += f'<dt>{text(name)}</dt><dd>{text(value)}</dd>'
  return f'<dl>{rows}</dl>'


def _details(facts: Mapping[str, Any], config: Mapping[str, Any]) -> str:
  """Returns foldable lists of the facts and of each part of the config."""
  loose = {name: value for name, value in config.items()
           if not isinstance(value, dict)}
  parts = {'run': facts, 'config': loose} | {
      f'config.{name}': value for name, value in config.items()
      if name not in loose}
  return _card(''.join(
      f'<details><summary>{text(name)}</summary>{_list(part)}</details>'
      for name, part in parts.items() if part), 'code')
