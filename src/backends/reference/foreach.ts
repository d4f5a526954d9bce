import { exprsOf, type ForeachKernel, type Place } from '../../kernels/kernel.js'
import { touches } from '../../kernels/places.js'
import { bytesPerElement } from '../../tensor/backend.js'
import type { DType } from '../../tensor/dtype.js'
import { ShapeError } from '../../tensor/errors.js'
import { checkBuffers, checkOperand, checkProgram, checkScalars } from './check.js'
import { programOf } from './evaluate.js'
import { decode, encoded, type ReferenceBuffer } from './memory.js'
import { accumulatorOf } from './reduce.js'
import { sweep } from './sweep.js'

/** One contiguous map per part, in order, then the results of its reductions. */
export function runForeach(
  kernel: ForeachKernel,
  buffers: readonly ReferenceBuffer[],
  scalars: readonly number[],
): void {
  const { inputs, outputs, exprs, parts, uniforms = [], reductions = [] } = kernel
  const all = exprsOf(kernel)
  const program = programOf(all)
  const dtypes = [...inputs, ...outputs]
  checkScalars('foreach', program.scalarCount, scalars.length)
  checkProgram('foreach', program, all, inputs, [...outputs, ...all.slice(exprs.length).map((e) => e.dtype)], uniforms)
  const accumulators = reductions.map(({ combine, expr }) => accumulatorOf(combine, expr.dtype))
  checkPlaces(kernel, buffers)
  const at = ({ buffer, offset }: Place, dtype: DType = 'f32') => ({
    elements: buffers[buffer]?.elements(dtype) ?? new Float32Array(),
    offset,
  })

  const finish = (over: 'part' | 'all', part: number) => {
    for (const [r, reduction] of reductions.entries()) {
      const accumulator = accumulators[r]
      if (reduction.over !== over || !accumulator) continue
      const { elements, offset } = at(reduction.result, reduction.expr.dtype)
      elements[offset + part] = accumulator.result()
      accumulator.reset()
    }
  }
  let first = 0
  for (const [i, { length, operands, uniforms: own = [], guard }] of parts.entries()) {
    const flag = guard && at(guard, 'bool')
    if (flag === undefined || flag.elements[flag.offset] !== 0) {
      for (const { slot, node, values } of program.uniforms) {
        const place = own[slot]
        const { elements, offset } = place ? at(place, node.dtype) : { elements: values, offset: 0 }
        values.fill(elements[offset] ?? 0)
        decode(values, node.dtype)
      }
      const bound = operands.map((place, j) => {
        const dtype = dtypes[j] ?? 'f32'
        return { ...at(place, dtype), dtype, strides: [1] }
      })
      const targets = bound.slice(inputs.length)
      let done = 0
      const visit = (count: number) => {
        const results = program.results.map((values) => values.subarray(0, count))
        targets.forEach(({ elements, dtype, offset }, j) => {
          elements.set(encoded(results[j] ?? new Float64Array(), dtype), offset + done)
        })
        accumulators.forEach((accumulator, r) => {
          for (const value of results[exprs.length + r] ?? []) accumulator.add(value)
        })
        done += count
      }
      sweep(program, [length], [0], bound.slice(0, inputs.length), scalars, visit, first)
    }
    finish('part', i)
    first += length
  }
  finish('all', 0)
}

/** Throws `ShapeError` unless all places lie in their buffers and no uniform or guard is written. */
function checkPlaces(kernel: ForeachKernel, buffers: readonly ReferenceBuffer[]): void {
  const { inputs, outputs, parts, uniforms = [], reductions = [] } = kernel
  const dtypes = [...inputs, ...outputs]
  const written = touches(kernel).filter(({ write }) => write)
  const check = (name: string, { buffer, offset }: Place, dtype: DType = 'f32', length = 1): void => {
    checkBuffers('foreach', Math.max(buffers.length, buffer + 1), buffers.length)
    const elements = buffers[buffer]?.elements(dtype)
    if (elements) checkOperand('foreach', name, [length], { strides: [1], offset }, elements)
  }
  const checkKept = (name: string, place: Place, dtype: DType = 'f32'): void => {
    check(name, place, dtype)
    const from = place.offset * bytesPerElement[dtype]
    const overwritten = written.some((touch) => {
      const size = bytesPerElement[touch.dtype]
      const [start, end] = [touch.place.offset * size, (touch.place.offset + touch.length) * size]
      return touch.place.buffer === place.buffer && start < from + bytesPerElement[dtype] && from < end
    })
    if (overwritten)
      throw new ShapeError(`foreach: ${name} is written by the same kernel; give it memory of its own.`, {
        op: 'foreach',
      })
  }
  for (const [i, part] of parts.entries()) {
    checkBuffers('foreach', dtypes.length, part.operands.length)
    checkBuffers('foreach', uniforms.length, part.uniforms?.length ?? 0)
    for (const [j, place] of part.operands.entries()) check(`operand ${j} of part ${i}`, place, dtypes[j], part.length)
    for (const [j, place] of (part.uniforms ?? []).entries()) checkKept(`uniform ${j} of part ${i}`, place, uniforms[j])
    if (part.guard) checkKept(`the guard of part ${i}`, part.guard, 'bool')
  }
  for (const [r, { result, expr, over }] of reductions.entries())
    check(`the result of reduction ${r}`, result, expr.dtype, over === 'all' ? 1 : parts.length)
}
