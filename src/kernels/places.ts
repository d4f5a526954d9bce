import type { DType } from '../shapes/dtype.js'
import type { ForeachKernel, Place } from './kernel.js'

/** Consecutive elements that a whole-model pass reads or writes. */
export interface Touch {
  /** As it stands in the kernel. */
  readonly place: Place
  readonly dtype: DType
  readonly length: number
  readonly write: boolean
}

/** All that a whole-model pass touches: for each part its guard, uniforms and operands, then the results. */
export function touches({ inputs, outputs, parts, uniforms = [], reductions = [] }: ForeachKernel): Touch[] {
  const found: Touch[] = []
  const dtypes = [...inputs, ...outputs]
  for (const part of parts) {
    if (part.guard) found.push({ place: part.guard, dtype: 'bool', length: 1, write: false })
    for (const [i, place] of (part.uniforms ?? []).entries())
      found.push({ place, dtype: uniforms[i] ?? 'f32', length: 1, write: false })
    for (const [i, place] of part.operands.entries())
      found.push({ place, dtype: dtypes[i] ?? 'f32', length: part.length, write: i >= inputs.length })
  }
  for (const { result, expr, over } of reductions)
    found.push({ place: result, dtype: expr.dtype, length: over === 'all' ? 1 : parts.length, write: true })
  return found
}

/** The pass with every place replaced: how it is bound to other buffers. */
export function placed(kernel: ForeachKernel, at: (place: Place, dtype: DType) => Place): ForeachKernel {
  const dtypes = [...kernel.inputs, ...kernel.outputs]
  const { uniforms, reductions } = kernel
  return {
    ...kernel,
    parts: kernel.parts.map((part) => ({
      ...part,
      operands: part.operands.map((place, i) => at(place, dtypes[i] ?? 'f32')),
      ...(part.uniforms && { uniforms: part.uniforms.map((place, i) => at(place, uniforms?.[i] ?? 'f32')) }),
      ...(part.guard && { guard: at(part.guard, 'bool') }),
    })),
    ...(reductions && {
      reductions: reductions.map((each) => ({ ...each, result: at(each.result, each.expr.dtype) })),
    }),
  }
}
