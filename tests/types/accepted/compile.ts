import { bool, check, compile, type Equal, f32, i32, is, linear, type Tensor, zeros } from '../prelude.js'

// Stated signatures: tensors where the function runs, arrays and numbers too where it is called.
const flat = compile([f32(2, 4), i32(2), f32(), bool()], (x, y, k, flag) => ({ x, y, k, flag }))
check<Equal<Parameters<typeof flat>[0], Tensor<[2, 4]> | Float32Array>>()
check<Equal<Parameters<typeof flat>[2], Tensor<[]> | Float32Array | number>>()
check<Equal<Parameters<typeof flat>[3], Tensor<[], 'bool'> | Uint8Array | number | boolean>>()
is<Tensor<[2], 'i32'>>()(flat(new Float32Array(8), new Int32Array(2), 0.5, true).y, true)

// In arrays and objects, as the arguments are.
const nested = compile([{ x: f32(2, 4), more: [i32(3), { k: f32() }] }, f32(2)], ({ x, more: [a, { k }] }, y) => {
  is<Tensor<[2, 4]>>()(x, true)
  return [x.sum(1).add(y), a, { k }] as const
})
const [sums, , { k }] = nested({ x: new Float32Array(8), more: [zeros([3]).to('i32'), { k: 3 }] }, zeros([2]))
is<Tensor<[2]>>()(sums, true)
is<Tensor<[]>>()(k, true)

// Results: values on no tape; what is no tensor comes back as it is, promises do not.
const model = linear(4, 3)
const mixed = compile((x: Tensor<[2, 4]>) => ({ taped: model.forward(x.trace()), model, text: 'a', call: () => 1 }))
const result = mixed(zeros([2, 4]))
is<Tensor<[2, 3]>>()(result.taped, true)
export const one: number = result.call()
is<Tensor<[2, 3]>>()(result.model.forward(zeros([2, 4])), true)
const later = compile(async (x: Tensor<[2, 4]>) => x)
check<Equal<ReturnType<typeof later>, never>>()
