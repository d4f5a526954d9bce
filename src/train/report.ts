import type { HardExample, Scores } from './events.js'
import type { CurvePoint } from './loss-curve.js'
import { greyPng } from './png.js'
import { type ChartData, drawCharts } from './report-charts.js'
import { reportStyle } from './report-style.js'
import { teacherLag } from './teacher-lag.js'
import { count, plural } from '../io/wording.js'
import { duration, percent } from './wording.js'

/** How both models did on the test images after one epoch. */
export interface EpochScores {
  readonly epoch: number
  /** Optimizer steps done by then. */
  readonly step: number
  readonly student: Scores
  readonly teacher: Scores
}

/** Everything the report shows. Nothing in it depends on the machine but `seconds` and `stepsPerSecond`. */
export interface ReportData {
  readonly job: string
  readonly options: {
    readonly seed: number
    readonly epochs: number
    readonly batch: number
    readonly lr: number
    readonly decay: number
  }
  readonly trainImages: number
  readonly testImages: number
  readonly parameters: number
  readonly steps: number
  readonly seconds: number
  readonly stepsPerSecond: number
  /** The student's training loss: each point is the mean of `window` steps. */
  readonly trainLoss: { readonly window: number; readonly points: readonly CurvePoint[] }
  /** One entry per finished epoch, in order; at least one. */
  readonly epochs: readonly EpochScores[]
  /** The teacher on the test images: `confusion[label][predicted]` counts. */
  readonly confusion: readonly (readonly number[])[]
  /** The images the teacher found hardest, worst first, all of one size. */
  readonly hardest: {
    readonly height: number
    readonly width: number
    readonly examples: readonly HardExample[]
  }
}

/** The chart library's text, put into the page so that it needs no network. */
export interface ReportAssets {
  readonly chartScript: string
  readonly chartStyle: string
}

/**
 * A finished run as one self-contained HTML page: scores, curves, confusion matrix and the hardest images. The page
 * loads nothing (its content policy forbids it), follows the reader's light or dark setting and fits a phone.
 *
 * @example await writeFileAtomic('report.html', renderReport(data, await readReportAssets()))
 */
export function renderReport(data: ReportData, assets: ReportAssets): string {
  const { student, teacher } = finalScores(data)
  return `<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta http-equiv="Content-Security-Policy" content="default-src 'none'; script-src 'unsafe-inline'; style-src 'unsafe-inline'; img-src data:">
<meta name="color-scheme" content="light dark">
<title>${escapeHtml(title(data))}</title>
<link rel="icon" href="data:,">
<style>
${assets.chartStyle}
${reportStyle}
</style>
</head>
<body>
<main>
<header>
<h1>${escapeHtml(title(data))}</h1>
<p class="lead">${escapeHtml(verdict(data))}</p>
${lagNote(data)}</header>
${scoreCards(student, teacher)}
${facts(data)}
${charts(data)}
${epochTable(data)}
${confusionTable(data.confusion)}
${hardest(data)}
</main>
<script type="application/json" id="chart-data">${embedJson(chartData(data))}</script>
<script>
${assets.chartScript}
;(${drawCharts.toString()})(uPlot, JSON.parse(document.getElementById('chart-data').textContent))
</script>
</body>
</html>
`
}

function finalScores(data: ReportData): EpochScores {
  return data.epochs.at(-1) ?? { epoch: 0, step: 0, student: unknownScores, teacher: unknownScores }
}

const unknownScores: Scores = { loss: Number.NaN, accuracy: Number.NaN }

function title(data: ReportData): string {
  return `${data.job === 'mnist' ? 'MNIST' : data.job}: a student and its EMA teacher`
}

/** The run in a sentence. */
function verdict(data: ReportData): string {
  const { student, teacher, epoch } = finalScores(data)
  const more = Math.round((teacher.accuracy - student.accuracy) * data.testImages)
  const compared = more === 0 ? 'as many as' : `${count(Math.abs(more))} ${more > 0 ? 'more' : 'fewer'} than`
  return `After ${plural(epoch, 'epoch')} the teacher reads ${percent(teacher.accuracy)} of ${count(data.testImages)} test digits right, ${compared} its student (${percent(student.accuracy)}).`
}

