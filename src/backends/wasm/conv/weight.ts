import {
  f32,
  f32x4,
  type FunctionBuilder,
  type FunctionRef,
  type I32,
  i32,
  i32x4,
  type Local,
  type ModuleBuilder,
  v128,
} from '../assembler.js'
import { kernelParameters } from '../launch.js'
import { emitShare } from '../rows.js'
import type { CopyPlanes, CopyStretch } from './copy-planes.js'
import { multiplyAdd } from './micro-kernels.js'
import { tapWords, words, workspace } from './words.js'

/**
 * The gradient of the weight: products of planes, added up over places and images. The planes of the output's gradient
 * have zeros where the planes of the input have what lies between rows.
 *
 * One order in every mode: images in groups, whose size depends on the sizes of the convolution alone; within a group
 * eight sums take turns along the places of one image after another, then are added in pairs; groups ascending.
 * A thread owns its elements of the weight.
 *
 * The ladder (GFLOP/s of one Zen 3 core, best of many samples on a shared machine; window 3, padding 1):
 *
 * | version | idea                                                          | [32,16,14²]→32 | [8,64,56²]→64 | [8,512,7²]→512 |
 * |---------|---------------------------------------------------------------|----------------|---------------|----------------|
 * | v0      | '256': image to columns, product of matrices                  |             58 |            65 |                |
 * | v1      | products of shifted planes, 3 filters x 3 taps, images in     |                |               |                |
 * |         | groups that fit 64 KiB                                        |             56 |            76 |                |
 * | v2      | taps from a table, planes that overlap by their zeros,        |                |               |                |
 * |         | all planes of a group in 512 KiB                              |             80 |            90 |             50 |
 * | v3      | in 2 MiB; '256': what is used                                 |             80 |            90 |             66 |
 * | v4      | the same in 'fma', each half of the eight sums by itself      |             42 |            48 |                |
 * | v5      | the same in 'plain' on Node 20                                |             29 |            30 |                |
 *
 * Without groups of images v1 makes 13 at 56², with 4 filters, which 15 registers do not hold, 39.
 */

/** Exported name of the kernel. */
export const weightEntry = 'convWeight'
/** Filters and taps whose sums one micro-kernel keeps in registers. */
export const weightTile = { filters: 3, taps: 3 } as const
/** Sums that take turns. */
export const weightLanes = 8

const range = (n: number) => Array.from({ length: n }, (_, i) => i)
type Int = Local<'i32'>

const microSignature = ['i32', 'i32', 'i32', 'i32', 'i32', 'i32', 'i32', 'i32', 'i32', 'i32'] as const
/**
 * Parameters: where the three taps begin in the planes of the first image, where the gradient's first plane begins, step
 * to its next filter, images, step to the next image of the planes and of the gradient, steps of eight places, sums.
 */
type WeightMicroKernel = FunctionRef<typeof microSignature>

/** `vectors` of the eight sums at once: 2, or 1 where registers are short and the kernel is called for each half. */
function addMicroKernel(module: ModuleBuilder, filters: number, vectors: number, fma: boolean): WeightMicroKernel {
  const f = module.function(`convWeight${filters}`, microSignature)
  const [x0, x1, x2, dy, filterStep, images, xStep, dyStep, steps, sumsAt] = f.params
  const taps = [x0, x1, x2]
  const sums = range(filters).map(() => taps.map(() => range(vectors).map(() => f.local('v128'))))
  const pointers = taps.map(() => f.local('i32'))
  const gradients = range(filters).map(() => f.local('i32'))
  const [left, g] = [f.local('i32'), range(vectors).map(() => f.local('v128'))]
  const values = taps.map(() => range(vectors).map(() => f.local('v128')))
  f.doWhile(() => {
    for (const [k, pointer] of pointers.entries()) f.set(pointer, taps[k] ?? x0)
    for (const [i, pointer] of gradients.entries())
      f.set(pointer, i === 0 ? dy : (gradients[i - 1] ?? dy).add(filterStep))
    f.set(left, steps)
    f.doWhile(() => {
      for (const [k, own] of values.entries())
        for (const [j, local] of own.entries()) f.set(local, v128.load(pointers[k] ?? x0, j * 16))
      for (const [i, own] of sums.entries()) {
        for (const [j, local] of g.entries()) f.set(local, v128.load(gradients[i] ?? dy, j * 16))
        for (const [k, pair] of own.entries())
          for (const [j, sum] of pair.entries()) {
            const [a, b] = [g[j] ?? sum, values[k]?.[j] ?? sum]
            f.set(sum, multiplyAdd(fma, a, b, sum))
          }
      }
      for (const pointer of [...pointers, ...gradients]) f.inc(pointer, weightLanes * 4)
      f.inc(left, -1)
    }, left)
    for (const tap of taps) f.inc(tap, xStep)
    f.inc(dy, dyStep)
    f.inc(images, -1)
  }, images)
  for (const [i, own] of sums.entries())
    for (const [k, pair] of own.entries())
      for (const [j, sum] of pair.entries()) f.store(sumsAt, sum, ((i * weightTile.taps + k) * 2 + j) * 16)
  return f
}

