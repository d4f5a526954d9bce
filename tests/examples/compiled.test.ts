import { createHash } from 'node:crypto'
import { mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { inspect } from 'node:util'
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest'
import { type Compile, plainCompile } from './plain-compile.js'

// Every example runs twice: as it is, and with `compile` giving the plain function. What it prints and draws, and what its
// compiled functions return, call by call, must be the same bits.

/** Printed lines that may differ: plain results stay on the device until they are collected. */
const varying = /^memory that/
const timeout = 120_000
/** Modules that examples share. */
const shared = ['cart-pole', 'compare', 'mnist']
/** How much of a training is enough to compare, as `--steps`: of federated averaging, in each of six rounds. */
const steps: Record<string, number> = {
  federated: 5,
  'flow-matching': 30,
  'mean-teacher': 15,
  'power-ema': 40,
  'target-network': 600,
}
/** Those that compile nothing. */
const plain = [
  ...['01-tensors', '02-shapes', '03-gradients', '04-modules', '05-training', '06-ema-teacher', '07-custom-op'],
  '08-save-load',
]

const namesIn = (folder: string) =>
  readdirSync(new URL(`../../examples/${folder}`, import.meta.url)).flatMap((file) =>
    file.endsWith('.ts') ? [file.slice(0, -3)] : [],
  )
const numbered = namesIn('.')
const programs = namesIn('why').filter((name) => !shared.includes(name))

/** All that can be seen of a run. */
interface Seen {
  readonly printed: readonly string[]
  readonly files: Readonly<Record<string, string>>
  /** A digest of the results of each call of a compiled function. */
  readonly calls: readonly string[]
  readonly exported: unknown
}

const { argv } = process
const home = process.cwd()
let folder = ''

beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'dfdt-examples-'))
  process.chdir(folder)
  vi.stubEnv('DFDT_MODE', 'plain')
  vi.stubEnv('DFDT_THREADS', '1')
  vi.spyOn(console, 'error').mockImplementation(() => {})
})
afterEach(() => {
  process.chdir(home)
  process.argv = argv
  rmSync(folder, { recursive: true })
  vi.restoreAllMocks()
  vi.unstubAllEnvs()
  vi.doUnmock('dfdt')
})

async function seen(path: string, options: readonly string[], eagerly: boolean): Promise<Seen> {
  vi.resetModules()
  const [printed, calls]: [string[], string[]] = [[], []]
  vi.doMock('dfdt', async (original) => {
    const dfdt = await original<typeof import('dfdt')>()
    const { admittedAll } = await import('../../src/program/specs.js')
    const { mapTensors } = await import('../../src/program/tree.js')
    const make = eagerly ? plainCompile({ ...dfdt, admittedAll }) : (dfdt.compile as Compile)
    const compile = (...args: Parameters<Compile>): ReturnType<Compile> => {
      const compiled = make(...args)
      const call = (...inputs: readonly unknown[]): unknown => {
        const result = compiled(...inputs)
        const digest = createHash('sha1')
        const rest = mapTensors(result, (record) => {
          const { buffer, byteOffset, byteLength } = record.dataSync()
          digest.update(new Uint8Array(buffer, byteOffset, byteLength))
          return `${record.dtype}[${record.shape}]`
        })
        calls.push(`${inspect(rest)} ${digest.digest('hex')}`)
        return result
      }
      return Object.defineProperties(call, Object.getOwnPropertyDescriptors(compiled)) as typeof compiled
    }
    return { ...dfdt, compile }
  })
  process.argv = [...argv.slice(0, 2), ...options]
  const log = vi.spyOn(console, 'log').mockImplementation((...values: unknown[]) => {
    const line = values.map((value) => (typeof value === 'string' ? value : inspect(value))).join(' ')
    if (!varying.test(line)) printed.push(line)
  })
  try {
    const { results } = await import(
      /* @vite-ignore */ fileURLToPath(new URL(`../../examples/${path}.ts`, import.meta.url))
    )
    const drawn = readdirSync(folder, { recursive: true, withFileTypes: true }).filter((entry) => entry.isFile())
    const files = drawn.map(({ name, parentPath }) => [name, readFileSync(join(parentPath, name), 'utf8')] as const)
    rmSync(join(folder, 'runs'), { recursive: true, force: true })
    return { printed, calls, files: Object.fromEntries(files), exported: results }
  } finally {
    log.mockRestore()
  }
}

async function expectSame(path: string, options: readonly string[] = []): Promise<Seen> {
  const compiled = await seen(path, options, false)
  const eager = await seen(path, options, true)
  expect(compiled.printed.length).toBeGreaterThan(0)
  expect(eager).toEqual(compiled)
  return compiled
}

describe('an example gives the same, compiled and plainly', () => {
  it.each(numbered)('%s', { timeout }, async (name) => {
    const { calls } = await expectSame(name)
    expect(calls.length > 0, 'compiles').toBe(!plain.includes(name))
  })

  it.each(programs)('why/%s', { timeout }, async (name) => {
    expect(Object.keys(steps)).toContain(name)
    const { calls, exported } = await expectSame(`why/${name}`, ['--small', '--steps', `${steps[name]}`])
    expect(calls.length > 0, 'compiles').toBe(!plain.includes(name))
    expect(exported).toHaveLength(1)
  })
})
