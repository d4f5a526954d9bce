// A small generative model: flow matching learns a field of velocities that carries noise to a spiral. The last weights of
// a training are a random pick from around the good ones; their moving average is in the middle, and so are its samples.
import { compile, cos, full, manualSeed, mse, normal, sin, type Tape, type Tensor, uniform } from 'dfdt'
import { gelu, linear, sequential } from 'dfdt/nn'
import { adam } from 'dfdt/optim'
import { ema, follow } from 'dfdt/update'
import { compare, draw, small, stepsOr } from './compare.js'

const [usual, points, decay] = small ? [1_000, 2_000, 0.99] : [5_000, 8_000, 0.999]
const steps = stepsOr(usual)
const [batch, moves, lr] = [256, 50, 5e-3] as const

/** What is to be learnt: points along a spiral. */
function spiral<const N extends number>(count: N) {
  const far = uniform([count, 1]).sqrt()
  const angle = far.mul(3 * Math.PI)
  const line = cos(angle)
    .concat(sin(angle), 1)
    .mul(far.broadcastTo([count, 2]))
  return line.mul(2).add(normal([count, 2], { std: 0.03 }))
}

/** The velocity at a place and a time from 0 to 1. */
class Field {
  layers = sequential(linear(5, 128), gelu(), linear(128, 128), gelu(), linear(128, 128), gelu(), linear(128, 2))

  forward<N extends number, T extends Tape>(place: Tensor<[N, 2], 'f32', T>, time: Tensor<[N, 1]>) {
    const turn = time.mul(Math.PI)
    return this.layers.forward(place.concat(time.concat(sin(turn), 1).concat(cos(turn), 1), 1))
  }
}

/** A field, or the average of one. */
type Velocity = Pick<Field, 'forward'>

/** Trains on straight paths from noise to the spiral; gives the last weights and their average. */
function train(seed: number, rate: (step: number) => number): { raw: Velocity; average: Velocity } {
  manualSeed(seed)
  const raw = new Field()
  const average = follow(raw, ema({ decay }))
  const optimizer = adam(raw, { lr: rate })
  const step = compile(() => {
    const [from, to, time] = [normal([batch, 2]), spiral(batch), uniform([batch, 1])]
    const path = to.sub(from)
    const place = from.add(path.mul(time.broadcastTo([batch, 2])))
    const loss = mse(raw.forward(place.trace(), time), path)
    optimizer.step(loss.backward())
    average.update()
    return loss
  })
  for (let i = 0; i < steps; i++) step().dispose()
  step.dispose()
  return { raw, average: average.model }
}

/** Carries noise along the field of a model. */
function sample(model: Velocity, noise: Tensor<[number, 2]>): Float32Array {
  const move = compile((place: Tensor<[number, 2]>, time: Tensor<[number, 1]>) =>
    place.add(model.forward(place, time).mul(1 / moves)),
  )
  let place = noise
  for (let i = 0; i < moves; i++) {
    const time = full([points, 1], (i + 0.5) / moves)
    place = move(place, time)
  }
  move.dispose()
  return place.dataSync()
}

/**
 * Energy distance of two distributions by points of them, `2·E|a − b| − E|a − a'| − E|b − b'|`. It is 0 when they are one;
 * as no point is compared with itself, its expectation is exactly that, and chance may make it negative.
 */
function distance(a: Float32Array, b: Float32Array): number {
  const [others, all] = [points * (points - 1), points ** 2]
  return (2 * apart(a, b)) / all - (apart(a, a) + apart(b, b)) / others
}

/** The sum of all distances between a point of the one and a point of the other. */
function apart(a: Float32Array, b: Float32Array): number {
  let sum = 0
  for (let i = 0; i < a.length; i += 2)
    for (let j = 0; j < b.length; j += 2)
      sum += Math.sqrt(((a[i] ?? 0) - (b[j] ?? 0)) ** 2 + ((a[i + 1] ?? 0) - (b[j + 1] ?? 0)) ** 2)
  return sum
}

/** Clouds of points side by side, each on the line of the true spiral; a point is a stroke of no length. */
function picture(name: string, panels: Record<string, Float32Array>): void {
  const at = (x: number, y: number) => `${(130 + 58 * x).toFixed(0)} ${(120 - 58 * y).toFixed(0)}`
  const dots = (cloud: Float32Array) =>
    Array.from({ length: 1500 }, (_, i) => `M${at(cloud[2 * i] ?? 0, cloud[2 * i + 1] ?? 0)}h0`).join('')
  const line = Array.from({ length: 91 }, (_, i) => {
    const [far, angle] = [i / 45, (i / 90) * 3 * Math.PI]
    return at(far * Math.cos(angle), far * Math.sin(angle))
  })
  const drawn = Object.entries(panels).map(([title, cloud], i) => {
    const label = `<text x="130" y="232">${title}</text>`
    return `<g transform="translate(${260 * i})"><path d="${dots(cloud)}"/><polyline points="${line}"/>${label}</g>`
  })
  const dot = 'path{stroke:#2563ab;stroke-width:2;stroke-linecap:round;stroke-opacity:.4}'
  const style = `${dot}polyline{fill:none;stroke:#e4572e;stroke-width:.8}`
  draw(
    name,
    'The spiral, samples of the last weights, samples of their average',
    [260 * drawn.length, 244],
    style,
    drawn.join(''),
  )
}

export const results = compare(
  'Energy distance of samples to the spiral, times 1000 (less is better)',
  (seed) => {
    const constant = train(seed, () => lr)
    const decayed = train(seed, (step) => lr * (0.5 + 0.5 * Math.cos((Math.PI * step) / steps)))
    manualSeed(1_000_000 + seed)
    const [truth, noise] = [spiral(points).dataSync(), normal([points, 2])]
    const [last, average] = [sample(constant.raw, noise), sample(constant.average, noise)]
    picture(`flow-matching-${seed}`, { 'the spiral': truth, 'last weights': last, 'their average': average })
    return {
      'last weights': distance(last, truth),
      'their average': distance(average, truth),
      'last weights, learning rate decayed': distance(sample(decayed.raw, noise), truth),
      'their average, learning rate decayed': distance(sample(decayed.average, noise), truth),
      'the spiral itself, drawn again': distance(spiral(points).dataSync(), truth),
    }
  },
  (value) => (1000 * value).toFixed(2),
)
