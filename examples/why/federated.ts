// Four workers train on digits that never leave them, and no two have the same: each knows two to five of the ten classes.
// Alone they cannot learn the rest. Every 50 steps their models are averaged, weighted by how many digits each has, and all
// go on from the average (McMahan and others, "Communication-efficient learning of deep networks", 2017).
import { compile, crossEntropy, defaultDevice, f32, i32, manualSeed } from 'dfdt'
import { batches } from 'dfdt/data'
import { clone, linear, relu, sequential } from 'dfdt/nn'
import { sgd } from 'dfdt/optim'
import { average, copy, update } from 'dfdt/update'
import { compare, small, stepsOr } from './compare.js'
import { columnsOf, type Digits, judge, pixels, train as all } from './mnist.js'

const rounds = small ? 6 : 40
const local = stepsOr(50)
const net = () => sequential(linear(pixels, 128), relu(), linear(128, 10))
type Net = ReturnType<typeof net>

/** The digits at some places. */
function pick(places: readonly number[]): Digits {
  const images = new Uint8Array(places.length * pixels)
  for (const [i, place] of places.entries())
    images.set(all.images.subarray(place * pixels, (place + 1) * pixels), i * pixels)
  return { images, labels: Uint8Array.from(places, (place) => all.labels[place] ?? 0) }
}

/** Sorted by class and cut into eight; each worker gets two of the pieces, of different sizes. */
function shards(): Digits[] {
  const places = Array.from(all.labels, (label, place) => ({ label, place })).sort((a, b) => a.label - b.label)
  const cuts = [0, 0.1, 0.2, 0.35, 0.5, 0.6, 0.7, 0.85, 1].map((share) => Math.round(share * places.length))
  const piece = (i: number) => places.slice(cuts[i], cuts[i + 1]).map(({ place }) => place)
  return [0, 1, 2, 3].map((i) => pick([...piece(i), ...piece(i + 4)]))
}

/** Someone who trains a model on digits of their own. */
class Worker {
  readonly count: number
  readonly #batches: ReturnType<typeof endless>
  readonly #step

  constructor(
    readonly model: Net,
    digits: Digits,
  ) {
    const optimizer = sgd(model, { lr: 0.1 })
    this.count = digits.labels.length
    this.#batches = endless(digits)
    this.#step = compile([f32(32, pixels), i32(32)], (images, labels) => {
      const loss = crossEntropy(model.forward(images.trace()), labels)
      optimizer.step(loss.backward())
      return loss
    })
  }

  train(steps: number): void {
    for (let i = 0; i < steps; i++) {
      const { value } = this.#batches.next()
      if (value) this.#step(value.images, value.labels).dispose()
    }
  }
}

const endless = (digits: Digits) =>
  batches(columnsOf(digits), 32, { shuffle: defaultDevice().generator, passes: Number.POSITIVE_INFINITY })

/** The mean of the workers' models, weighted by how many digits each has. */
function meet(target: Net, workers: readonly Worker[]): void {
  average({ target, sources: workers.map(({ model }) => model) }, { weights: workers.map(({ count }) => count) })
}

export const results = compare(
  'MNIST on four workers that see different digits, accuracy on all test digits',
  (seed) => {
    manualSeed(seed)
    const start = net()
    const score = (model: Net) => judge((images) => model.forward(images)).accuracy
    const team = () => shards().map((digits) => new Worker(clone(start), digits))

    const together = team()
    const shared = clone(start)
    for (let round = 0; round < rounds; round++) {
      for (const worker of together) {
        update({ target: worker.model, source: shared }, copy())
        worker.train(local)
      }
      meet(shared, together)
    }

    const apart = team()
    for (const worker of apart) worker.train(rounds * local)
    const once = clone(start)
    meet(once, apart)

    const central = new Worker(clone(start), all)
    central.train(4 * rounds * local)
    return {
      'one worker alone, the best of four': Math.max(...apart.map(({ model }) => score(model))),
      'four workers, averaged once at the end': score(once),
      'four workers, averaged every 50 steps': score(shared),
      'all digits in one place': score(central.model),
    }
  },
  (share) => `${(100 * share).toFixed(2)} %`,
)