export function addWeight(
  module: ModuleBuilder,
  mode: { readonly wide: boolean; readonly fma: boolean },
  copy: {
    readonly planes: CopyPlanes
    readonly stretch: CopyStretch
  },
): void {
  const vectors = mode.wide ? 2 : 1
  const micro = range(weightTile.filters).map((i) => addMicroKernel(module, i + 1, vectors, mode.fma))
  const f = module.function(weightEntry, kernelParameters, { export: true })
  const [params, thread, threads] = f.params
  const word = (name: keyof typeof words) => f.let(i32.load(params, words[name] * 4))
  const [groups, channels, filters, taps] = [word('groups'), word('channels'), word('filters'), word('taps')]
  const [tapGroups, batch, atOnce] = [word('tapGroups'), word('batch'), word('imagesAtOnce')]
  const [sourcePlane, outputPlane, channelStep] = [word('sourcePlane'), word('outputPlane'), word('channelStep')]
  const [gradientPlane, pitch, steps] = [word('gradientPlane'), word('pitch'), word('steps')]
  const [rows, columns, planesBytes] = [word('gradientRows'), word('gradientColumns'), word('planesBytes')]
  const tapTable = f.let(params.add(word('tapsAt').shl(2)))
  const blocks = f.let(filters.add(weightTile.filters - 1).divU(weightTile.filters))
  const perGroup = f.let(blocks.mul(tapGroups))
  const weightRow = f.let(channels.mul(taps).shl(2))
  const { lo, hi } = emitShare(f, groups.mul(perGroup), thread, threads)
  const work = f.let(word('work').add(thread.mul(word('workBytes'))))
  const planes = f.let(work.add(workspace.planes))
  const gradients = f.let(planes.add(i32.load(params, words.gradientsAt * 4)))
  const [source, gradient, output] = [word('source'), word('weight'), word('output')]
  f.if(lo.lt(hi), () => f.memoryFill(planes, 0, word('workBytes').sub(workspace.planes)))

  const locals = () => f.local('i32')
  const [g, rest, end, n, images, unit, block, next, stop] = [
    locals(),
    locals(),
    locals(),
    locals(),
    locals(),
    locals(),
    locals(),
    locals(),
    locals(),
  ]
  const [i, c, tap, image, first, count, to] = [locals(), locals(), locals(), locals(), locals(), locals(), locals()]
  const taken = range(weightTile.taps).map(locals)
  const dyStep = f.let(gradientPlane.mul(weightTile.filters))
  const least = (x: Int, most: I32) => f.if(x.gt(most), () => f.set(x, most))

  f.while(lo.lt(hi), () => {
    f.set(g, lo.divU(perGroup))
    f.set(rest, lo.remU(perGroup))
    f.set(end, rest.add(hi.sub(lo)))
    least(end, perGroup)
    f.inc(lo, end.sub(rest))
    f.set(n, 0)
    f.while(n.lt(batch), () => {
      f.set(images, batch.sub(n))
      least(images, atOnce)
      f.for(i, 0, images, 1, () => {
        f.set(image, n.add(i).mul(groups).add(g))
        f.call(copy.planes, [
          params,
          planes.add(i.mul(planesBytes)),
          source.add(image.mul(channels).mul(sourcePlane)),
          channels,
        ])
      })
      f.set(unit, rest)
      f.while(unit.lt(end), () => {
        f.set(block, unit.divU(tapGroups))
        f.set(next, unit.remU(tapGroups))
        f.set(stop, next.add(end.sub(unit)))
        least(stop, tapGroups)
        f.inc(unit, stop.sub(next))
        f.set(first, block.mul(weightTile.filters))
        f.set(count, filters.sub(first))
        f.if(count.gt(weightTile.filters), () => f.set(count, weightTile.filters))
        f.for(i, 0, images, 1, () => {
          f.set(image, n.add(i).mul(groups).add(g).mul(filters).add(first))
          f.for(c, 0, count, 1, () => {
            const target = gradients.add(i.mul(dyStep)).add(c.mul(gradientPlane))
            const from = gradient.add(image.add(c).mul(outputPlane))
            f.call(copy.stretch, [target, pitch, from, columns.shl(2), 4, rows, columns])
          })
        })
        // The taps of all channels in a row: the first of this stretch.
        f.set(c, next.mul(weightTile.taps).divU(taps))
        f.set(tap, next.mul(weightTile.taps).remU(taps))
        f.set(to, output.add(g.mul(filters).add(first).mul(weightRow)).add(next.mul(weightTile.taps * 4)))
        f.while(next.lt(stop), () => {
          for (const [k, place] of taken.entries()) {
            // Behind the last tap the one before it is computed again, and left out below.
            const within = c.lt(channels)
            f.if(
              within,
              () => {
                f.set(
                  place,
                  planes
                    .add(c.mul(channelStep))
                    .add(i32.load(tapTable.add(tap.mul(tapWords.count * 4)), tapWords.source * 4)),
                )
                f.inc(tap, 1)
                f.if(tap.eq(taps), () => {
                  f.set(tap, 0)
                  f.inc(c, 1)
                })
              },
              () => f.set(place, taken[k - 1] ?? planes),
            )
          }
          for (let half = 0; half < 2; half += vectors) {
            const [x0, x1, x2] = taken.map((place) => place.add(half * 16))
            if (!x0 || !x1 || !x2) continue
            callMicro(f, micro, count, [
              ...([x0, x1, x2] as const),
              ...([gradients.add(half * 16), gradientPlane, images, planesBytes, dyStep, steps] as const),
              work.add(half * 16),
            ])
          }
          addSums(f, { work, to, n, count, weightRow, left: f.let(channels.mul(taps).sub(next.mul(weightTile.taps))) })
          f.inc(to, weightTile.taps * 4)
          f.inc(next, 1)
        })
      })
      f.inc(n, atOnce)
    })
  })
}

