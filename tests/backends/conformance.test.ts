import { describe, expect, test } from 'vitest'
import { createReferenceBackend } from '../../src/backends/reference/index.js'
import { WasmBackend } from '../../src/backends/wasm/backend.js'
import { createWasmBackend, nodeHost } from '../../src/backends/wasm/node.js'
import type { Kernel } from '../../src/kernels/kernel.js'
import type { Backend, Buffer as DeviceBuffer } from '../../src/tensor/backend.js'
import { DeviceError } from '../../src/tensor/errors.js'
import { type ConformanceCase, conformanceCases, runConformance } from '../../src/testing/conformance.js'

interface Candidate {
  readonly name: string
  readonly make: () => Backend
}

/** Every mode of the wasm backend; '256' comes last because it switches a flag of the whole process. */
const wasm: Candidate[] = (['plain', 'fma', '256'] as const).flatMap((mode) =>
  [1, 2].map((threads) => {
    const make = () => createWasmBackend({ mode, threads })
    return { name: `wasm ${mode} on ${threads} thread${threads > 1 ? 's' : ''}`, make }
  }),
)

/** The backends under test. A new one is one line here. */
const candidates: Candidate[] = [{ name: 'reference', make: () => createReferenceBackend() }, ...wasm]

/** The backend, or why this engine cannot have it. */
function available({ make }: Candidate): Backend | string {
  try {
    return make()
  } catch (error) {
    if (error instanceof DeviceError) return error.message
    throw error
  }
}

const cases = conformanceCases()

/** What fails; cases may be left out only where they need f64, which a backend need not have. */
async function failuresOf(
  backend: Backend,
  some: readonly ConformanceCase[] = cases,
  reference: Backend = createReferenceBackend(),
): Promise<string[]> {
  const failures: string[] = []
  await runConformance(
    backend,
    reference,
    ({ name, status, message }) => {
      if (status === 'failed') failures.push(`${name}: ${message}`)
      if (status === 'skipped' && message !== 'the backend has no f64') failures.push(`${name} was skipped: ${message}`)
    },
    some,
  )
  await backend.close()
  return failures
}

const contentsOf = (some: readonly ConformanceCase[]) =>
  Buffer.concat(some.flatMap(({ buffers }) => buffers.map((data) => new Uint8Array(data.buffer))))

for (const candidate of candidates) {
  test(`${candidate.name} conforms`, async ({ skip }) => {
    const backend = available(candidate)
    if (typeof backend === 'string') return skip(backend)
    expect(await failuresOf(backend)).toEqual([])
  }, 120_000)
}

describe('one arithmetic: the same bits', () => {
  const toTheBit = cases.map(({ orElse, ...one }): ConformanceCase => ({ ...one, tolerance: { kind: 'exact' } }))
  const pairs = [
    ['plain', 1, 'plain', 2],
    ['plain', 1, 'plain', 8],
    ['fma', 1, 'fma', 2],
    ['fma', 1, '256', 2],
  ] as const
  for (const [mode, threads, otherMode, otherThreads] of pairs) {
    test(`${mode} on ${threads} thread as ${otherMode} on ${otherThreads}`, async ({ skip }) => {
      const one = available({ name: mode, make: () => createWasmBackend({ mode, threads }) })
      const other = available({
        name: otherMode,
        // Also small kernels are shared, and whatever number of cores there are.
        make: () => {
          const backend = new WasmBackend({ mode: otherMode, threads: otherThreads }, { ...nodeHost, shareAll: true })
          expect(backend.startThreads()).toBe(otherThreads)
          return backend
        },
      })
      if (typeof one === 'string') return skip(one)
      if (typeof other === 'string') return skip(other)
      expect(await failuresOf(other, toTheBit, one)).toEqual([])
      await one.close()
    }, 120_000)
  }
})

test('on every engine at least the plain wasm mode is tested', async () => {
  const plain = wasm.map(available).flatMap((backend) => (typeof backend === 'string' ? [] : backend))
  expect(plain.map(({ name }) => name)).toContain('wasm')
  await Promise.all(plain.map((backend) => backend.close()))
})

test('the same seed gives the same cases, each with a name of its own', () => {
  expect(new Set(cases.map((one) => one.name)).size).toBe(cases.length)
  expect(contentsOf(conformanceCases(1)).equals(contentsOf(cases))).toBe(true)
  expect(contentsOf(conformanceCases(2)).equals(contentsOf(cases))).toBe(false)
}, 120_000)

test('every kind of kernel and every node of an expression has cases', () => {
  const kinds = ['map', 'reduce', 'rows', 'matmul', 'conv2d', 'pool2d', 'gather', 'scatter', 'foreach']
  expect([...new Set(cases.map(({ kernel }) => kernel.kind))].sort()).toEqual(kinds.sort())
  const keys = cases
    .map(({ kernel }) => ('exprs' in kernel ? kernel.exprs.map(({ key }) => key).join(';') : ''))
    .join(';')
  const ops = [
    'input',
    'uniform',
    'scalar',
    'const',
    'index',
    'neg',
    'abs',
    'sqrt',
    'exp',
    'expm1',
    'log',
    'log1p',
    'sin',
    'cos',
    'tanh',
    'erf',
    'floor',
    'ceil',
    'round',
    'not',
    'isNaN',
    'add',
    'sub',
    'mul',
    'div',
    'pow',
    'max',
    'min',
    'and',
    'or',
    'xor',
    'shl',
    'shr',
    'eq',
    'ne',
    'lt',
    'le',
    'gt',
    'ge',
    'select',
    'fma',
    'cast',
    'bitcast',
  ]
  expect(ops.filter((op) => !keys.includes(`${op}:`))).toEqual([])
})

