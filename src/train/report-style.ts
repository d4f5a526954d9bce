/** The report's style sheet. Colours are variables, so that the charts read the same ones. */
export const reportStyle = `
:root {
  color-scheme: light dark;
  --page: #f6f7f9; --surface: #ffffff; --text: #16181d; --muted: #5b6270; --line: #e2e5ea;
  --student: #2563eb; --teacher: #c2410c; --train: #9aa3b2; --right: 37 99 235; --wrong: 220 38 38;
  --note: #fff7e0; --note-line: #e3b341;
}
@media (prefers-color-scheme: dark) {
  :root {
    --page: #101216; --surface: #181b21; --text: #e7e9ee; --muted: #9aa3b2; --line: #2b303a;
    --student: #6ea8fe; --teacher: #ff9a57; --train: #667085; --right: 96 150 255; --wrong: 248 90 90;
    --note: #2b2411; --note-line: #a47d1c;
  }
}
* { box-sizing: border-box; }
body {
  margin: 0; background: var(--page); color: var(--text);
  font: 16px/1.5 system-ui, -apple-system, "Segoe UI", Roboto, "Helvetica Neue", Arial, sans-serif;
  -webkit-text-size-adjust: 100%;
}
main { max-width: 1040px; margin: 0 auto; padding: 40px 20px 64px; }
h1 { font-size: clamp(1.5rem, 1.2rem + 1.5vw, 2rem); line-height: 1.2; letter-spacing: -0.015em; margin: 0 0 8px; }
h2 { font-size: 1.2rem; line-height: 1.3; margin: 44px 0 12px; }
h3 { font-size: 0.95rem; margin: 0; }
p { margin: 0 0 12px; }
section > p { color: var(--muted); max-width: 68ch; }
.lead { font-size: 1.08rem; color: var(--muted); max-width: 62ch; }
.note { background: var(--note); border-left: 4px solid var(--note-line); border-radius: 4px; padding: 8px 12px; max-width: 72ch; }
.visually-hidden { position: absolute; width: 1px; height: 1px; overflow: hidden; clip-path: inset(50%); white-space: nowrap; }
.cards, .charts { display: grid; grid-template-columns: repeat(auto-fit, minmax(min(100%, 400px), 1fr)); gap: 16px; }
.cards { margin-top: 24px; grid-template-columns: repeat(2, minmax(0, 1fr)); }
.card, figure, .facts, .scroll {
  background: var(--surface); border: 1px solid var(--line); border-radius: 10px;
}
.card { padding: 14px 18px; border-top: 4px solid var(--role); }
.card p { margin: 0; }
.card strong { font-size: clamp(1.6rem, 1.1rem + 2.4vw, 2.4rem); line-height: 1.25; letter-spacing: -0.02em; }
.card span, .small { color: var(--muted); }
.student { --role: var(--student); }
.teacher { --role: var(--teacher); }
.card h3 { color: var(--role); }
strong, dd, td, small { font-variant-numeric: tabular-nums; }
.facts { margin: 0; padding: 4px; display: grid; grid-template-columns: repeat(auto-fill, minmax(150px, 1fr)); }
.facts div { padding: 8px 14px; }
dt { font-size: 0.8rem; color: var(--muted); }
dd { margin: 0; font-weight: 600; }
figure { margin: 0; padding: 14px 16px 12px; min-width: 0; }
figcaption { font-size: 0.85rem; color: var(--muted); margin-top: 6px; }
/* The chart's place is kept before the script has run: 280 px of chart, then one line a legend row. */
.chart { min-height: calc(280px + var(--legend-rows) * 25px + 4px); margin-top: 8px; overflow: hidden; }
.chart .u-legend { width: 100%; margin: 4px 0 0; border-collapse: collapse; text-align: left; font-size: 0.85rem; display: block; }
.chart .u-legend .u-series { display: flex; align-items: center; height: 25px; }
.chart .u-legend .u-series > * { padding: 0 4px; }
.chart .u-legend th { font-weight: 400; color: var(--muted); width: 8em; text-align: left; }
.chart .u-legend th::after { content: none; }
.chart .u-legend .u-marker { width: 14px; height: 4px; border-radius: 2px; margin-right: 8px; }
.chart .u-legend td { font-weight: 600; }
.scroll { overflow-x: auto; }
table { border-collapse: collapse; }
.numbers { width: 100%; }
.numbers th, .numbers td { padding: 7px 14px; text-align: right; white-space: nowrap; }
.numbers thead th { font-size: 0.8rem; font-weight: 500; color: var(--muted); }
.numbers thead th[colspan] { text-align: center; padding-bottom: 0; font-weight: 600; color: var(--text); }
.numbers :is(td:nth-of-type(2), td:nth-of-type(4), th[colspan], thead tr + tr th:nth-child(odd)) { border-left: 1px solid var(--line); }
.numbers thead [rowspan] { vertical-align: bottom; }
.numbers tbody tr { border-top: 1px solid var(--line); }
.confusion { width: 100%; min-width: 330px; table-layout: fixed; font-size: 0.9rem; }
.confusion th, .confusion td { padding: 0; height: 40px; text-align: center; }
.confusion th { font-weight: 600; color: var(--muted); }
.confusion th:last-child, .recall { width: 5.2em; }
.confusion td:not(.recall) { border: 1px solid var(--surface); border-radius: 6px; }
.confusion .right { background: rgb(var(--right) / calc(0.12 + 0.28 * var(--heat))); font-weight: 600; }
.confusion .wrong { background: rgb(var(--wrong) / calc(0.06 + 0.5 * var(--heat))); }
.confusion .none { color: var(--muted); opacity: 0.45; }
.digits { list-style: none; margin: 0; padding: 0; display: grid; grid-template-columns: repeat(auto-fill, minmax(112px, 1fr)); gap: 12px; }
.digits li {
  background: var(--surface); border: 1px solid var(--line); border-radius: 10px; overflow: hidden; padding-bottom: 8px;
  display: flex; flex-direction: column; font-size: 0.85rem;
}
.digits img { width: 100%; height: auto; aspect-ratio: 1; image-rendering: pixelated; background: #000; margin-bottom: 6px; }
.digits span { display: flex; gap: 0.35em; align-items: baseline; padding: 0 8px; white-space: nowrap; }
.digits small { margin-left: auto; color: var(--muted); }
.digits .chosen b { color: rgb(var(--wrong)); }
@media (max-width: 560px) {
  main { padding: 24px 12px 48px; }
  .card { padding: 10px 12px; }
  figure { padding: 12px 10px; }
  .numbers th, .numbers td { padding: 6px 7px; font-size: 0.85rem; }
  .confusion { font-size: 0.7rem; }
  .confusion th, .confusion td { height: 30px; }
  .confusion .right { font-weight: 400; letter-spacing: -0.03em; }
  .confusion th:last-child, .recall { width: 4.4em; }
  .digits { grid-template-columns: repeat(auto-fill, minmax(108px, 1fr)); gap: 8px; }
  .digits span { padding: 0 7px; }
}
@media print {
  body { background: none; }
  section, figure, .digits li { break-inside: avoid; }
}
`.trim()
