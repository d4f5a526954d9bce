import * as d from '../../src/ops/index.js'
import type { Device } from '../../src/tensor/device.js'
import { ema } from '../../src/update/rules/ema.js'
import { update } from '../../src/update/update.js'
import type { AnyX } from '../ops/cases.js'

/**
 * Random programs as pure data: a list of steps, each a few whole numbers, interpreted on the tensors made so far. Every
 * list is a valid program, so that fast-check can shorten what fails.
 */
export type Step = readonly [kind: number, a: number, b: number, c: number]

/** Two models of one parameter each, of one shape: what steps write in place. */
export interface State {
  readonly p: { readonly w: AnyX }
  readonly q: { readonly w: AnyX }
}

const mostElements = 40_000

const maps: readonly ((x: AnyX, c: number) => AnyX)[] = [
  (x) => x.neg(),
  (x) => x.tanh(),
  (x) => x.relu(),
  (x) => x.sigmoid(),
  (x) => x.abs().add(0.5).sqrt(),
  (x, c) => x.mul((c % 7) / 4 - 0.5),
  (x, c) => x.add((c % 5) / 3),
  (x) => d.gelu(x),
  (x) => d.clamp(x, { min: -0.5, max: 0.75 }),
  (x) => x.mul(x).sub(x),
  (x) => d.where(x.gt(0), x, x.mul(0.25)),
  (x) => x.exp().add(1).log(),
]

const at = <X>(list: readonly X[], i: number): X => list[i % list.length] as X

/** Another tensor of x's shape, or x itself where there is none. */
const partner = (all: readonly AnyX[], x: AnyX, c: number): AnyX =>
  at(
    all.filter((y) => String(y.shape) === String(x.shape)),
    c,
  )

/** Sums over an axis, repeated along it again. */
function spread(x: AnyX, axis: number, reduced: AnyX): AnyX {
  const kept = (x.shape as number[]).map((size, i) => (i === axis ? 1 : size))
  return reduced.reshape(kept).broadcastTo(x.shape)
}

const axesTurned = (x: AnyX) => Array.from({ length: x.rank }, (_, i) => x.rank - 1 - i) as [1, 0]

