import { nodes } from '../kernels/expr.js'
import { exprsOf, type Kernel } from '../kernels/kernel.js'
import type { Backend } from '../tensor/backend.js'
import type { DType } from '../tensor/dtype.js'
import { ShapeError } from '../tensor/errors.js'
import type { ConformanceCase, Contents, Variant } from './conformance/case.js'
import { type Allowance, firstDifference } from './conformance/compare.js'
import {
  denormalCases,
  exactCases,
  fmaCases,
  leafCases,
  randomExprCases,
  transcendentalCases,
} from './conformance/elementwise.js'
import { conv2dCases } from './conformance/convolutions.js'
import { epilogueCases, rowsCases } from './conformance/fused.js'
import { foreachCases } from './conformance/foreachs.js'
import { halfCases } from './conformance/halves.js'
import { indexingCases } from './conformance/indexing.js'
import { layoutCases, sharingCases, sizeCases } from './conformance/maps.js'
import { matmulCases } from './conformance/matmuls.js'
import { memoryChecks } from './conformance/memory.js'
import { pool2dCases } from './conformance/poolings.js'
import { Random } from './conformance/random.js'
import { reduceCases } from './conformance/reductions.js'

export type { ConformanceCase } from './conformance/case.js'

/** What became of one case. */
export interface ConformanceResult {
  readonly name: string
  /** `skipped`: the backend has no memory for one of the dtypes. */
  readonly status: 'passed' | 'failed' | 'skipped'
  /** What differed, or the dtype that is missing; empty if passed. */
  readonly message: string
}

/** How a run of the suite went. */
export interface ConformanceSummary {
  readonly passed: number
  readonly failed: number
  readonly skipped: number
}

/**
 * Every kind of kernel in every kind of layout, every node of an Expr on every dtype with the values where it goes
 * wrong first, bad indices, sharing, tails and sizes worth several threads. The same seed gives the same cases.
 * @example conformanceCases().filter(({ name }) => name.startsWith('matmul/'))
 */
export function conformanceCases(seed = 1): ConformanceCase[] {
  const families = [
    layoutCases,
    sizeCases,
    sharingCases,
    exactCases,
    fmaCases,
    denormalCases,
    transcendentalCases,
    leafCases,
    randomExprCases,
    reduceCases,
    matmulCases,
    indexingCases,
    foreachCases,
    conv2dCases,
    pool2dCases,
    halfCases,
    epilogueCases,
    rowsCases,
  ]
  return families.flatMap((family, i) => family(new Random(seed * 101 + i)))
}

/**
 * Runs the cases on `backend` and compares every byte of every buffer with what `reference` computes: equality where
 * the arithmetic is exact, a stated tolerance elsewhere (`Tolerance`). Also checks that memory is counted and that
 * bytes come back as written. Needs no test framework: `report` hears of every result as it comes.
 *
 * @example
 * const { failed } = await runConformance(mine, createReferenceBackend(), ({ status, name, message }) => {
 *   if (status === 'failed') console.error(name, message)
 * })
 */
export async function runConformance(
  backend: Backend,
  reference: Backend,
  report: (result: ConformanceResult) => void = () => {},
  cases: readonly ConformanceCase[] = conformanceCases(),
): Promise<ConformanceSummary> {
  const count = { passed: 0, failed: 0, skipped: 0 }
  const tell = (result: ConformanceResult) => {
    count[result.status]++
    report(result)
  }
  for (const { name, check } of memoryChecks) {
    tell(resultOf(name, await messageOf(() => check(backend))))
  }
  for (const one of cases) {
    const missing = dtypesOf(one).find((dtype) => !backend.supports(dtype))
    if (missing) tell({ name: one.name, status: 'skipped', message: `the backend has no ${missing}` })
    else tell(resultOf(one.name, await messageOf(() => runCase(one, backend, reference))))
  }
  return count
}

const resultOf = (name: string, message: string): ConformanceResult => ({
  name,
  status: message ? 'failed' : 'passed',
  message,
})

/** What went wrong, an error thrown included; empty if nothing did. */
async function messageOf(check: () => Promise<string | undefined>): Promise<string> {
  try {
    return (await check()) ?? ''
  } catch (error) {
    return `threw ${error instanceof Error ? `${error.name}: ${error.message}` : String(error)}`
  }
}