describe('a backend with one mistake fails', () => {
  /** The reference, except that kernels are changed before they run. */
  const broken = (change: (kernel: Kernel) => Kernel): Backend => {
    const backend = createReferenceBackend()
    return { ...backend, run: (kernel, buffers, scalars) => backend.run(change(kernel), buffers, scalars) }
  }
  const some = (prefix: string) => cases.filter(({ name }) => name.startsWith(prefix))

  test('that ignores where an output begins', async () => {
    const forgetful = broken((kernel) =>
      kernel.kind === 'map'
        ? { ...kernel, outputs: kernel.outputs.map((output) => ({ ...output, offset: 0 })) }
        : kernel,
    )
    expect(await failuresOf(forgetful, some('map/layout/offsets'))).toHaveLength(12)
  })
  test('that leaves out the last element', async () => {
    const short = broken((kernel) =>
      kernel.kind === 'map' && kernel.shape.length === 1
        ? { ...kernel, shape: [Math.max(0, (kernel.shape[0] ?? 0) - 1)] }
        : kernel,
    )
    // Only the empty tail has nothing to leave out.
    expect(await failuresOf(short, some('map/size/tail ['))).toHaveLength(34)
  })
  test('that takes the smallest for the largest', async () => {
    const turned = broken((kernel) =>
      kernel.kind === 'reduce' && kernel.combine === 'max' ? { ...kernel, combine: 'min' } : kernel,
    )
    expect(await failuresOf(turned, some('reduce/max of ties'))).not.toEqual([])
  })
  test('that leaves out one term of a product of matrices', async () => {
    const short = broken((kernel) => (kernel.kind === 'matmul' ? { ...kernel, k: Math.max(0, kernel.k - 1) } : kernel))
    const products = cases.filter(
      ({ kernel, tolerance }) =>
        kernel.kind === 'matmul' && kernel.k > 0 && kernel.m * kernel.n > 30 && tolerance.kind === 'equal',
    )
    expect(products.length).toBeGreaterThan(150)
    expect(await failuresOf(short, products)).toHaveLength(products.length)
  })
  test('that ignores guards, or reduces to nothing', async () => {
    const steered = cases.filter(({ name }) => /^foreach.*(skipped parts|beside an update).*every tail/.test(name))
    expect(steered).toHaveLength(2)
    const heedless = broken((kernel) =>
      kernel.kind === 'foreach' ? { ...kernel, parts: kernel.parts.map(({ guard: _, ...part }) => part) } : kernel,
    )
    expect(await failuresOf(heedless, steered)).toHaveLength(2)
    const idle = broken((kernel) => (kernel.kind === 'foreach' ? { ...kernel, reductions: [] } : kernel))
    expect(await failuresOf(idle, steered)).toHaveLength(1)
  })
  test('that transposes nothing', async () => {
    const flat = broken((kernel) =>
      kernel.kind === 'matmul'
        ? { ...kernel, b: { ...kernel.b, strides: [...kernel.b.strides.slice(0, -2), kernel.n, 1] } }
        : kernel,
    )
    expect(await failuresOf(flat, some('matmul/bᵀ [33,65]'))).toHaveLength(1)
  })
  test('that rounds a function badly', async () => {
    const coarse = createReferenceBackend()
    const backend: Backend = {
      ...coarse,
      // The sixth-lowest bit of every element read: 32 ulp.
      read: async (buffer, byteOffset, byteLength) => {
        const bytes = await coarse.read(buffer, byteOffset, byteLength)
        for (let i = 0; i < bytes.length; i += 4) bytes[i] = (bytes[i] ?? 0) ^ 32
        return bytes
      },
    }
    expect((await failuresOf(backend, some('map/exp f32'))).filter((line) => line.includes('(32 ulp)'))).toHaveLength(1)
  })
  test('that ignores bad indices, or writes before it finds them', async () => {
    const backend = createReferenceBackend()
    const careless: Backend = { ...backend, run: () => {} }
    const bad = cases.filter(({ mustThrow }) => mustThrow)
    expect(bad).toHaveLength(27)
    expect((await failuresOf(careless, bad)).filter((line) => line.includes('did not throw'))).toHaveLength(27)
    const hasty: Backend = {
      ...backend,
      run: (kernel: Kernel, buffers: readonly DeviceBuffer[], scalars: readonly number[]) => {
        const output = buffers.at(-1)
        if (output) backend.write(output, 0, new Uint8Array(Math.min(4, output.byteLength)))
        backend.run(kernel, buffers, scalars)
      },
    }
    const wrote = (await failuresOf(hasty, bad)).filter((line) => line.includes('wrote before it threw'))
    // The output of a scatter into an empty axis has no element to write.
    expect(wrote).toHaveLength(25)
  })
  test('that loses memory', async () => {
    const backend = createReferenceBackend()
    const leaking: Backend = { ...backend, free: () => {} }
    const failures = await failuresOf(leaking, [])
    expect(failures.map((line) => line.split(':')[0])).toEqual([
      'memory/what is freed is no longer used',
      'memory/freed memory is used again',
    ])
  })
})