function lagNote(data: ReportData): string {
  const note = teacherLag(data.options.decay, data.steps)
  return note === undefined ? '' : `<p class="note">${escapeHtml(note)}</p>\n`
}

function scoreCards(student: Scores, teacher: Scores): string {
  const card = (role: string, scores: Scores) => `<div class="card ${role}">
<h3>${role === 'student' ? 'Student' : 'Teacher'}</h3>
<p><strong>${percent(scores.accuracy)}</strong> <span>accuracy</span></p>
<p class="small">test loss ${loss(scores.loss)}</p>
</div>`
  return `<section aria-labelledby="scores-title">
<h2 id="scores-title" class="visually-hidden">Final scores</h2>
<div class="cards">
${card('student', student)}
${card('teacher', teacher)}
</div>
</section>`
}

function facts(data: ReportData): string {
  const { options } = data
  const rows: readonly (readonly [string, string])[] = [
    ['Job', data.job],
    ['Seed', String(options.seed)],
    ['Epochs', count(options.epochs)],
    ['Batch', count(options.batch)],
    ['Learning rate', String(options.lr)],
    ['Teacher decay', String(options.decay)],
    ['Training images', count(data.trainImages)],
    ['Parameters', count(data.parameters)],
    ['Steps', count(data.steps)],
    ['Time', duration(data.seconds)],
    ['Steps per second', count(Math.round(data.stepsPerSecond))],
  ]
  return `<section aria-labelledby="facts-title">
<h2 id="facts-title">The run</h2>
<dl class="facts">
${rows.map(([name, value]) => `<div><dt>${name}</dt><dd>${escapeHtml(value)}</dd></div>`).join('\n')}
</dl>
</section>`
}

function charts(data: ReportData): string {
  const { student, teacher } = finalScores(data)
  const { window } = data.trainLoss
  const final = (format: (scores: Scores) => string) => `student ${format(student)}, teacher ${format(teacher)}`
  const figure = (id: string, heading: string, caption: string, label: string, legendRows: number) => `<figure>
<h3 id="${id}-title">${heading}</h3>
<div class="chart" id="${id}" style="--legend-rows: ${legendRows}" role="img" aria-label="${escapeHtml(label)}"></div>
<figcaption>${caption}</figcaption>
</figure>`
  return `<section aria-labelledby="curves-title">
<h2 id="curves-title">Curves</h2>
<noscript><p class="note">The curves are drawn by a script; the numbers after each epoch are in the table below.</p></noscript>
<div class="charts">
${figure(
  'loss',
  'Loss',
  `Cross-entropy, logarithmic scale: both models on the test images, and the student in training${window === 1 ? '' : ` (mean of ${count(window)} steps)`}.`,
  `Loss over optimizer steps. At the end: ${final((scores) => loss(scores.loss))}.`,
  4,
)}
${figure(
  'accuracy',
  'Accuracy',
  'Share of the test images that each model reads right.',
  `Test accuracy over optimizer steps. At the end: ${final((scores) => percent(scores.accuracy))}.`,
  3,
)}
</div>
</section>`
}

function epochTable(data: ReportData): string {
  const row = ({
    epoch,
    step,
    student,
    teacher,
  }: EpochScores) => `<tr><th scope="row">${epoch}</th><td>${count(step)}</td>
<td>${percent(student.accuracy)}</td><td>${percent(teacher.accuracy)}</td>
<td>${loss(student.loss)}</td><td>${loss(teacher.loss)}</td></tr>`
  return `<section aria-labelledby="epochs-title">
<h2 id="epochs-title">After each epoch</h2>
<div class="scroll" role="region" aria-labelledby="epochs-title" tabindex="0">
<table class="numbers">
<thead>
<tr><th scope="col" rowspan="2">Epoch</th><th scope="col" rowspan="2">Steps</th>
<th scope="colgroup" colspan="2">Test accuracy</th><th scope="colgroup" colspan="2">Test loss</th></tr>
<tr><th scope="col">student</th><th scope="col">teacher</th><th scope="col">student</th><th scope="col">teacher</th></tr>
</thead>
<tbody>
${data.epochs.map(row).join('\n')}
</tbody>
</table>
</div>
</section>`
}

