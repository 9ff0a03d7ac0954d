"""How the page of a report looks."""

CSS = """
:root { color-scheme: light dark; --paper: #fff; --panel: #f5f5f2; --ink: #21242e; --soft: #676c79;
  --line: #dddcd6; --link: #1f5fa8 }
@media (prefers-color-scheme: dark) {
  :root { --paper: #14161b; --panel: #1d2027; --ink: #e4e5e9; --soft: #9a9fab; --line: #343842;
    --link: #7fb4ea }
}
* { box-sizing: border-box }
body { margin: 0 auto; max-width: 68rem; padding: 1.5rem 1.25rem 4rem; background: var(--paper);
  color: var(--ink); font: 16px/1.5 system-ui, -apple-system, "Segoe UI", Roboto, sans-serif }
h1 { margin: 0; font-size: 1.7rem; line-height: 1.2; overflow-wrap: anywhere }
h2 { margin: 0 0 .6rem; font-size: 1.2rem; line-height: 1.3; overflow-wrap: anywhere }
header p { margin: .3rem 0 .8rem; color: var(--soft) }
nav { display: flex; flex-wrap: wrap; gap: .2rem 1.1rem; font-size: .9rem }
a { color: var(--link); text-decoration: none }
a:hover { text-decoration: underline }
section { margin-top: 1.6rem; padding-top: 1.4rem; border-top: 1px solid var(--line) }
p { margin: 0 0 .8rem; max-width: 46rem; overflow-wrap: anywhere }
.small { color: var(--soft); font-size: .9rem }
.legend { display: flex; flex-wrap: wrap; gap: .15rem 1.2rem; margin: 0 0 .4rem; padding: 0;
  list-style: none; font-size: .9rem }
.named { white-space: nowrap }
.key { width: 22px; height: 10px; margin-right: .45rem; vertical-align: middle; stroke-width: 3 }
.figures { display: grid; grid-template-columns: repeat(auto-fit, minmax(min(100%, 20rem), 1fr)); gap: 1rem;
  margin-bottom: 1rem }
figure { margin: 0; min-width: 0; max-width: 32rem }
figure svg { display: block; width: 100%; height: auto }
figure svg text { font-family: inherit !important }
figcaption { color: var(--soft); font-size: .85rem }
.photo { max-width: none; margin-bottom: 1.2rem }
.photo img { display: block; max-width: 100%; height: auto; margin-top: .3rem; border-radius: 6px;
  border: 1px solid var(--line) }
.wide { overflow-x: auto; margin-bottom: 1.1rem }
table { border-collapse: collapse; font-size: .9rem; font-variant-numeric: tabular-nums }
th, td { padding: .3rem 1rem .3rem 0; text-align: left; vertical-align: top; font-weight: normal;
  white-space: nowrap; border-bottom: 1px solid var(--line) }
td.long { white-space: normal; min-width: 20rem }
.share { padding: .3rem .6rem }
.share small { display: block; opacity: .75; font-size: .8em }
thead th { color: var(--soft); vertical-align: bottom; font-size: .82rem }
.faint th, .faint td { color: var(--soft); font-style: italic }
pre { margin: 0 0 1rem; padding: .8rem 1rem; background: var(--panel); border-radius: 6px; font-size: .82rem;
  line-height: 1.45; white-space: pre-wrap; overflow-wrap: anywhere }
@media print { nav { display: none } }
"""
