// How long should an average remember? Nobody knows before the training, and each answer would need a shadow of its own.
// Two power-function averages with a few snapshots of each are enough: afterwards any other is put together from them
// (Karras and others, "Analyzing and improving the training dynamics of diffusion models", 2024, section 3).
import { compile, crossEntropy, defaultDevice, f32, i32, manualSeed } from 'dfdt'
import { batches } from 'dfdt/data'
import { linear, relu, sequential } from 'dfdt/nn'
import { adam } from 'dfdt/optim'
import { follow, type ModelSnapshot, postHocEma, powerEma } from 'dfdt/update'
import { compare, draw, small, stepsOr } from './compare.js'
import { columnsOf, judge, pixels, train as all } from './mnist.js'

const steps = stepsOr(small ? 300 : 6_000)
const apart = Math.ceil(steps / 10)
const widths = [0.02, 0.04, 0.07, 0.1, 0.15, 0.2, 0.25]
const net = () => sequential(linear(pixels, 128), relu(), linear(128, 10))
type Net = ReturnType<typeof net>
const score = (model: Pick<Net, 'forward'>): number => judge((images) => model.forward(images)).loss

/** A model of a training that keeps two averages, and both as they were after every so many steps. */
function train() {
  const model = net()
  const optimizer = adam(model, { lr: 2e-3 })
  const kept = [0.05, 0.1].map((sigmaRel) => follow(model, powerEma({ sigmaRel })))
  // A third, kept to compare: what is put together afterwards should be as good.
  const reference = follow(model, powerEma({ sigmaRel: 0.2 }))
  const step = compile([f32(32, pixels), i32(32)], (images, labels) => {
    const loss = crossEntropy(model.forward(images.trace()), labels)
    optimizer.step(loss.backward())
    for (const shadow of [...kept, reference]) shadow.update()
    return loss
  })
  const snapshots: ModelSnapshot<Net>[] = []
  const shuffle = defaultDevice().generator
  for (const { images, labels } of batches(columnsOf(all), 32, { shuffle, passes: Number.POSITIVE_INFINITY })) {
    step(images, labels).dispose()
    const done = reference.steps
    if (done % apart === 0) for (const shadow of kept) snapshots.push(shadow.snapshot())
    if (done === steps) break
  }
  step.dispose()
  return { model, reference: reference.model, snapshots }
}

const nameOf = (width: number) => `σ_rel ${width}`
const [last, keptName] = ['last weights', 'σ_rel 0.2, kept while training'] as const
export const results = compare(
  'MNIST, cross-entropy on the test digits (less is better)',
  (seed): Record<string, number> => {
    manualSeed(seed)
    const training = train()
    const afterwards = widths.map(
      (width) => [nameOf(width), score(postHocEma(training.snapshots, { sigmaRel: width }))] as const,
    )
    return {
      [last]: score(training.model),
      [keptName]: score(training.reference),
      ...Object.fromEntries(afterwards),
    }
  },
  (loss) => loss.toFixed(4),
)

picture()

/** A line for each seed, the loss over the width; its last weights at 0, the average kept while training as a ring. */
function picture(): void {
  const losses = results.flatMap((result) => Object.values(result))
  const [least, most] = [Math.min(...losses), Math.max(...losses)]
  const x = (width: number) => (60 + (width / 0.25) * 480).toFixed(1)
  const y = (loss = most) => (220 - ((loss - least) / (most - least)) * 190).toFixed(1)
  const lines = results.map((result) => {
    const along = widths.map((width) => `${x(width)},${y(result[nameOf(width)])}`)
    const dot = `<circle cx="${x(0)}" cy="${y(result[last])}" r="4"/>`
    const ring = `<circle cx="${x(0.2)}" cy="${y(result[keptName])}" r="4" fill="none"/>`
    return `<polyline points="${along.join(' ')}" fill="none"/>${dot}${ring}`
  })
  const ticks = [0, 0.05, 0.1, 0.15, 0.2, 0.25].map((width) => `<text x="${x(width)}" y="244">${width}</text>`)
  const levels = [least, most].map((loss) => `<text x="28" y="${y(loss)}">${loss.toFixed(3)}</text>`)
  const legend = '<text x="300" y="268">loss over σ_rel; dots: last weights; rings: kept while training</text>'
  const style = 'g{stroke:#2563ab;fill:#2563ab;stroke-width:1.6}'
  draw(
    'power-ema',
    'Test loss over the width of the average, a line for each seed',
    [580, 280],
    style,
    `<g>${lines.join('')}</g>${ticks.join('')}${levels.join('')}${legend}`,
  )
}
