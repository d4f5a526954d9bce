// The public walk: paths and tensors have the types of the model.
import {
  assign,
  batchNorm1d,
  check,
  clone,
  type DType,
  ema,
  type Equal,
  type FloatDType,
  follow,
  linear,
  mapTensors,
  namedParameters,
  namedTensors,
  type Parameter,
  resetParameters,
  sequential,
  stateOf,
  type Tensor,
  zeros,
  zipParameters,
  zipTensors,
} from '../prelude.js'

const model = sequential(linear(4, 8), batchNorm1d(8))
type Path = '0.weight' | '0.bias' | '1.weight' | '1.bias' | '1.running_mean' | '1.running_var' | '1.num_batches_tracked'

for (const entry of namedTensors(model)) {
  const { path, tensor } = entry
  check<Equal<typeof path, Path>>()
  assign(tensor, tensor.mul(2))
  if (entry.role === 'parameter') check<Equal<typeof entry.tensor, Parameter<number[], FloatDType>>>()
}
for (const { tensor } of namedParameters(model)) {
  assign(tensor, zeros(tensor.shape, { dtype: tensor.dtype }))
  const norm = tensor.square().mean().sqrt()
  check<Equal<typeof norm, Tensor<[], FloatDType>>>()
}
const weight = stateOf(model)['0.weight']
check<Equal<typeof weight, Parameter<[8, 4]>>>()
assign(weight, zeros([8, 4]))
const made = mapTensors(model, ({ role, tensor }) => (role === 'parameter' ? tensor.mul(2) : tensor))
check<Equal<typeof made, typeof model>>()
resetParameters(model, '0.*', '*.bias')

// several models, averages among them
const shadow = follow(model, ema({ decay: 0.9 }))
for (const [a, b, c] of zipTensors(shadow.model, model, clone(model))) {
  check<Equal<typeof b.path, Path>>()
  assign(a.tensor, b.tensor.sub(c.tensor))
  check<Equal<typeof c.tensor.dtype, DType>>()
}
export const drift = zipParameters(model, shadow.model).map(([t, s]) => t.tensor.sub(s.tensor).square().mean())

// visitors of any model
export const count = (any: object) => namedParameters(any).reduce((sum, { tensor }) => sum + tensor.size, 0)
export const shapes = <M extends object>(any: M) => namedTensors(any).map(({ path, tensor }) => [path, tensor.shape])
export const apart = (one: object, two: object) => zipTensors(one, two).map(([a, b]) => a.tensor.sub(b.tensor))
