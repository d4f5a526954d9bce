import * as fs from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { Device, setDefaultDevice, tensor, wasmDevice } from 'dfdt'
import { loadModel, saveModelSync } from 'dfdt/io'
import { parameter } from 'dfdt/nn'
import { average, ema, update } from 'dfdt/update'
import { afterEach, beforeEach, describe, expect, test, vi } from 'vitest'
import { decode, encode, type RawTensor } from '../../../src/io/raw-tensor.js'
import { parseSafetensors, writeSafetensors } from '../../../src/io/safetensors.js'
import type { FloatDType } from '../../../src/io/streaming/float-bytes.js'
import { combine } from '../../../src/io/streaming/node-combine.js'
import { ModelFiles } from '../../../src/io/streaming/node-model-files.js'
import { OutputFiles } from '../../../src/io/streaming/node-output-files.js'
import { planOutputs } from '../../../src/io/streaming/plan.js'
import { type Recipe, sequenceOf, weightedSum } from '../../../src/io/streaming/recipes.js'
import { FormatError } from '../../../src/tensor/errors.js'
import { narrow, widen } from '../../../src/shapes/half.js'
import { createReferenceBackend } from '../../../src/backends/reference/index.js'
import { devices } from '../../devices.js'

/** System calls that fail, by name and how often they were called before, as a full disk does. */
const failing = vi.hoisted(() => new Map<string, { code: string; onCall: number }>())
/** Reads and writes that do a part, as on pipes and nearly full disks. */
const short = vi.hoisted(() => ({ on: false }))

vi.mock('node:fs', async (importOriginal) => {
  const { promisify } = await import('node:util')
  const original = await importOriginal<typeof fs>()
  const calls = new Map<string, number>()
  const fault = (name: string) => {
    const plan = failing.get(name)
    if (!plan) return undefined
    calls.set(name, (calls.get(name) ?? 0) + 1)
    if (calls.get(name) !== plan.onCall) return undefined
    calls.delete(name)
    return Object.assign(new Error(`${plan.code}: injected, ${name}`), { code: plan.code })
  }
  type Done = (error: Error | null, count?: number) => void
  const watched = (name: 'read' | 'write', most: number) => {
    const call = original[name] as (fd: number, b: Uint8Array, o: number, n: number, p: number, done: Done) => void
    const run = (fd: number, bytes: Uint8Array, offset: number, length: number, position: number, done: Done) => {
      const error = fault(name)
      if (error) done(error)
      else call(fd, bytes, offset, short.on ? Math.min(length, most) : length, position, done)
    }
    const result = name === 'read' ? 'bytesRead' : 'bytesWritten'
    const promised = (fd: number, bytes: Uint8Array, offset: number, length: number, position: number) =>
      new Promise((resolve, reject) =>
        run(fd, bytes, offset, length, position, (error, count) =>
          error ? reject(error) : resolve({ [result]: count }),
        ),
      )
    return Object.assign(run, { [promisify.custom]: promised })
  }
  return {
    ...original,
    read: watched('read', 1013),
    write: watched('write', 1009),
    fsync: (fd: number, done: Done) => {
      const error = fault('fsync')
      if (error) done(error)
      else original.fsync(fd, done)
    },
    renameSync: (from: string, to: string) => {
      const error = fault('rename')
      if (error) throw error
      original.renameSync(from, to)
    },
  }
})

let directory = ''
beforeEach(() => {
  directory = fs.mkdtempSync(join(tmpdir(), 'dfdt-stream-'))
})
afterEach(() => {
  failing.clear()
  short.on = false
  fs.rmSync(directory, { recursive: true })
})

const write = (name: string, tensors: Record<string, RawTensor>) =>
  fs.writeFileSync(join(directory, name), writeSafetensors(new Map(Object.entries(tensors))))

/** Numbers that look like weights, and never the same twice. */
function weights(count: number, seed: number): Float32Array {
  let state = seed * 2654435761
  return Float32Array.from({ length: count }, () => {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0
    return (state / 2 ** 32 - 0.5) * 2 ** ((state % 7) - 3)
  })
}

interface Options {
  readonly dtype?: FloatDType
  readonly accumulate?: 'f32' | 'f64'
  readonly device?: Device
}

/** Combines files of the scratch directory into `out`. */
async function run(inputs: readonly string[], recipe: Recipe, { dtype, accumulate = 'f32', device }: Options = {}) {
  const models = inputs.map((name) => ModelFiles.open(join(directory, name)))
  const used = device ?? wasmDevice({ threads: 1 })
  const combination = { models, recipe: () => recipe, integersFrom: 0, dtype, accumulate, metadata: {} }
  const plans = planOutputs(combination, [[...(models[0]?.tensors.keys() ?? [])]])
  const files = OutputFiles.create([{ path: join(directory, 'out'), byteLength: plans[0]?.byteLength ?? 0 }])
  try {
    await combine(models, plans, files, used)
    await files.commit()
  } finally {
    await files.discard()
    for (const model of models) model.close()
    if (!device) await used.close()
  }
  return parseSafetensors(fs.readFileSync(join(directory, 'out')))
}

