import type uPlot from 'uplot'

/** What the page's script reads: parallel arrays, one entry a point. */
export interface ChartData {
  readonly steps: number
  readonly train: { readonly step: readonly number[]; readonly loss: readonly number[] }
  readonly epochs: {
    readonly step: readonly number[]
    readonly studentLoss: readonly number[]
    readonly teacherLoss: readonly number[]
    readonly studentAccuracy: readonly number[]
    readonly teacherAccuracy: readonly number[]
  }
}

/**
 * Draws the report's charts. The report embeds this function's own text, so it must not use anything from outside its
 * body: only its arguments and what a browser has.
 */
export function drawCharts(Chart: typeof uPlot, data: ChartData): void {
  type Row = (number | null)[]
  const colour = (name: string) => getComputedStyle(document.documentElement).getPropertyValue(name).trim()
  const whole = (value: number) => Math.round(value).toLocaleString('en-US')
  const percent = (value: number) => `${(100 * value).toFixed(2)} %`
  const loss = (value: number) => (value >= 0.1 ? value.toFixed(3) : value.toPrecision(3))

  /** One ascending list of steps, and each series spread over it with `null` where it has no point. */
  const align = (...series: { step: readonly number[]; value: readonly number[] }[]): [number[], ...Row[]] => {
    const steps = [...new Set(series.flatMap(({ step }) => step))].sort((a, b) => a - b)
    const rows = series.map(({ step, value }) => {
      const at = new Map(step.map((s, i) => [s, value[i] ?? null]))
      return steps.map((s) => at.get(s) ?? null)
    })
    return [steps, ...rows]
  }

  /** The point of a series nearest to the cursor, so that a series with few points answers everywhere. */
  const nearest = (plot: uPlot, series: number, hovered: number): number => {
    const row = plot.data[series]
    if (!row) return hovered
    for (let away = 0; away < row.length; away++) {
      if (row[hovered - away] != null) return hovered - away
      if (row[hovered + away] != null) return hovered + away
    }
    return hovered
  }

  const names: Record<string, string> = { training: '--train', student: '--student', teacher: '--teacher' }
  const line = (label: string, format: (value: number) => string, more: uPlot.Series): uPlot.Series => ({
    label,
    stroke: () => colour(names[label] ?? '--muted'),
    width: 2,
    spanGaps: true,
    // Without a cursor the legend shows where the run ended.
    value: (plot, value: number | null, series) => {
      const shown = value ?? plot.data[series]?.[nearest(plot, series, plot.data[0].length - 1)]
      return shown == null ? '' : format(shown)
    },
    ...more,
  })
  const dots = (stroke: string, fill: string): uPlot.Series => ({
    points: { show: true, size: 9, width: 2, stroke: () => colour(stroke), fill: () => colour(fill) },
  })
  const training = () => line('training', loss, { width: 1.25, points: { show: false } })
  const student = (format: (value: number) => string) =>
    line('student', format, { dash: [7, 4], ...dots('--student', '--surface') })
  const teacher = (format: (value: number) => string) => line('teacher', format, dots('--teacher', '--teacher'))

  const axis = (more: uPlot.Axis): uPlot.Axis => ({
    stroke: () => colour('--muted'),
    font: '12px system-ui, sans-serif',
    labelFont: '12px system-ui, sans-serif',
    grid: { stroke: () => colour('--line'), width: 1 },
    ticks: { stroke: () => colour('--line'), width: 1, size: 4 },
    ...more,
  })

  const size = (place: Element) => ({ width: place.clientWidth, height: 280 })
  const plots = new Map<Element, uPlot>()
  const resized = new ResizeObserver((entries) => {
    for (const { target } of entries) plots.get(target)?.setSize(size(target))
  })

  const draw = (id: string, rows: [number[], ...Row[]], scale: uPlot.Scale, series: uPlot.Series[], y: uPlot.Axis) => {
    const place = document.getElementById(id)
    if (!place) return
    plots.get(place)?.destroy()
    const x = { size: 30, gap: 6, labelSize: 18, labelGap: 0, label: 'optimizer steps', space: 70 }
    const plot = new Chart(
      {
        ...size(place),
        scales: { x: { time: false, range: [0, data.steps * 1.02] }, y: scale },
        axes: [axis({ ...x, values: (_, at) => at.map(whole) }), axis({ size: 58, gap: 6, ...y })],
        series: [{ label: 'step', value: (_, value: number | null) => whole(value ?? data.steps) }, ...series],
        cursor: { y: false, dataIdx: nearest, drag: { x: false, y: false }, points: { size: 9 } },
        legend: { markers: { width: 0, fill: (_, at) => colour(names[`${series[at - 1]?.label}`] ?? '--surface') } },
      },
      rows,
      place,
    )
    plots.set(place, plot)
    resized.observe(place)
  }

  const drawAll = () => {
    const { train, epochs } = data
    const values = [...train.loss, ...epochs.studentLoss, ...epochs.teacherLoss]
    // A run that diverged has losses that JSON knows only as null. Whole decades would waste half of the picture.
    const drawn = values.filter((value) => value > 0)
    const low = Math.min(1, ...drawn) * 0.8
    const high = Math.max(low, ...drawn) * 1.25
    draw(
      'loss',
      align(
        { step: train.step, value: train.loss },
        { step: epochs.step, value: epochs.studentLoss },
        { step: epochs.step, value: epochs.teacherLoss },
      ),
      { distr: 3, range: [low, high] },
      [training(), student(loss), teacher(loss)],
      {
        splits: () => {
          const decades = [-6, -5, -4, -3, -2, -1, 0, 1, 2].flatMap((power) =>
            [1, 2, 5].map((digit) => digit * 10 ** power),
          )
          return decades.filter((value) => value >= low && value <= high)
        },
        filter: (_, at) => at,
        values: (_, at) => at.map((value) => `${Number(value.toPrecision(1))}`),
      },
    )
    const scores = [...epochs.studentAccuracy, ...epochs.teacherAccuracy]
    const least = Math.min(...scores)
    const most = Math.max(...scores)
    const room = Math.max(0.2 * (most - least), 0.002)
    draw(
      'accuracy',
      align({ step: epochs.step, value: epochs.studentAccuracy }, { step: epochs.step, value: epochs.teacherAccuracy }),
      { range: [Math.max(0, least - room), Math.min(1, most + room)] },
      [student(percent), teacher(percent)],
      { values: (_, at) => at.map((value) => `${Number((100 * value).toFixed(2))} %`) },
    )
  }

  drawAll()
  matchMedia('(prefers-color-scheme: dark)').addEventListener('change', drawAll)
}
