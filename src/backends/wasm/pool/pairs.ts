import { f32x4, i32, i32x4, type Local, type ModuleBuilder, type V128, v128 } from '../assembler.js'
import { epilogueParameters } from '../epilogue.js'
import { kernelParameters } from '../launch.js'
import { emitShare } from '../rows.js'
import { words } from './words.js'

/**
 * Poolings by windows of 2 x 2 side by side, four windows at a time: two rows are taken apart into even and odd columns,
 * or put together from them. Threads share planes. The last four windows of a row overlap those before; each window
 * writes places of its own, so nothing is added twice.
 */

/** The four elements of four windows, in the order in which a window is searched. */
type Four = readonly [V128, V128, V128, V128]

const even = [0, 2, 4, 6] as const
const odd = [1, 3, 5, 7] as const

interface PairLoop {
  /** Address of the first of four windows' elements in the small operand, and of their upper row in the large ones. */
  readonly small: Local<'i32'>
  readonly large: Local<'i32'>
  /** The same place in another operand of the image's size; `large` where there is none. */
  readonly beside: Local<'i32'>
  /** From the upper row to the lower. */
  readonly row: Local<'i32'>
}

/** Emits the loops; `body` handles four windows. */
function addPairs(
  module: ModuleBuilder,
  name: string,
  operands: {
    readonly small: keyof typeof words
    readonly large: keyof typeof words
    readonly beside?: keyof typeof words
    readonly clears: boolean
  },
  body: (f: ReturnType<typeof kernelIn>, loop: PairLoop) => void,
): void {
  const epilogue = module.indirect(epilogueParameters)
  const f = kernelIn(module, name)
  const [params, thread, threads] = f.params
  const word = (of: keyof typeof words) => f.let(i32.load(params, words[of] * 4))
  const [height, width, outHeight, outWidth] = [word('height'), word('width'), word('outHeight'), word('outWidth')]
  const planeBytes = f.let(height.mul(width).shl(2))
  const { lo, hi } = emitShare(f, word('planes'), thread, threads)
  const row = f.let(width.shl(2))
  const large = f.let(word(operands.large).add(lo.mul(planeBytes)))
  const small = f.let(word(operands.small).add(lo.mul(outHeight).mul(outWidth).shl(2)))
  const shift = operands.beside && f.let(word(operands.beside).sub(word(operands.large)))
  const call = word('call')
  const callBlock = f.let(params.add(word('callBlock')))
  const place = f.local('i32')
  const loop: PairLoop = { small: f.local('i32'), large: place, beside: shift ? f.local('i32') : place, row }
  // Odd sizes leave a row or a column that no window sees.
  const odds = height.or(width).and(1)
  if (operands.clears) f.if(lo.lt(hi).and(odds), () => f.memoryFill(large, 0, planeBytes.mul(hi.sub(lo))))
  const [oy, ox, back] = [f.local('i32'), f.local('i32'), f.local('i32')]
  f.while(lo.lt(hi), () => {
    f.set(loop.large, large)
    f.set(oy, outHeight)
    f.doWhile(() => {
      f.set(loop.small, small)
      f.set(ox, outWidth)
      f.doWhile(() => {
        f.if(ox.lt(4), () => {
          f.set(back, i32.const(4).sub(ox).shl(2))
          f.set(loop.small, loop.small.sub(back))
          f.set(loop.large, loop.large.sub(back.shl(1)))
          f.set(ox, 4)
        })
        if (shift) f.set(loop.beside, loop.large.add(shift))
        body(f, loop)
        f.inc(loop.small, 16)
        f.inc(loop.large, 32)
        f.inc(ox, -4)
      }, ox)
      f.inc(small, outWidth.shl(2))
      f.inc(loop.large, row.shl(1).sub(outWidth.shl(3)))
      f.inc(oy, -1)
    }, oy)
    f.if(call, () => {
      const size = operands.large === 'output' ? planeBytes : f.let(outHeight.mul(outWidth).shl(2))
      const at = operands.large === 'output' ? large : small.sub(size)
      f.callIndirect(epilogue, call, [callBlock, at, size.shrU(2), 1, 0])
    })
    f.inc(large, planeBytes)
    f.inc(lo, 1)
  })
}