const f32 = (values: Float32Array, shape: readonly number[] = [values.length]) => encode(values, 'f32', shape)

describe('the arithmetic', () => {
  // More than one chunk and no round number; small neighbours, which are read in one go; a scalar.
  const sizes = { large: 1_100_003, a: 5, b: 64, c: 1, none: 0 }
  const model = (seed: number, most = 2000) =>
    Object.fromEntries(
      Object.entries(sizes).map(([name, size], i) => [name, f32(weights(Math.min(size, most), seed + i))]),
    )

  const modes = [...devices, { name: 'wasm on all cores', make: () => wasmDevice() }]
  test.each(modes.flatMap(({ name, make }) => [0.999, 0.3].map((decay) => [name, decay, make] as const)))(
    'is that of update on loaded models, bit for bit: %s, decay %d',
    async (_, decay, make) => {
      const device = make()
      setDefaultDevice(device)
      write('target', model(1, sizes.large))
      write('source', model(100, sizes.large))
      const streamed = await run(['target', 'source'], sequenceOf(ema({ decay }), 2), { device })

      const load = (name: string) => {
        const bytes = fs.readFileSync(join(directory, name))
        const { tensors } = parseSafetensors(bytes)
        const made = [...tensors].map(([key, raw]) => [
          key,
          parameter(tensor(decode(raw, 'f32'), [raw.bytes.length / 4])),
        ])
        const loaded = Object.fromEntries(made)
        loadModel(loaded, bytes)
        return loaded
      }
      const target = load('target')
      update({ target, source: load('source') }, ema({ decay }))
      const { tensors } = parseSafetensors(saveModelSync(target))
      for (const [name, { bytes }] of tensors)
        expect(Buffer.compare(bytes, streamed.tensors.get(name)?.bytes ?? new Uint8Array())).toBe(0)
      await device.close()
    },
  )

  test('is that of update in f64 too, which only the reference device has', async () => {
    const device = new Device(createReferenceBackend())
    setDefaultDevice(device)
    const [x, y] = [1, 2].map((seed) => Float64Array.from(weights(3000, seed), (v, i) => v * (1 + i * 2 ** -40)))
    if (!x || !y) return
    write('x', { w: encode(x, 'f64', [3000]) })
    write('y', { w: encode(y, 'f64', [3000]) })
    for (const decay of [0.999, 0.3]) {
      const { tensors } = await run(['x', 'y'], sequenceOf(ema({ decay }), 2))
      const target = { w: parameter(tensor([...x], { dtype: 'f64' })) }
      update({ target, source: { w: parameter(tensor([...y], { dtype: 'f64' })) } }, ema({ decay }))
      const [raw] = tensors.values()
      expect(raw && decode(raw, 'f64')).toEqual(target.w.dataSync())
    }
  })

  test.each(['F16', 'BF16'] as const)(
    '%s is widened exactly, rounded once, and rounds as update does',
    async (dtype) => {
      const half = dtype === 'F16' ? 'f16' : 'bf16'
      const every = Uint16Array.from({ length: 65536 }, (_, bits) => bits)
      const raw = (bits: Uint16Array): RawTensor => ({
        dtype,
        shape: [bits.length],
        bytes: new Uint8Array(bits.buffer),
      })
      write('x', { w: raw(every) })
      const wide = await run(['x'], weightedSum([1]), { dtype: 'F32' })
      fs.renameSync(join(directory, 'out'), join(directory, 'wide'))
      const [single] = wide.tensors.values()
      expect(single && decode(single, 'f32')).toEqual(widen(every, half))
      const back = await run(['wide'], weightedSum([1]), { dtype })
      const [again] = back.tensors.values()
      expect(again && decode(again, 'f32')).toEqual(widen(every, half))

      const [x, y] = [1, 2].map((seed) => narrow(weights(4000, seed), half))
      if (!x || !y) return
      write('x', { w: raw(x) })
      write('y', { w: raw(y) })
      const blended = await run(['x', 'y'], sequenceOf(ema({ decay: 0.75 }), 2))
      const [found] = blended.tensors.values()
      const sums = await run(['x', 'y'], sequenceOf(ema({ decay: 0.75 }), 2), { dtype: 'F32' })
      const [sum] = sums.tensors.values()
      expect(found && sum && decode(found, 'f32')).toEqual(sum && widen(narrow(decode(sum, 'f32'), half), half))
    },
  )

  test('comes through short reads and writes', async () => {
    short.on = true
    const [x, y] = [weights(5000, 1), weights(5000, 2)]
    write('x', { w: f32(x) })
    write('y', { w: f32(y) })
    const { tensors } = await run(['x', 'y'], weightedSum([0.5, 0.5]))
    const [raw] = tensors.values()
    expect(raw && [...decode(raw, 'f32')]).toEqual(
      [...x].map((a, i) => Math.fround(a + Math.fround(0.5 * Math.fround((y[i] ?? 0) - a)))),
    )
  })

  test('a sequence is one update after another', async () => {
    for (const [i, name] of ['x', 'y', 'z'].entries()) write(name, model(10 * i))
    const rule = ema({ decay: 0.9 })
    const { tensors: once } = await run(['x', 'y', 'z'], sequenceOf(rule, 3))
    await run(['x', 'y'], sequenceOf(rule, 2))
    fs.renameSync(join(directory, 'out'), join(directory, 'xy'))
    const { tensors: twice } = await run(['xy', 'z'], sequenceOf(rule, 2))
    expect([...once.values()].map(({ bytes }) => bytes)).toEqual([...twice.values()].map(({ bytes }) => bytes))
  })

  test('a weighted mean is that of average on loaded models, bit for bit', async () => {
    const device = wasmDevice({ threads: 1 })
    setDefaultDevice(device)
    const names = Array.from({ length: 9 }, (_, i) => `m${i}`)
    for (const [i, name] of names.entries()) write(name, { w: f32(weights(3000, 10 + i)) })
    const given = [0, 5, 1, 2, 3, 0, 7, 1, 4]
    const total = given.reduce((a, b) => a + b)
    const recipe = weightedSum(given.map((weight) => weight / total))
    const { tensors } = await run(names, recipe, { device })
    const sources = names.map((_, i) => ({ w: parameter(tensor([...weights(3000, 10 + i)])) }))
    const target = { w: parameter(tensor([...weights(3000, 1)])) }
    average({ target, sources }, { weights: given })
    const streamed = tensors.get('w')?.bytes ?? new Uint8Array()
    expect(Buffer.compare(streamed, new Uint8Array(target.w.dataSync().buffer))).toBe(0)
    await device.close()
  })

  test.each(['F16', 'BF16'] as const)('so is one of many %s models, rounded once', async (dtype) => {
    const device = wasmDevice({ threads: 1 })
    setDefaultDevice(device)
    const half = dtype === 'F16' ? 'f16' : 'bf16'
    const names = Array.from({ length: 11 }, (_, i) => `m${i}`)
    const values = names.map((_, i) => widen(narrow(weights(3000, 10 + i), half), half))
    for (const [i, name] of names.entries()) write(name, { w: encode(values[i] ?? new Float32Array(), half, [3000]) })
    const { tensors } = await run(names, weightedSum(names.map(() => 1 / names.length)), { device })
    const made = (numbers: ArrayLike<number> = []) => ({
      w: parameter(tensor([...Array.from(numbers)], { dtype: half })),
    })
    const target = made(values[0])
    average({ target, sources: values.map(made) })
    const streamed = tensors.get('w')
    expect(streamed && decode(streamed, 'f32')).toEqual(target.w.dataSync())
    await device.close()
  })

  test.each(['f32', 'f64'] as const)(
    'a mean of equal models is that model, bit for bit, summed in %s',
    async (accumulate) => {
      write('x', model(1))
      for (const given of [
        [1 / 3, 1 / 3, 1 / 3],
        [0.2, 0.5, 0.3],
        [-3, 2, 2],
      ]) {
        const { tensors } = await run(['x', 'x', 'x'], weightedSum(given), { accumulate })
        for (const [name, { bytes }] of tensors)
          expect([name, Buffer.compare(bytes, model(1)[name]?.bytes ?? new Uint8Array())]).toEqual([name, 0])
      }
    },
  )

  test('the order of the models changes a mean by its rounding only', async () => {
    for (const [i, name] of ['x', 'y', 'z'].entries()) write(name, model(10 * i))
    const mean = weightedSum([1 / 3, 1 / 3, 1 / 3])
    const one = await run(['x', 'y', 'z'], mean)
    const turned = await run(['z', 'x', 'y'], mean)
    for (const [name, raw] of one.tensors) {
      const found = turned.tensors.get(name)
      const values = found ? decode(found, 'f32') : new Float32Array()
      const apart = decode(raw, 'f32').map((value, i) => Math.abs(value - (values[i] ?? Number.NaN)))
      expect(apart.every((distance) => distance < 2 ** -19)).toBe(true)
    }
  })

  test('a model of weight 0 is not read: its NaN does not leak', async () => {
    write('x', { w: f32(Float32Array.of(1, 2)) })
    write('nan', { w: f32(Float32Array.of(Number.NaN, Number.NaN)) })
    for (const recipe of [weightedSum([1, 0]), sequenceOf(ema({ decay: 1 }), 2), sequenceOf(ema({ tau: 0 }), 2)]) {
      const { tensors } = await run(['x', 'nan'], recipe)
      expect([...tensors.values()].map((raw) => [...decode(raw, 'f32')])).toEqual([[1, 2]])
    }
    const { tensors } = await run(['nan', 'x'], sequenceOf(ema({ decay: 0 }), 2))
    expect([...tensors.values()].map((raw) => [...decode(raw, 'f32')])).toEqual([[1, 2]])
  })

  test('f64 sums keep what f32 sums lose', async () => {
    // Far from 1 the steps of f32 are 2^-23: a thousandth of one is lost in each sum, unless it is kept in f64.
    const [a, b] = [Float64Array.of(1, 1e300), Float64Array.of(1 + 2 ** -40, -1e300)]
    write('x', { w: encode(a, 'f64', [2]) })
    write('y', { w: encode(b, 'f64', [2]) })
    const { tensors } = await run(['x', 'y'], sequenceOf(ema({ tau: 0.25 }), 2))
    const [raw] = tensors.values()
    expect(raw && [...decode(raw, 'f64')]).toEqual([1 + 2 ** -42, 1e300 + 0.25 * (-1e300 - 1e300)])

    write('x', { w: f32(Float32Array.of(1)) })
    write('y', { w: f32(Float32Array.of(1 + 2 ** -23)) })
    const wide = await run(['x', 'y'], sequenceOf(ema({ tau: 0.25 }), 2), { accumulate: 'f64', dtype: 'F64' })
    expect([...wide.tensors.values()].map((each) => [...decode(each, 'f64')])).toEqual([[1 + 2 ** -25]])
  })
})

