import '../../src/autodiff/fluent.js'
import '../../src/ops/fluent.js'
import { afterAll, describe, expect, it } from 'vitest'
import { createReferenceBackend } from '../../src/backends/reference/index.js'
import { createWasmBackend } from '../../src/backends/wasm/node.js'
import { parseSafetensors } from '../../src/io/safetensors.js'
import * as d from '../../src/ops/index.js'
import type { HalfDType } from '../../src/shapes/dtype.js'
import { halfBits, halfValue, narrow, widen } from '../../src/shapes/half.js'
import { Device } from '../../src/tensor/device.js'
import { assertClose } from '../../src/testing/close.js'
import { goldenBytes } from '../golden-file.js'
import type { AnyX } from './cases.js'
import { type Case, dataOf, type Golden, type GoldenInput, run, table } from './table.js'

const dtypes = ['f16', 'bf16'] as const
const devices = [
  { name: 'reference', device: new Device(createReferenceBackend()) },
  { name: 'wasm', device: new Device(createWasmBackend({ threads: 1 })) },
]
afterAll(() => Promise.all(devices.map(({ device }) => device.close())))

/** Half the distance of two neighbours of 1: what one rounding may lose, relative to the result. */
const epsilon = { f16: 2 ** -11, bf16: 2 ** -8 }

const { tensors, metadata } = parseSafetensors(goldenBytes('half.safetensors'))
function golden(name: string): { shape: number[]; values: Float32Array; bits: Uint16Array } {
  const raw = tensors.get(name)
  if (!raw) throw new Error(`no golden ${name}: run tools/golden/half.py`)
  const { buffer } = Uint8Array.from(raw.bytes)
  if (raw.dtype === 'F32') return { shape: [...raw.shape], values: new Float32Array(buffer), bits: new Uint16Array() }
  const bits = new Uint16Array(buffer)
  const values = raw.dtype === 'I16' ? new Float32Array() : widen(bits, raw.dtype === 'F16' ? 'f16' : 'bf16')
  return { shape: [...raw.shape], values, bits }
}

describe('conversion', () => {
  it('the golden file is from a known version of PyTorch', () => expect(metadata.torch).toBe('2.13.0+cpu'))

  for (const dtype of dtypes) {
    it(`every ${dtype} comes back from f32 as it was, NaN as NaN`, () => {
      for (let bits = 0; bits < 0x10000; bits++) {
        const value = halfValue(bits, dtype)
        const back = halfBits(value, dtype)
        const same = Number.isNaN(value) ? Number.isNaN(halfValue(back, dtype)) : back === bits
        if (!same) expect.unreachable(`${bits} is ${value}, which is ${back}`)
      }
    })
    it(`f32 rounds to ${dtype} as in PyTorch, bit for bit, on the host`, () => {
      const { values } = golden('single/f32')
      expectSameBits(narrow(values, dtype), golden(`single/${dtype}`).bits, values, dtype)
    })
    for (const { name, device } of devices) {
      it(`f32 rounds to ${dtype} as in PyTorch, bit for bit, on ${name}`, async () => {
        const { values } = golden('single/f32')
        const x = d.cast(d.tensor(values, [values.length], { device }), dtype)
        expectSameBits(await d.toBits(x), golden(`single/${dtype}`).bits, values, dtype)
        // And back.
        expect(dataOf(d.cast(x, 'f32'))).toEqual(dataOf(x))
      })
    }
  }
})

function expectSameBits(got: Uint16Array, want: Uint16Array, values: Float32Array, dtype: HalfDType): void {
  expect(want.length).toBe(values.length)
  for (const [i, value] of values.entries()) {
    const same = Number.isNaN(value) ? Number.isNaN(halfValue(got[i] ?? 0, dtype)) : got[i] === want[i]
    if (!same) expect.unreachable(`${value} is ${got[i]}, PyTorch says ${want[i]}`)
  }
}

