import { type Expr, scalar } from '../kernels/expr.js'
import { normalUnit, uniformUnit } from '../kernels/random.js'
import type { DType, FloatDType } from '../shapes/dtype.js'
import { checkShape, type Dims } from '../shapes/dim.js'
import { write } from '../model/assign.js'
import { copyTensor } from '../model/clone.js'
import { rememberStart, type Start } from '../model/start.js'
import { defaultDevice } from '../tensor/device.js'
import { fillTensor } from '../tensor/fill.js'
import { emptyTensor, recordOf, type Role, type TensorRecord, typed } from '../tensor/record.js'
import { scope } from '../tensor/scope.js'
import type { Buffer, Parameter, Shape, Tensor } from '../tensor/tensor.js'
import { withoutTape } from '../tensor/tape.js'

/** A parameter drawn from U(−bound, bound), as PyTorch's linear layers start. */
export function uniformParameter(shape: Dims, bound: number, dtype: FloatDType = 'f32'): TensorRecord {
  return drawn(shape, dtype, uniformUnit().mul(scalar(2, 'f32')).add(scalar(3, 'f32')), [2 * bound, -bound])
}

/** A parameter drawn from N(0, 1), as PyTorch's embeddings start. */
export function normalParameter(shape: Dims, dtype: FloatDType = 'f32'): TensorRecord {
  return drawn(shape, dtype, normalUnit(), [])
}

function drawn(shape: Dims, dtype: FloatDType, expr: Expr, scalars: readonly number[]): TensorRecord {
  checkShape('parameter', shape)
  return started(emptyTensor(defaultDevice(), dtype, shape, 'parameter'), (target) => {
    const { device } = target
    const numbers = device.hostScalars(() => [...device.generator.next(), ...scalars])
    fillTensor(target, expr, numbers)
  })
}

/** A tensor of a model, filled with one number. */
export function constantState(role: Role, shape: Dims, value: number, dtype: DType = 'f32'): TensorRecord {
  checkShape(role, shape)
  return started(emptyTensor(defaultDevice(), dtype, shape, role), (target) => fillTensor(target, value))
}

/**
 * A trainable tensor for a module of your own, with a copy of the values. Made by a function, it can start again: see
 * `resetParameters`.
 * Shapes: `x: S → S`.  Torch: `nn.Parameter(x)`.
 * @example class Scale { factor = parameter(() => ones([64])); forward<B extends number>(x: Tensor<[B, 64]>) { … } }
 */
export function parameter<S extends Shape, D extends FloatDType>(
  x: Tensor<S, D> | (() => Tensor<S, D>),
): Parameter<S, D> {
  return typed(state(x, 'parameter'))
}

/**
 * A tensor that a module of your own keeps and saves but does not train, with a copy of the values. Made by a function,
 * it can start again: see `resetParameters`.
 * Shapes: `x: S → S`.  Torch: `register_buffer(name, x)`.
 * @example class Normalize { mean = buffer(zeros([3])); … }
 */
export function buffer<S extends Shape, D extends DType>(x: Tensor<S, D> | (() => Tensor<S, D>)): Buffer<S, D> {
  return typed(state(x, 'buffer'))
}

function state(x: unknown, role: Role): TensorRecord {
  const stored = (values: TensorRecord) => copyTensor(values, { role, frozen: false })
  if (typeof x !== 'function') return withoutTape(() => stored(recordOf(x)))
  const made = scope(() => withoutTape(() => stored(recordOf(x()))))
  return rememberStart(made, (target) => scope(() => write('resetParameters', target, recordOf(x()))))
}

/** Gives a new tensor its first values, and remembers how. */
function started(tensor: TensorRecord, start: Start): TensorRecord {
  start(tensor)
  return rememberStart(tensor, start)
}