const kernelIn = (module: ModuleBuilder, name: string) => module.function(name, kernelParameters, { export: true })
type Fn = ReturnType<typeof kernelIn>

/** The windows' elements, from two rows. */
function apart(f: Fn, at: V128Address): Four {
  const [upper, lower] = [at.upper, at.lower].map((from) => {
    const [left, right] = [f.let(v128.load(from)), f.let(v128.load(from, 16))]
    return [f.let(i32x4.shuffle(left, right, even)), f.let(i32x4.shuffle(left, right, odd))] as const
  })
  const none = i32x4.const(0)
  return [upper?.[0] ?? none, upper?.[1] ?? none, lower?.[0] ?? none, lower?.[1] ?? none]
}
interface V128Address {
  readonly upper: Local<'i32'>
  readonly lower: Local<'i32'>
}

/** Stores the windows' elements into two rows. */
function together(f: Fn, { upper, lower }: V128Address, [a, b, c, d]: Four): void {
  for (const [to, first, second] of [
    [upper, a, b],
    [lower, c, d],
  ] as const) {
    f.store(to, i32x4.shuffle(first, second, [0, 4, 1, 5]))
    f.store(to, i32x4.shuffle(first, second, [2, 6, 3, 7]), 16)
  }
}

/** The larger of two, NaN if either is: `pmax` keeps a NaN of its first operand only. */
const larger = (x: V128, y: V128): V128 => v128.or(f32x4.pmax(x, y), f32x4.ne(y, y))

export function addPairKernels(module: ModuleBuilder, { fma }: { readonly fma: boolean }): void {
  const lowerOf = (f: Fn, base: Local<'i32'>, row: Local<'i32'>): V128Address => ({
    upper: base,
    lower: f.let(base.add(row)),
  })
  /** Lanes of a mask are all ones or zeros, so one instruction serves where the engine has it. */
  const either = fma ? i32x4.relaxed_laneselect : v128.bitselect

  addPairs(module, 'poolMaxPairs', { small: 'output', large: 'first', clears: false }, (f, { small, large, row }) => {
    const { upper, lower } = lowerOf(f, large, row)
    const [left, right] = [0, 16].map((at) => {
      const above = f.let(v128.load(upper, at))
      return f.let(larger(v128.load(lower, at), above))
    })
    if (!left || !right) return
    const columns = f.let(i32x4.shuffle(left, right, even))
    f.store(small, larger(i32x4.shuffle(left, right, odd), columns))
  })

  addPairs(
    module,
    'poolMaxPairsBackward',
    { small: 'first', large: 'output', beside: 'second', clears: true },
    (f, { small, large, beside, row }) => {
      const [first, ...others] = apart(f, lowerOf(f, beside, row))
      const best = f.let(first)
      // An element takes the place of the largest so far when it is larger, or NaN.
      const won = others.map((x, i) => {
        const mask = f.let(v128.or(f32x4.gt(x, best), f32x4.ne(x, x)))
        if (i < others.length - 1) f.set(best, either(x, best, mask))
        return mask
      })
      // The last that took it keeps it: from the last on, each takes its part of what is left.
      const left = f.let(v128.load(small))
      const parts = [...won].reverse().map((mask) => {
        const part = f.let(v128.and(left, mask))
        f.set(left, v128.andnot(left, mask))
        return part
      })
      const [d, c, b] = parts
      if (b && c && d) together(f, lowerOf(f, large, row), [left, b, c, d])
    },
  )

  addPairs(
    module,
    'poolAveragePairs',
    { small: 'output', large: 'first', clears: false },
    (f, { small, large, row }) => {
      const [a, b, c, d] = apart(f, lowerOf(f, large, row))
      f.store(small, f32x4.mul(f32x4.add(f32x4.add(f32x4.add(a, b), c), d), f32x4.const(0.25)))
    },
  )

  addPairs(
    module,
    'poolAveragePairsBackward',
    { small: 'first', large: 'output', clears: true },
    (f, { small, large, row }) => {
      const share = f.let(f32x4.mul(v128.load(small), f32x4.const(0.25)))
      together(f, lowerOf(f, large, row), [share, share, share, share])
    },
  )
}