/** Our op for each case of tools/golden/half.py. */
const ops: Readonly<Record<string, (...inputs: AnyX[]) => AnyX>> = {
  add: d.add,
  mul: d.mul,
  div: d.div,
  'mul number': (a) => d.mul(a, 0.1),
  exp: d.exp,
  tanh: d.tanh,
  sigmoid: d.sigmoid,
  gelu: (a) => d.gelu(a),
  sum: (a) => d.sum(a, 1),
  mean: (a) => d.mean(a, 1),
  max: (a) => d.max(a, 1),
  matmul: d.matmul,
  linear: (a, b, c) => d.linear(a, b, c),
  softmax: (a) => d.softmax(a, -1),
  logSoftmax: (a) => d.logSoftmax(a, -1),
  layerNorm: (a, b, c) => d.layerNorm(a, b, c),
  conv2d: (a, b, c) => d.conv2d(a, b, c, { padding: 1 }),
  maxPool2d: (a) => d.maxPool2d(a, 2),
  mse: (a, b) => d.mse(a, b),
  crossEntropy: (a) => d.crossEntropy(a, d.tensor([0, 1, 2, 3, 4, 5, 6, 7], { dtype: 'i32', device: a.device })),
  embedding: (a) => d.embedding(d.tensor([3, 1, 3, 0], { dtype: 'i32', device: a.device }), a),
}

describe('PyTorch computes the same in f16 and bf16', () => {
  for (const { name: on, device } of devices) {
    for (const dtype of dtypes) {
      it.each(Object.entries(ops))(`%s in ${dtype} on ${on}`, (name, op) => {
        const of = (what: string) => golden(`${dtype}/${name}/${what}`)
        const make = ({ values, shape }: Pick<Golden, 'values' | 'shape'>): AnyX =>
          d.tensor(Float32Array.from(values), [...shape], { dtype, device })
        const count = [0, 1, 2].filter((i) => tensors.has(`${dtype}/${name}/in.${i}`))
        const inputs = count.map((i) => make(of(`in.${i}`)))
        const y = op(...inputs.map((x) => x.trace()))
        expect(y.dtype).toBe(dtype)
        // PyTorch rounds some of them twice.
        const rtol = 3 * epsilon[dtype]
        const out = of('out')
        assertClose(dataOf(y), out.values, { rtol, atol: rtol / 4, name })
        const loss: AnyX = d.sum(d.mul(y, make(of('dy'))))
        const gradients = loss.backward()
        for (const i of count) {
          const gradient = gradients.get(inputs[i])
          expect(gradient.dtype).toBe(dtype)
          const { values } = of(`grad.${i}`)
          const largest = values.reduce((most, x) => Math.max(most, Math.abs(x)), 0)
          assertClose(dataOf(gradient), values, { rtol, atol: epsilon[dtype] * largest, name: `${name}: input ${i}` })
        }
      })
    }
  }
})

/** The case with floats rounded to `dtype`, so that f32 sees the numbers that the op on `dtype` sees. */
function rounded(one: Case, dtype: HalfDType): Case {
  const round = <G extends Golden>(of: G): G => {
    const float = of.values instanceof Float32Array || of.values instanceof Float64Array
    return float ? { ...of, values: widen(narrow(of.values, dtype), dtype) } : of
  }
  return { ...one, inputs: one.inputs.map((input): GoldenInput => round(input)), dy: one.dy && round(one.dy) }
}

const isFloatCase = ({ inputs }: Case) => inputs.some(({ type }) => type === 'float')

describe('every op on f16 and bf16 is the op in f32, rounded', () => {
  for (const { name: on, device } of devices) {
    for (const dtype of dtypes) {
      describe(`${dtype} on ${on}`, () => {
        for (const { name, cases } of table) {
          const those = cases.filter(isFloatCase)
          if (those.length === 0) continue
          it(name, () => {
            for (const case_ of those) {
              const one = rounded(case_, dtype)
              const want = run(device, one, 'f32')
              const got = run(device, one, dtype)
              expect(got.shape).toEqual(want.shape)
              const all = [[got.out, want.out, name] as const].concat(
                want.gradients.flatMap((gradient, i) =>
                  gradient
                    ? [[got.gradients[i] ?? new Float32Array(), gradient, `${name}: gradient ${i}`] as const]
                    : [],
                ),
              )
              for (const [actual, expected, what] of all) {
                if (!(expected instanceof Float32Array)) {
                  expect([...actual]).toEqual([...expected])
                  continue
                }
                const finite = Array.from(expected, Math.abs).filter(Number.isFinite)
                const largest = Math.min(Math.max(0, ...finite), dtype === 'f16' ? 65504 : 3e38)
                const options = { rtol: 4 * epsilon[dtype], atol: epsilon[dtype] * largest, name: what }
                // What the dtype cannot hold is infinite in it.
                assertClose(actual, widen(narrow(expected, dtype), dtype), options)
              }
            }
          })
        }
      })
    }
  }
})
