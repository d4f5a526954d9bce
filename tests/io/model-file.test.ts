import { type Device, ones, setDefaultDevice, tensor, zeros } from 'dfdt'
import { batchNorm1d, buffer, freeze, linear, parameter, relu, sequential } from 'dfdt/nn'
import { beforeAll, describe, expect, test } from 'vitest'
import { loadModel, saveModel, saveModelSync } from '../../src/io/model-file.js'
import { parseSafetensors } from '../../src/io/safetensors.js'
import { tensorsOf } from '../../src/model/walk.js'
import { FormatError, GradientError, ShapeError } from '../../src/tensor/errors.js'
import { assertClose } from '../../src/testing/close.js'
import { devices } from '../devices.js'
import { golden, goldenBytes } from '../golden-file.js'

type State = Record<string, number[]>
const stateOf = (model: object): State =>
  Object.fromEntries(tensorsOf(model).map(({ path, tensor: t }) => [path, [...t.dataSync()]]))
const forward = () => undefined
const network = () => sequential(linear(3, 4), batchNorm1d(4), relu(), linear(4, 2))
const { state, f16, bf16, x, y } = golden<{
  torch: string
  state: State
  f16: State
  bf16: State
  x: number[][]
  y: number[][]
}>('training/network.json')

describe.each(devices)('model files on $name', ({ make }) => {
  let device: Device
  beforeAll(() => {
    device = make()
    setDefaultDevice(device)
  })

  test('what is saved is loaded, bit for bit, with its metadata', async () => {
    const model = network()
    model.forward(
      tensor([
        [1, 2, 3],
        [-1, 0, 5],
      ]).trace(),
    )
    const file = await saveModel(model, { job: 'mnist', version: '1' })
    expect(saveModelSync(model, { job: 'mnist', version: '1' })).toEqual(file)
    const other = network()
    expect(stateOf(other)).not.toEqual(stateOf(model))
    expect(loadModel(other, file)).toEqual({ job: 'mnist', version: '1' })
    expect(stateOf(other)).toEqual(stateOf(model))
    expect([...parseSafetensors(file).tensors.keys()].sort()).toEqual(Object.keys(state).sort())
  })

  test('every dtype of the device, frozen parameters, strange values', async () => {
    const make = (values: number[], count: number, flag: boolean) => ({
      w: parameter(tensor(values)),
      count: buffer(tensor([count, -count], { dtype: 'i32' })),
      mask: buffer(tensor([flag, !flag])),
      words: buffer(tensor([4294967295], { dtype: 'u32' })),
      ...(device.backend.supports('f64') && {
        exact: parameter(
          tensor(
            values.map((v) => v / 3),
            { dtype: 'f64' },
          ),
        ),
      }),
      forward,
    })
    const model = make([Number.NaN, -Infinity, -0, 1e-45], 2 ** 31 - 1, true)
    freeze(model)
    const other = make([1, 2, 3, 4], 0, false)
    loadModel(other, await saveModel(model))
    expect(stateOf(other)).toEqual(stateOf(model))
  })

  test('tied tensors are in the file once, under their first path', async () => {
    const w = parameter(tensor([1, 2]))
    const model = { a: { w, forward }, b: { w, forward }, forward }
    const file = await saveModel(model)
    expect([...parseSafetensors(file).tensors.keys()]).toEqual(['a.w'])
    loadModel(model, await saveModel({ a: { w: parameter(tensor([5, 6])), forward }, forward }))
    expect(model.b.w.arraySync()).toEqual([5, 6])
  })

  test('a tied tensor may be in the file under any of its names, or under all if they agree', async () => {
    const w = parameter(tensor([1, 2]))
    const model = { a: { w, forward }, b: { w, forward }, forward }
    const holding = (values: [number, number]) => ({ w: parameter(tensor(values)), forward })
    loadModel(model, await saveModel({ b: holding([3, 4]), forward }))
    expect(w.arraySync()).toEqual([3, 4])
    loadModel(model, await saveModel({ a: holding([5, 6]), b: holding([5, 6]), forward }))
    expect(w.arraySync()).toEqual([5, 6])
    const file = await saveModel({ a: holding([7, 8]), b: holding([7, 9]), forward })
    expect(() => loadModel(model, file)).toThrow('"a.w" and "b.w" are tied in the model but differ in the file')
    expect(w.arraySync()).toEqual([5, 6])
  })

  test('a state dict of PyTorch, I64 counter included: values and the output of the network', () => {
    const model = network()
    expect(loadModel(model, goldenBytes('training/network.safetensors'))).toEqual({ format: 'pt' })
    expect(stateOf(model)).toEqual(state)
    expect(model.layers[1].num_batches_tracked.itemSync()).toBe(5)
    assertClose(model.forward(tensor(x as [number, number, number][])).arraySync(), y, { rtol: 1e-5, atol: 1e-6 })
  })

  test.each([
    ['f16', f16],
    ['bf16', bf16],
  ] as const)('%s is read as f32', (name, expected) => {
    const model = network()
    loadModel(model, goldenBytes(`training/network-${name}.safetensors`))
    expect(stateOf(model)).toEqual(expected)
    expect(expected).not.toEqual(state)
  })

  test('f32 is read as f64 where there is f64', () => {
    if (!device.backend.supports('f64')) return
    const model = sequential(
      linear(3, 4, { dtype: 'f64' }),
      batchNorm1d(4, { dtype: 'f64' }),
      relu(),
      linear(4, 2, { dtype: 'f64' }),
    )
    loadModel(model, goldenBytes('training/network.safetensors'))
    expect(stateOf(model)).toEqual(state)
  })

  test('a file that does not fit: everything that differs in one error, nothing written', async () => {
    const file = await saveModel({
      fits: parameter(ones([2])),
      shape: parameter(ones([2, 3])),
      integer: buffer(ones([1])),
      float: buffer(ones([1], { dtype: 'i32' })),
      flag: buffer(ones([1], { dtype: 'i32' })),
      extra: parameter(ones([4])),
      forward,
    })
    const model = {
      fits: parameter(zeros([2])),
      shape: parameter(zeros([3, 2])),
      integer: buffer(zeros([1], { dtype: 'i32' })),
      float: buffer(zeros([1])),
      flag: buffer(tensor([false])),
      missing: parameter(zeros([5])),
      forward,
    }
    const before = stateOf(model)
    const run = () => loadModel(model, file, { path: 'runs/x/teacher.safetensors' })
    expect(run).toThrow(ShapeError)
    expect(run).toThrow(`load: runs/x/teacher.safetensors does not fit the model; nothing was written:
  "shape" is [2, 3] F32 in the file but [3, 2] f32 in the model
  "integer" is [1] F32 in the file but [1] i32 in the model
  "float" is [1] I32 in the file but [1] f32 in the model
  "flag" is [1] I32 in the file but [1] bool in the model
  the file has no "missing" ([5] f32)
  the file has "extra" ([4] F32), which the model has not`)
    expect(run).toThrow(expect.objectContaining({ path: 'runs/x/teacher.safetensors', op: 'load' }))
    expect(stateOf(model)).toEqual(before)
  })

  test('a damaged file: a FormatError that names it, nothing written', async () => {
    const model = network()
    const file = await saveModel(model)
    const before = stateOf(model)
    for (const bytes of [file.slice(0, 4), file.slice(0, file.length - 1), Uint8Array.from([...file, 0])]) {
      const run = () => loadModel(model, bytes, { path: 'broken.safetensors' })
      expect(run).toThrow(FormatError)
      expect(run).toThrow(/broken\.safetensors/)
    }
    expect(stateOf(model)).toEqual(before)
  })

  test('an integer that i32 cannot hold is an error, nothing written', () => {
    // num_batches_tracked as PyTorch writes it, with 2^40 in it, after parameters that would fit.
    const header = JSON.stringify({
      bias: { dtype: 'F32', shape: [1], data_offsets: [8, 12] },
      count: { dtype: 'I64', shape: [], data_offsets: [0, 8] },
    })
    const length = Math.ceil(header.length / 8) * 8
    const bytes = new Uint8Array(8 + length + 12)
    new DataView(bytes.buffer).setBigUint64(0, BigInt(length), true)
    bytes.set(new TextEncoder().encode(header.padEnd(length)), 8)
    new DataView(bytes.buffer).setBigInt64(8 + length, 2n ** 40n, true)
    const model = { bias: parameter(ones([1])), count: buffer(tensor(3, { dtype: 'i32' })), forward }
    expect(() => loadModel(model, bytes)).toThrow(/1099511627776/)
    expect(stateOf(model)).toEqual({ bias: [1], count: [3] })
  })

  test('loading between forward and backward is noticed', async () => {
    const model = linear(2, 1)
    const file = await saveModel(model)
    const loss = model.forward(ones([1, 2]).trace()).sum()
    loadModel(model, file)
    expect(() => loss.backward()).toThrow(GradientError)
  })
})
