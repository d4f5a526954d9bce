import {
  f32,
  type FunctionBuilder,
  i32,
  type IndirectRef,
  type Local,
  type ModuleBuilder,
  select,
  type Value,
} from '../assembler.js'
import { epilogueParameters } from '../epilogue.js'
import { kernelParameters } from '../launch.js'
import { emitShare } from '../rows.js'
import { words } from './words.js'

/** Poolings with any window, stride and padding: one window after another, threads share planes. */

type Fn = FunctionBuilder<typeof kernelParameters, 'none'>
type Int = Local<'i32'>
type Epilogue = IndirectRef<typeof epilogueParameters>

/** The part of a window inside the image, as addresses in a plane. */
interface Window {
  /** Address of its first element. */
  readonly start: Int
  readonly rows: Int
  /** Bytes of a row of the window, and of the image. */
  readonly rowBytes: Int
  readonly step: Int
}

/**
 * Visits every window of the thread's planes. `large` is the operand with a plane of the image's size, `small` the one
 * with an element for each window; `each` gets the window and the address of its element.
 */
function eachWindow(
  f: Fn,
  epilogue: Epilogue,
  large: keyof typeof words,
  small: keyof typeof words,
  clears: boolean,
  each: (window: Window, element: Int, word: (name: keyof typeof words) => Int) => void,
): void {
  const [params, thread, threads] = f.params
  const known = new Map<string, Int>()
  const word = (name: keyof typeof words): Int => {
    const local = known.get(name) ?? f.local('i32')
    known.set(name, local)
    return local
  }
  for (const name of Object.keys(words) as (keyof typeof words)[])
    if (name !== 'count') f.set(word(name), i32.load(params, words[name] * 4))
  const [height, width, outHeight, outWidth] = [word('height'), word('width'), word('outHeight'), word('outWidth')]
  const planeBytes = f.let(height.mul(width).shl(2))
  const step = f.let(width.shl(2))
  const { lo, hi } = emitShare(f, word('planes'), thread, threads)
  const plane = f.let(word(large).add(lo.mul(planeBytes)))
  const element = f.let(word(small).add(lo.mul(outHeight).mul(outWidth).shl(2)))
  if (clears) f.if(lo.lt(hi), () => f.memoryFill(plane, 0, planeBytes.mul(hi.sub(lo))))
  const [oy, ox, top, left, bottom, right] = [
    f.local('i32'),
    f.local('i32'),
    f.local('i32'),
    f.local('i32'),
    f.local('i32'),
    f.local('i32'),
  ]
  const window: Window = { start: f.local('i32'), rows: f.local('i32'), rowBytes: f.local('i32'), step }
  const inside = (at: Int, end: Int, size: Int) => {
    f.if(at.lt(0), () => f.set(at, 0))
    f.if(end.gt(size), () => f.set(end, size))
  }
  f.while(lo.lt(hi), () => {
    f.for(oy, 0, outHeight, 1, () => {
      f.set(top, oy.mul(word('strideHeight')).sub(word('paddingHeight')))
      f.set(bottom, top.add(word('windowHeight')))
      inside(top, bottom, height)
      f.set(window.rows, bottom.sub(top))
      f.for(ox, 0, outWidth, 1, () => {
        f.set(left, ox.mul(word('strideWidth')).sub(word('paddingWidth')))
        f.set(right, left.add(word('windowWidth')))
        inside(left, right, width)
        f.set(window.rowBytes, right.sub(left).shl(2))
        f.set(window.start, plane.add(top.mul(step)).add(left.shl(2)))
        each(window, element, word)
        f.inc(element, 4)
      })
    })
    f.if(word('call'), () => {
      const size = large === 'output' ? planeBytes : f.let(outHeight.mul(outWidth).shl(2))
      const at = large === 'output' ? plane : element.sub(size)
      f.callIndirect(epilogue, word('call'), [params.add(word('callBlock')), at, size.shrU(2), 1, 0])
    })
    f.inc(plane, planeBytes)
    f.inc(lo, 1)
  })
}

/** Visits the addresses of a window's elements, row by row. */
function eachElement(f: Fn, { start, rows, rowBytes, step }: Window, visit: (at: Int) => void): void {
  const [row, left, at, end] = [f.local('i32'), f.local('i32'), f.local('i32'), f.local('i32')]
  f.set(row, start)
  f.set(left, rows)
  f.doWhile(() => {
    f.set(at, row)
    f.set(end, row.add(rowBytes))
    f.doWhile(() => {
      visit(at)
      f.inc(at, 4)
    }, at.ne(end))
    f.inc(row, step)
    f.inc(left, -1)
  }, left)
}

/** Finds the first largest element, or the last NaN: its value, and its address where `best` is given. */
function emitLargest(f: Fn, window: Window, largest: Local<'f32'>, best?: Int): void {
  const [value, wins] = [f.local('f32'), f.local('i32')]
  f.set(largest, f32.load(window.start))
  if (best) f.set(best, window.start)
  eachElement(f, window, (at) => {
    f.set(value, f32.load(at))
    f.set(wins, f32.gt(value, largest).or(f32.ne(value, value)))
    // Chosen, not branched on: which element is the largest cannot be foretold.
    f.set(largest, select(wins, value, largest))
    if (best) f.set(best, select(wins, at, best))
  })
}

/** What an average is divided by. */
function divisor(f: Fn, { rows, rowBytes }: Window, word: (name: keyof typeof words) => Int): Value<'f32'> {
  const count = f.local('i32')
  f.if(
    word('countPadding'),
    () => f.set(count, word('windowHeight').mul(word('windowWidth'))),
    () => f.set(count, rows.mul(rowBytes).shrU(2)),
  )
  return f32.convert_i32_s(count)
}

export function addWindowKernels(module: ModuleBuilder): void {
  const epilogue = module.indirect(epilogueParameters)
  const kernel = (name: string): Fn => module.function(name, kernelParameters, { export: true })
  const max = kernel('poolMax')
  const largest = max.local('f32')
  eachWindow(max, epilogue, 'first', 'output', false, (window, element) => {
    emitLargest(max, window, largest)
    max.store(element, largest)
  })

  const maxBackward = kernel('poolMaxBackward')
  const [most, best] = [maxBackward.local('f32'), maxBackward.local('i32')]
  // The places are found in x, and counted from there in its gradient.
  eachWindow(maxBackward, epilogue, 'output', 'first', true, ({ start, ...rest }, element, word) => {
    const shift = word('second').sub(word('output'))
    maxBackward.inc(start, shift)
    emitLargest(maxBackward, { start, ...rest }, most, best)
    maxBackward.set(best, best.sub(shift))
    maxBackward.store(best, f32.add(f32.load(best), f32.load(element)))
  })

  const average = kernel('poolAverage')
  const sum = average.local('f32')
  eachWindow(average, epilogue, 'first', 'output', false, (window, element, word) => {
    average.set(sum, 0)
    eachElement(average, window, (at) => average.set(sum, f32.add(sum, f32.load(at))))
    average.store(element, f32.div(sum, divisor(average, window, word)))
  })

  const averageBackward = kernel('poolAverageBackward')
  const share = averageBackward.local('f32')
  eachWindow(averageBackward, epilogue, 'output', 'first', true, (window, element, word) => {
    averageBackward.set(share, f32.div(f32.load(element), divisor(averageBackward, window, word)))
    eachElement(averageBackward, window, (at) => averageBackward.store(at, f32.add(f32.load(at), share)))
  })
}