const kinds: readonly ((all: readonly AnyX[], x: AnyX, b: number, c: number, device: Device, state: State) => AnyX)[] =
  [
    (_all, x, b, c) => at(maps, b)(x, c),
    (_all, x, b, c) => at(maps, b)(at(maps, c)(at(maps, b + c)(x, b), c), b),
    (all, x, b, c) => {
      const y = partner(all, x, c)
      return at(
        [() => x.add(y), () => x.sub(y), () => x.mul(y), () => d.maximum(x, y), () => d.where(x.lt(y), y, x)],
        b,
      )()
    },
    (_all, x, b) => (x.rank === 0 ? x : at([d.sum, d.mean, d.max, d.min, d.logSumExp], b)(x, (b % x.rank) as never)),
    (_all, x, b, c) => {
      if (x.rank === 0) return x
      const axis = c % x.rank
      return x.sub(spread(x, axis, at([d.sum, d.mean, d.max], b)(x, axis as never)).mul(0.25))
    },
    (_all, x, b) =>
      x.rank === 0
        ? x
        : d
            .argmax(x, (b % x.rank) as never as 0)
            .to('f32')
            .mul(0.1),
    (_all, x) =>
      x.rank < 2 ? x : d.permute(x, ...(Array.from({ length: x.rank }, (_, i) => x.rank - 1 - i) as [1, 0])),
    (_all, x, b) => (b % 2 === 0 || x.rank < 2 ? x.reshape([x.size]) : x.reshape([x.shape[1], -1])),
    (_all, x, b) => {
      if (x.rank === 0 || x.shape[0] < 2) return x
      return b % 2 === 0 ? d.slice(x, [[1, x.shape[0]]] as never) : d.select(x, 0, (b % x.shape[0]) as never)
    },
    (all, x, b, c) => {
      const y = partner(all, x, c)
      if (x.rank === 0) return d.stack([x, y] as never)
      return b % 3 === 0 ? d.stack([x, y] as never, -1 as never) : d.concat([x, y] as never, (b % x.rank) as never)
    },
    (_all, x, b) => (x.rank === 0 ? x : d.pad(x, [[b % 2, 1]] as never, 0.5)),
    (_all, x, b) => {
      if (x.rank < 2) return x
      const swapped = d.permute(x, ...([...Array(x.rank - 2).keys(), x.rank - 1, x.rank - 2] as never as [1, 0]))
      const edge = x.shape.at(b % 2 === 0 ? -2 : -1) as number
      if (edge * edge > mostElements) return x
      const inner = b % 2 === 0 ? d.matmul(x, swapped) : d.matmul(swapped, x)
      return (inner as AnyX).mul(0.1)
    },
    (_all, x, b, c, device) => {
      if (x.rank === 0) return x
      const size = x.shape[b % x.rank] as number
      const picks = Array.from({ length: 1 + (c % 4) }, (_, i) => (c + 3 * i) % size)
      return d.gather(x, (b % x.rank) as never, d.tensor(picks, { dtype: 'i32', device }) as never)
    },
    (_all, x) => (x.rank === 0 ? x : d.softmax(x, -1 as never)),
    (_all, x, b, c, device) => {
      const values = Float32Array.from({ length: x.size }, (_, i) => (((i + b) * 7) % (5 + (c % 6))) / 4 - 0.5)
      return x.mul(d.tensor(values, x.shape, { device }))
    },
    (_all, x, b, _c, device) =>
      b % 2 === 0 ? d.dropout(x, { p: 0.3, training: true }) : x.add(d.uniform(x.shape, { device })),
    (_all, x, _b, _c, _device, { p, q }) =>
      x.mul(p.w.sum().detach().broadcastTo(x.shape)).add(q.w.tanh().mean().detach().broadcastTo(x.shape)),
    (_all, x, _b, _c, _device, { p }) => x.add(p.w.mul(2).add(0.125).max().detach().broadcastTo(x.shape)),
    // Products with what follows them: bias, activation, mask, residual, position.
    (all, x, b, c, device) => {
      if (x.rank < 2 || x.size === 0) return x
      const [rows, columns] = [x.shape.at(-2), x.shape.at(-1)] as [number, number]
      if (columns * columns > mostElements) return x
      const numbers = (count: number) => Float32Array.from({ length: count }, (_, i) => ((i * 5 + b) % 11) / 8 - 0.6)
      const w = d.tensor(numbers(columns * columns), [columns, columns], { device })
      const product = (b % 2 === 0 ? x.matmul(w) : x.matmul(w.permute(1, 0))).mul(1 / columns) as AnyX
      const bias = d.tensor(numbers(columns), [columns], { device }).broadcastTo(x.shape)
      const column = d.tensor(numbers(rows), [rows, 1], { device }).broadcastTo(x.shape)
      return at(
        [
          () => product.add(bias).relu(),
          () => product.add(bias).add(column).tanh(),
          () => product.add(x),
          () => d.where(partner(all, x, b).gt(0), product, 0),
          () => product.reshape([x.size]).mul(0.5).reshape(x.shape),
          () => d.dropout(product.add(bias) as never, { p: 0.5, training: true }),
          () => product.add(x.permute(...axesTurned(x)).reshape(x.shape)),
        ] as (() => AnyX)[],
        c,
      )()
    },
    // Images: convolution and pooling with what follows them.
    (_all, x, b, c, device) => {
      if (x.rank < 2 || x.size === 0) return x
      const [h, w] = [x.shape.at(-2), x.shape.at(-1)] as [number, number]
      const images = x.reshape([-1, 1, h, w])
      const weight = Float32Array.from({ length: 9 * 2 }, (_, i) => ((i * 7 + c) % 9) / 8 - 0.5)
      const filters = d.tensor(weight, [2, 1, 3, 3], { device })
      const bias = d.tensor(Float32Array.of(0.25, -0.5), [2], { device })
      const y = d.conv2d(images as never, filters as never, bias as never, { padding: 1 } as never) as AnyX
      if (y.size > mostElements) return x
      const biased = y.relu() as AnyX
      if (b % 2 === 0 || h < 2 || w < 2) return biased
      return (d.maxPool2d(biased as never, 2 as never) as AnyX).mul(0.5).abs()
    },
    // Row by row: several reductions, their numbers kept or not.
    (_all, x, b, c) => {
      if (x.rank === 0 || x.size === 0) return x
      const last = x.rank - 1
      const centred = x.sub(spread(x, last, d.mean(x, last as never) as AnyX)) as AnyX
      const scale = d.sum(centred.square() as never, last as never) as AnyX
      return at(
        [
          () => d.logSoftmax(x, last as never),
          () => centred.mul(spread(x, last, scale.add(1).sqrt())),
          () => scale.add(d.max(x, last as never)),
          () => spread(x, last, d.sum(d.softmax(x, last as never).mul(x) as never, last as never) as AnyX).add(x),
        ] as (() => AnyX)[],
        b + c,
      )()
    },
    (_all, x, b, _c, _device, { p, q }) => {
      if (b % 2 === 0) update({ target: p, source: q }, ema({ decay: 0.75 }))
      else update({ target: q, source: p }, ema({ decay: 0.5 }))
      return x
    },
  ]
/** The kinds that write in place: gradients of what was computed before are refused then. */
export const writing = kinds.length - 1

export const kindCount = kinds.length

/** Interprets the steps; gives some intermediate results, the last one, and the gradient of the first input if wanted. */
export function runGraph(
  device: Device,
  steps: readonly Step[],
  inputs: readonly AnyX[],
  state: State,
  gradient: boolean,
): AnyX[] {
  const [first, ...others] = inputs
  const all: AnyX[] = [gradient ? first.trace() : first, ...others]
  for (const [kind, a, b, c] of steps) {
    const x = at(all, a)
    const y = at(kinds, kind)(all, x, b, c, device, state)
    if (y.size > 0 && y.size <= mostElements) all.push(y)
  }
  const shown = all.slice(inputs.length).filter((_, i, made) => i % 3 === 0 || i === made.length - 1)
  if (!gradient) return shown
  const plain = shown.map((x) => x.detach().mul(1))
  const taped = all.filter((x) => x.tape === 'taped')
  const loss = taped.map((x) => x.mul(0.5).mean()).reduce((sum, x) => sum.add(x))
  return [...plain, loss.backward().get(first)]
}