type Fn = FunctionBuilder<typeof kernelParameters, 'none'>
type Ten = readonly [I32, I32, I32, I32, I32, I32, I32, I32, I32, I32]

function callMicro(f: Fn, micro: readonly WeightMicroKernel[], count: Int, args: Ten): void {
  const [one, two, three] = micro
  if (!one || !two || !three) return
  f.if(
    count.ge(3),
    () => f.call(three, args),
    () =>
      f.if(
        count.eq(2),
        () => f.call(two, args),
        () => f.call(one, args),
      ),
  )
}

/** Adds the eight sums of each element in pairs, and the result to the weight's gradient; sets it for the first images. */
function addSums(
  f: Fn,
  { work, to, n, count, weightRow, left }: Readonly<Record<'work' | 'to' | 'n' | 'count' | 'weightRow' | 'left', Int>>,
): void {
  const vector = f.local('v128')
  const [row, i, at] = [f.local('i32'), f.local('i32'), f.local('i32')]
  const sum = f.local('f32')
  f.set(row, to)
  f.set(at, work)
  f.for(i, 0, count, 1, () => {
    for (const k of range(weightTile.taps)) {
      const store = () => {
        f.set(vector, f32x4.add(v128.load(at, k * 32), v128.load(at, k * 32 + 16)))
        f.set(vector, f32x4.add(vector, i32x4.shuffle(vector, vector, [2, 3, 0, 1])))
        f.set(sum, f32.add(f32x4.extract_lane(vector, 0), f32x4.extract_lane(vector, 1)))
        f.if(n, () => f.set(sum, f32.add(f32.load(row, k * 4), sum)))
        f.store(row, sum, k * 4)
      }
      if (k === 0) store()
      else f.if(left.gt(k), store)
    }
    f.inc(at, weightTile.taps * 32)
    f.inc(row, weightRow)
  })
}