async function runCase(one: ConformanceCase, backend: Backend, reference: Backend): Promise<string | undefined> {
  if (one.mustThrow) return runThrowing(one, backend)
  const actual = await run(backend, one, one.scalars)
  const differenceFrom = async (variant: Variant): Promise<string | undefined> => {
    const expected = await run(reference, variant, one.scalars)
    return firstDifference(actual, expected, await allowanceOf(one, reference))
  }
  const difference = await differenceFrom(one)
  if (difference === undefined) return undefined
  for (const variant of one.orElse ?? []) if ((await differenceFrom(variant)) === undefined) return undefined
  return `${difference}; ${describe(one.kernel)}`
}

async function runThrowing(one: ConformanceCase, backend: Backend): Promise<string | undefined> {
  let thrown: unknown
  const after = await run(backend, one, one.scalars, (error) => {
    thrown = error
  })
  if (!(thrown instanceof ShapeError))
    return `must throw a ShapeError, but ${thrown === undefined ? 'did not throw' : `threw ${thrown}`}`
  const written = firstDifference(after, one.buffers, { kind: 'exact' })
  return written && `wrote before it threw: ${written}`
}

async function allowanceOf({ tolerance, scalars }: ConformanceCase, reference: Backend): Promise<Allowance> {
  if (tolerance.kind !== 'sum') return tolerance
  return { ...tolerance, magnitudes: await run(reference, tolerance.magnitudes, scalars) }
}

const bytesOf = (data: Contents) => new Uint8Array(data.buffer, data.byteOffset, data.byteLength)

/** The buffers after the run. An error is thrown on, or given to `caught` and the buffers read all the same. */
async function run(
  backend: Backend,
  { kernel, buffers }: Variant,
  scalars: readonly number[],
  caught?: (error: unknown) => void,
): Promise<Contents[]> {
  const bindings = new Map([...new Set(buffers)].map((data) => [data, backend.allocate(data.byteLength)] as const))
  try {
    for (const [data, buffer] of bindings) backend.write(buffer, 0, bytesOf(data))
    try {
      backend.run(
        kernel,
        buffers.flatMap((data) => bindings.get(data) ?? []),
        scalars,
      )
    } catch (error) {
      if (!caught) throw error
      caught(error)
    }
    const after = buffers.map(async (data) => {
      const buffer = bindings.get(data)
      const copy = data.slice()
      if (buffer) bytesOf(copy).set(await backend.read(buffer, 0, data.byteLength))
      return copy
    })
    return await Promise.all(after)
  } finally {
    for (const buffer of bindings.values()) backend.free(buffer)
  }
}

/** Every dtype a case touches, in memory or in between. */
const dtypesOf = ({ kernel }: ConformanceCase): readonly DType[] => [
  ...operandDTypes(kernel),
  ...nodes(exprsOf(kernel)).map(({ dtype }) => dtype),
]

function operandDTypes(kernel: Kernel): readonly DType[] {
  const dtypes = (operands: readonly { readonly dtype: DType }[]) => operands.map(({ dtype }) => dtype)
  switch (kernel.kind) {
    case 'map':
      return dtypes([...kernel.inputs, ...kernel.outputs])
    case 'reduce':
      return dtypes([...kernel.inputs, kernel.output])
    case 'rows':
      return dtypes([...kernel.inputs, ...kernel.stages.flatMap(({ output }) => output ?? [])])
    case 'foreach':
      return [...kernel.inputs, ...kernel.outputs]
    case 'pool2d':
      return dtypes([...kernel.inputs, ...(kernel.epilogue?.inputs ?? []), kernel.output])
    case 'matmul':
    case 'conv2d':
      return dtypes([kernel.a, kernel.b, ...(kernel.epilogue?.inputs ?? []), kernel.output])
    case 'gather':
    case 'scatter':
      return dtypes([kernel.source, kernel.index, kernel.output])
  }
}

/** The descriptor in short: enough to build it again. */
function describe(kernel: Kernel): string {
  const text = JSON.stringify(kernel, (key, value) =>
    key === 'expr' ? value.key : key === 'exprs' ? value.map((e: { key: string }) => e.key) : value,
  )
  return text.length > 600 ? `${text.slice(0, 600)}…` : text
}