describe('when something fails, nothing is left behind and the previous file is untouched', () => {
  const old = Uint8Array.of(1, 2, 3)
  beforeEach(() => {
    short.on = true
    write('x', { w: f32(weights(1500, 1)) })
    write('y', { w: f32(weights(1500, 2)) })
    fs.writeFileSync(join(directory, 'out'), old)
  })

  test.each([
    [
      'write',
      'ENOSPC',
      1,
      /out: it could not be written: there is no space left in .*; free some or choose another disk/,
    ],
    ['write', 'ENOSPC', 4, /there is no space left/],
    ['write', 'EIO', 3, /EIO: injected, write; check the path and the disk/],
    ['fsync', 'EIO', 1, /EIO: injected, fsync/],
    ['rename', 'EACCES', 1, /there is no permission to write in/],
    ['read', 'EIO', 2, /[xy]: it could not be read \(EIO: injected, read\); check the path and the disk/],
  ])('%s: %s on call %i', async (name, code, onCall, message) => {
    failing.set(name, { code, onCall })
    const attempt = run(['x', 'y'], weightedSum([0.5, 0.5]))
    await expect(attempt).rejects.toThrow(FormatError)
    await expect(attempt).rejects.toThrow(message)
    expect(fs.readdirSync(directory).sort()).toEqual(['out', 'x', 'y'])
    expect(fs.readFileSync(join(directory, 'out'))).toEqual(Buffer.from(old))
  })

  test('a file that becomes shorter, or is written, while it is read', async () => {
    const models = [ModelFiles.open(join(directory, 'x'))]
    const recipe = weightedSum([1])
    const combination = {
      models,
      recipe: () => recipe,
      integersFrom: 0,
      dtype: undefined,
      accumulate: 'f32',
      metadata: {},
    } as const
    const plans = planOutputs(combination, [['w']])
    const files = OutputFiles.create([{ path: join(directory, 'out'), byteLength: plans[0]?.byteLength ?? 0 }])
    fs.truncateSync(join(directory, 'x'), 200)
    const device = wasmDevice({ threads: 1 })
    await expect(combine(models, plans, files, device)).rejects.toThrow(/x: it became shorter while it was read/)
    expect(() => models[0]?.requireUnchanged()).toThrow(/x: it was written while it was read; wait for its writer/)
    await files.discard()
    await files.discard()
    expect(fs.readdirSync(directory).sort()).toEqual(['out', 'x', 'y'])
    await device.close()
    models[0]?.close()
  })

  test('no space for the result is found before anything is read', () => {
    const create = () => OutputFiles.create([{ path: join(directory, 'out'), byteLength: 2 ** 60 }])
    expect(create).toThrow(/out: 1,152,921,504,606,\d+,\d+ bytes are needed, and [\d,]+ are free in/)
    expect(fs.readdirSync(directory).sort()).toEqual(['out', 'x', 'y'])
  })
})
