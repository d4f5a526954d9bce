import type { Expr } from '../../kernels/expr.js'
import type { Kernel, Operand } from '../../kernels/kernel.js'
import type { DType } from '../../tensor/dtype.js'
import { DTypeError, ShapeError } from '../../tensor/errors.js'
import type { Program } from './evaluate.js'
import type { Elements } from './memory.js'
import type { Placement } from './walk.js'

/**
 * The reference is the oracle, so it refuses a descriptor that contradicts itself or reaches outside its buffers,
 * where a fast backend may trust its caller.
 */

type Kind = Kernel['kind']

/** Throws `ShapeError` unless the operand has one stride per axis and all its elements lie in the buffer. */
export function checkOperand(
  kind: Kind,
  name: string,
  shape: readonly number[],
  at: Placement,
  elements: Elements,
): void {
  const { strides, offset } = at
  if (strides.length !== shape.length) {
    const message = `${kind}: ${name} needs one stride for each axis of [${shape}], got [${strides}].`
    throw new ShapeError(message, { op: kind, shapes: [shape] })
  }
  if (shape.includes(0)) return
  const reach = shape.map((size, axis) => (size - 1) * (strides[axis] ?? 0))
  const first = reach.reduce((sum, step) => sum + Math.min(step, 0), offset)
  const last = reach.reduce((sum, step) => sum + Math.max(step, 0), offset)
  if (first >= 0 && last < elements.length) return
  const message =
    `${kind}: ${name} of shape [${shape}], strides [${strides}] and offset ${offset} spans elements ${first} to ${last}, ` +
    `but its buffer holds ${elements.length}; bind a larger buffer or correct the layout.`
  throw new ShapeError(message, { op: kind, shapes: [shape], offset })
}

/** Throws `DTypeError` unless `got` is `expected`. */
export function checkDType(kind: Kind, name: string, expected: DType, got: DType): void {
  if (expected === got) return
  throw new DTypeError(`${kind}: ${name} must be ${expected}, got ${got}; add a cast.`, { op: kind })
}

/** Throws `DTypeError` where an expression's leaf or result has another dtype than its operand. */
export function checkProgram(
  kind: Kind,
  program: Program,
  exprs: readonly Expr[],
  inputs: readonly DType[],
  outputs: readonly DType[],
  uniforms: readonly DType[] = [],
): void {
  const leaves = [
    ['input', program.inputs, inputs],
    ['uniform', program.uniforms, uniforms],
  ] as const
  for (const [name, read, bound] of leaves)
    for (const { slot, node } of read) {
      const operand = bound[slot]
      if (operand) checkDType(kind, `the expression's ${name} ${slot}`, operand, node.dtype)
      else
        throw new ShapeError(`${kind}: the expression reads ${name} ${slot} of ${bound.length}; bind it.`, { op: kind })
    }
  if (exprs.length !== outputs.length) {
    const message = `${kind}: one expression per output is needed, got ${exprs.length} for ${outputs.length} outputs.`
    throw new ShapeError(message, { op: kind })
  }
  exprs.forEach((expr, i) => {
    checkDType(kind, `the expression of output ${i}`, outputs[i] ?? expr.dtype, expr.dtype)
  })
}

/** Throws `ShapeError` unless as many buffers as operands are bound. */
export function checkBuffers(kind: Kind, expected: number, got: number): void {
  if (expected === got) return
  throw new ShapeError(`${kind}: ${expected} buffers are needed, one per operand, got ${got}.`, { op: kind })
}

/** Throws `ShapeError` unless every scalar the expressions read is given. */
export function checkScalars(kind: Kind, needed: number, got: number): void {
  if (needed <= got) return
  throw new ShapeError(`${kind}: the expressions read ${needed} scalars, got ${got}; pass them all.`, { op: kind })
}

/** Names an operand in messages. */
export const nameOf = (role: 'input' | 'output', i: number, { dtype }: Pick<Operand, 'dtype'>) =>
  `${role} ${i} (${dtype})`
