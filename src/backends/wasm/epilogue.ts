/**
 * Epilogues: what becomes of results before they are stored. A kernel calls the generated function of its epilogue by way
 * of the table on what it has just finished and what is still in the nearest cache. The expression is lowered as for a
 * map, so the bits are those of a map that runs afterwards.
 *
 * Words: address of the output, two unused, row length; then as in `map.ts`, the operands being the epilogue's inputs.
 */
import type { Expr } from '../../kernels/expr.js'
import { type Epilogue, epilogueMap, type Operand } from '../../kernels/kernel.js'
import { contiguousStrides, sizeOf } from '../../shapes/strides.js'
import { bytesPerElement } from '../../tensor/backend.js'
import { i32, select } from './assembler.js'
import { BlockWriter, elementCost } from './block.js'
import { collapse } from './collapse.js'
import { generatedPart, type KernelBuilder, newEntryId, type Target } from './generated.js'
import type { CallWords, Entry, Launch, Prepared } from './launch.js'
import { checkDTypes, Lowering } from './lowering.js'
import { emitOdometer, fillOdometer, mapLaunch, odometerWords } from './map.js'
import { emitRow, rowOperand, setStride, type Slot, slotsKey, stepOf, writeTo } from './rows.js'

/** Parameters: argument block, first element, elements that are neighbours, how many such stretches, bytes between them. */
export const epilogueParameters = ['i32', 'i32', 'i32', 'i32', 'i32'] as const

/** The function of an epilogue and its block. `first` is the position of its first input in the list of buffers. */
function epiloguePart({ shape, inputs, expr }: Epilogue, output: Operand, first: number, target: Target): Launch {
  checkDTypes([...inputs.map((o) => o.dtype), output.dtype])
  const space = collapse({ shape, strides: [contiguousStrides(shape), ...inputs.map((o) => o.strides)] })
  const strides = space.strides.slice(1)
  const outer = Math.max(0, space.shape.length - 1)
  const slots = inputs.map((o, i): Slot => ({ dtype: o.dtype, step: stepOf(strides[i]?.at(-1) ?? 0) }))
  const structure = `epilogue${outer} ${expr.key} ${slotsKey(slots)}`
  const entry = generatedPart(epilogueParameters, target, structure, (k) => emitEpilogue(k, target, expr, slots, outer))
  const block = new BlockWriter(entry, odometerWords(outer, inputs.length), [expr])
  block.pointer(0, first + inputs.length, output.offset * bytesPerElement[output.dtype])
  block.set(3, space.shape.at(-1) ?? 1)
  fillOdometer(
    block,
    space.shape.slice(0, -1),
    inputs.map((operand, i) => ({ operand, buffer: first + i, strides: strides[i] ?? [] })),
  )
  return block.launch(sizeOf(shape) * elementCost([expr]))
}

/** The kernel with its epilogue; its own launches take the output for buffer `first`. */
export function withEpilogue(
  { launches, ...rest }: Prepared,
  epilogue: Epilogue,
  output: Operand,
  first: number,
  target: Target,
): Prepared {
  const at = first + epilogue.inputs.length
  const own = launches.map((launch) => ({
    ...launch,
    pointers: launch.pointers.map((p) => (p.operand === first ? { ...p, operand: at } : p)),
  }))
  const last = own.pop()
  if (!last) return { launches, ...rest }
  if (last.callWords) {
    const part = epiloguePart(epilogue, output, first, target)
    return { ...rest, launches: [...own, joined(last, last.callWords, part)] }
  }
  const inputs = epilogue.inputs.map((_, i) => first + i)
  const after = mapLaunch(epilogueMap(epilogue, output), target, [at, ...inputs, at])
  return { ...rest, launches: [...own, last, after] }
}

/** The launch of a kernel that calls an epilogue: one block after the other. */
function joined(launch: Launch, words: CallWords, part: Launch): Launch {
  const block = new Int32Array(launch.block.length + part.block.length)
  block.set(launch.block)
  block.set(part.block, launch.block.length)
  block[words.call] = part.entry.id
  block[words.callBlock] = launch.block.length * 4
  const behind = <X extends { readonly word: number }>(all: readonly X[]): X[] =>
    all.map((each) => ({ ...each, word: launch.block.length + each.word }))
  return {
    entry: calling(launch.entry, part.entry),
    block,
    pointers: [...launch.pointers, ...behind(part.pointers)],
    scalars: [...launch.scalars, ...behind(part.scalars)],
    nanoseconds: launch.nanoseconds + part.nanoseconds,
  }
}

const callers = new WeakMap<Entry, Map<number, Entry>>()
/** The kernel as one that needs `part` in the table. */
function calling(entry: Entry, part: Entry): Entry {
  const known = callers.get(part) ?? new Map<number, Entry>()
  callers.set(part, known)
  const made = known.get(entry.id) ?? { ...entry, id: newEntryId(), imports: [...(entry.imports ?? []), part] }
  known.set(entry.id, made)
  return made
}

function emitEpilogue(
  { module, fn, constants }: KernelBuilder<typeof epilogueParameters>,
  target: Target,
  expr: Expr,
  slots: readonly Slot[],
  outer: number,
): void {
  const [params, at, count, rows, step] = fn.params
  const scalarWord = odometerWords(outer, slots.length)
  const lowering = new Lowering(fn, target.mode, [expr], { module, params, scalarWord, constants, helpers: new Map() })
  lowering.hoist()
  const own: Slot = { dtype: expr.dtype, step: 'unit' }
  const [element, result] = [rowOperand(fn, own), rowOperand(fn, own)]
  const inputs = slots.map((slot) => rowOperand(fn, slot))
  const odometer = emitOdometer(fn, params, outer, slots.length)
  const output = fn.let(i32.load(params))
  const length = fn.let(i32.load(params, 12))
  const [left, row, first] = [fn.local('i32'), fn.local('i32'), fn.local('i32')]
  const [stretch, inRow, place, position] = [fn.local('i32'), fn.local('i32'), fn.local('i32'), fn.local('i32')]
  fn.while(rows.gt(0), () => {
    fn.set(left, count)
    fn.set(stretch, at)
    fn.set(place, at.sub(output).shrU(2))
    if (outer > 0) fn.set(row, place.divU(length))
    fn.set(first, outer > 0 ? place.sub(row.mul(length)) : place)
    odometer.seek(row)
    // A stretch may run over the ends of the space's rows.
    fn.while(left.gt(0), () => {
      fn.set(inRow, length.sub(first))
      fn.set(inRow, select(left.lt(inRow), left, inRow))
      fn.inc(left, inRow.mul(-1))
      fn.set(element.at, stretch)
      fn.set(result.at, stretch)
      fn.set(position, place)
      inputs.forEach((o, i) => {
        const base = odometer.at[i] ?? first
        fn.set(
          o.at,
          o.step === 'same'
            ? base
            : base.add(first.mul(o.step === 'unit' ? bytesPerElement[o.dtype] : odometer.stride(i))),
        )
        setStride(fn, o, odometer.stride(i))
      })
      fn.inc(stretch, inRow.shl(2))
      fn.inc(place, inRow)
      const usesPosition = lowering.readsPosition
      emitRow(
        { fn, lowering, inputs: [element, ...inputs], outputs: [result], count: inRow, position, usesPosition },
        writeTo(fn, [result]),
      )
      fn.set(first, 0)
      odometer.next()
    })
    fn.inc(at, step)
    fn.inc(rows, -1)
  })
}