function confusionTable(confusion: ReportData['confusion']): string {
  const errors = confusion.flatMap((row, label) => row.filter((_, predicted) => predicted !== label))
  const mostErrors = Math.max(1, ...errors)
  const cell = (value: number, label: number, predicted: number, total: number) => {
    const right = label === predicted
    // Errors are few: their colour is relative to the commonest error, the diagonal's to the class.
    const heat = right ? value / Math.max(1, total) : Math.sqrt(value / mostErrors)
    const kind = right ? 'right' : value === 0 ? 'none' : 'wrong'
    const hint = `${label} read as ${predicted}: ${count(value)} of ${count(total)}`
    return `<td class="${kind}" style="--heat: ${heat.toFixed(3)}" title="${hint}">${value}</td>`
  }
  const row = (values: readonly number[], label: number) => {
    const total = values.reduce((sum, value) => sum + value, 0)
    const recall = total === 0 ? '–' : percent((values[label] ?? 0) / total, 1)
    const cells = values.map((value, predicted) => cell(value, label, predicted, total)).join('')
    return `<tr><th scope="row">${label}</th>${cells}<td class="recall">${recall}</td></tr>`
  }
  return `<section aria-labelledby="confusion-title">
<h2 id="confusion-title">Confusion matrix of the teacher</h2>
<p>Each row holds the test images of one digit, each column what the teacher took them for. Recall is the share of a row that is right.</p>
<div class="scroll" role="region" aria-labelledby="confusion-title" tabindex="0">
<table class="confusion">
<thead>
<tr><th scope="col"><span class="visually-hidden">Digit</span></th>${confusion.map((_, predicted) => `<th scope="col">${predicted}</th>`).join('')}<th scope="col">recall</th></tr>
</thead>
<tbody>
${confusion.map(row).join('\n')}
</tbody>
</table>
</div>
</section>`
}

function hardest(data: ReportData): string {
  const { height, width, examples } = data.hardest
  if (examples.length === 0) return ''
  const item = ({
    index,
    pixels,
    label,
    predicted,
    labelProbability,
    predictedProbability,
    loss: hurt,
  }: HardExample) => {
    const chosen = `<span class="chosen">read <b>${predicted}</b> <small>${probability(predictedProbability)}</small></span>`
    const truth = `<span>true <b>${label}</b> <small>${probability(labelProbability)}</small></span>`
    const alt = `Test image ${index}: a handwritten ${label}, read as ${predicted}`
    return `<li><img src="${greyPng(pixels, height, width)}" width="${width}" height="${height}" alt="${alt}" title="test image ${index}, loss ${loss(hurt)}">
${chosen}
${truth}</li>`
  }
  return `<section aria-labelledby="hardest-title">
<h2 id="hardest-title">Worst-classified digits</h2>
<p>The ${examples.length} test images with the largest loss under the teacher, worst first: what it read, what is true, and the probability it gave to each.</p>
<ol class="digits">
${examples.map(item).join('\n')}
</ol>
</section>`
}

function chartData(data: ReportData): ChartData {
  const { points } = data.trainLoss
  return {
    steps: data.steps,
    train: { step: points.map(({ step }) => step), loss: points.map((point) => point.loss) },
    epochs: {
      step: data.epochs.map(({ step }) => step),
      studentLoss: data.epochs.map(({ student }) => student.loss),
      teacherLoss: data.epochs.map(({ teacher }) => teacher.loss),
      studentAccuracy: data.epochs.map(({ student }) => student.accuracy),
      teacherAccuracy: data.epochs.map(({ teacher }) => teacher.accuracy),
    },
  }
}

/** JSON that cannot end the script element it stands in: a browser looks for `</script` and `<!--` before it parses. */
function embedJson(value: ChartData): string {
  return JSON.stringify(value).replaceAll('<', '\\u003c')
}

function escapeHtml(text: string): string {
  return text.replaceAll('&', '&amp;').replaceAll('<', '&lt;').replaceAll('>', '&gt;').replaceAll('"', '&quot;')
}

/** A percentage that never rounds to certainty. */
function probability(share: number): string {
  if (share < 0.001) return '&lt; 0.1 %'
  return share > 0.999 ? '&gt; 99.9 %' : percent(share, 1)
}

function loss(value: number): string {
  return Number.isFinite(value) ? value.toFixed(4) : String(value)
}
