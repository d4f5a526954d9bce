import { readFileSync } from 'node:fs'
import { fileURLToPath } from 'node:url'
import { parseSafetensors } from '../../src/io/safetensors.js'
import type { RawTensor } from '../../src/io/raw-tensor.js'
import { mul, sum, tensor } from '../../src/ops/index.js'
import type { Device } from '../../src/tensor/device.js'
import type { TypedArray } from '../../src/tensor/elements.js'
import { recordOf } from '../../src/tensor/record.js'
import type { FloatDType } from '../../src/shapes/dtype.js'
import { type AnyX, families, nameOf, type Row } from './cases.js'
import type { InputType } from './inputs.js'

/** A tensor in a golden file. */
export interface Golden {
  readonly shape: readonly number[]
  readonly values: Float64Array | Float32Array | Int32Array | Uint32Array | Uint8Array
}

export interface GoldenInput extends Golden {
  readonly type: InputType
}

/** One case of a row with what PyTorch made of it. */
export interface Case {
  readonly row: Row
  readonly position: number
  readonly name: string
  readonly inputs: readonly GoldenInput[]
  readonly out: Golden
  /** The cotangent, where the result has a gradient. */
  readonly dy: Golden | undefined
  /** By input. */
  readonly gradients: readonly (Golden | undefined)[]
}

const remedy = 'run tools/golden/ops.py after changing tests/ops/cases.ts'

function arrayOf({ dtype, bytes }: RawTensor): Golden['values'] {
  const copy = Uint8Array.from(bytes).buffer
  if (dtype === 'F64') return new Float64Array(copy)
  if (dtype === 'F32') return new Float32Array(copy)
  if (dtype === 'I32') return new Int32Array(copy)
  if (dtype === 'U32') return new Uint32Array(copy)
  if (dtype === 'BOOL') return new Uint8Array(copy)
  throw new Error(`golden files hold no ${dtype}`)
}

function load(family: string): { find: (name: string) => Golden | undefined; torch: string | undefined } {
  const file = fileURLToPath(new URL(`../golden/ops/${family}.safetensors`, import.meta.url))
  const { metadata, tensors } = parseSafetensors(readFileSync(file), file)
  const find = (name: string): Golden | undefined => {
    const raw = tensors.get(name)
    return raw && { shape: raw.shape, values: arrayOf(raw) }
  }
  const { torch } = metadata
  return { find, torch }
}

/** The PyTorch versions that the golden files were made with. */
export const versions: (string | undefined)[] = []

/** Every row with its cases. */
export const table: { readonly row: Row; readonly name: string; readonly cases: readonly Case[] }[] = Object.entries(
  families,
).flatMap(([family, rows]) => {
  const { find, torch } = load(family)
  versions.push(torch)
  return rows.map((row) => ({
    row,
    name: nameOf(row),
    cases: row.inputs.map((_, position) => caseOf(row, position, find)),
  }))
})

function caseOf(row: Row, position: number, find: (name: string) => Golden | undefined): Case {
  const name = `${nameOf(row)} ${position}`
  const need = (what: string): Golden => {
    const found = find(`${name}/${what}`)
    if (found) return found
    throw new Error(`no golden "${name}/${what}": ${remedy}`)
  }
  const inputs = (row.inputs[position] ?? []).map(({ type, shape }, i): GoldenInput => {
    const golden = need(`in.${i}`)
    if (String(golden.shape) !== String(shape)) throw new Error(`golden "${name}" has other shapes: ${remedy}`)
    return { ...golden, type }
  })
  const gradients = inputs.map((_, i) => find(`${name}/grad.${i}`))
  return { row, position, name, inputs, out: need('out'), dy: find(`${name}/dy`), gradients }
}

/** Elements as a tensor; floats become `dtype`. */
export function make(device: Device, golden: Golden, dtype: FloatDType): AnyX {
  const { values, shape } = golden
  const floating = values instanceof Float32Array || values instanceof Float64Array
  const array = floating ? (dtype === 'f64' ? Float64Array.from(values) : Float32Array.from(values)) : values
  return tensor(array, [...shape], floating ? ({ device, dtype } as object) : { device })
}

export const makeInputs = (device: Device, one: Case, dtype: FloatDType): AnyX[] =>
  one.inputs.map((input) => make(device, input, dtype))

export const dataOf = (x: AnyX): TypedArray => recordOf(x).dataSync()

/** What our op makes of a case on a device: the result, and the gradients under the cotangent. */
export interface Outcome {
  readonly shape: readonly number[]
  readonly out: TypedArray
  readonly gradients: readonly (TypedArray | undefined)[]
}

export function run(
  device: Device,
  one: Case,
  dtype: FloatDType,
  inputs: AnyX[] = makeInputs(device, one, dtype),
): Outcome {
  const { row, dy } = one
  if (!dy) {
    const y = row.call(...inputs)
    return { shape: y.shape, out: dataOf(y), gradients: [] }
  }
  const wanted = one.gradients.map((gradient) => gradient !== undefined)
  const y = row.call(...inputs.map((x, i) => (wanted[i] ? x.trace() : x)))
  const out = dataOf(y)
  const shape = y.shape
  const loss: AnyX = sum(mul(y, make(device, dy, dtype)))
  const gradients = loss.backward()
  return { shape, out, gradients: inputs.map((x, i) => (wanted[i] ? dataOf(gradients.get(x)) : undefined)) }
}
