import { existsSync } from 'node:fs'
import { parseArgs, type ParseArgsConfig } from 'node:util'
import { isMode, type Mode } from './device.js'
import type { Pace } from './interleave.js'
import { cores } from './machine.js'

/** Where things are in this checkout. */
export interface Places {
  readonly root: string
  /** The bundled player of our side. */
  readonly player: string
  /** What players in JavaScript share, for peers outside the bundle. */
  readonly serve: string
  /** The binary that tools/node26.mjs fetches, whether it is there or not. */
  readonly node26: string
}

/** How our side runs, and how long. */
export interface Setting extends Pace {
  /** The Node to run on. */
  readonly node: string
  readonly threads: number
  readonly mode: Mode | undefined
  readonly eager: boolean
  /** Names of workloads; all when empty. */
  readonly only: readonly string[]
}

/** A wrong command line: the message is for the user. */
export class UsageError extends Error {}

/** The options that bench and compare share, with their lines of help. */
export const shared = {
  only: { type: 'string', help: '--only a,b       these workloads only' },
  node: {
    type: 'string',
    help: '--node 26        run on Node 26 (fetched by node tools/node26.mjs), or a path to any Node',
  },
  mode: {
    type: 'string',
    help: '--mode 256       256, fma or plain; default: DFDT_MODE, else the best the engine has',
  },
  threads: { type: 'string', help: '--threads 2      default: DFDT_THREADS, else all cores' },
  eager: { type: 'boolean', help: '--eager          time the bodies of the steps uncompiled' },
  rounds: { type: 'string', help: '--rounds 7       rounds of each workload' },
  budget: { type: 'string', help: '--budget 250     milliseconds of a round' },
  help: { type: 'boolean', help: '--help           this text' },
} as const

type Option = { readonly type: 'string' | 'boolean'; readonly help: string }
type Values<O> = { [K in keyof O]?: O[K] extends { type: 'boolean' } ? boolean : string }

/** Reads a command line; throws `UsageError`. */
export function readOptions<const O extends Record<string, Option>>(argv: readonly string[], options: O): Values<O> {
  try {
    const config: ParseArgsConfig = { args: [...argv], options: { ...options }, allowPositionals: false }
    return parseArgs(config).values as Values<O>
  } catch (error) {
    throw new UsageError(error instanceof Error ? error.message : String(error))
  }
}

export function helpText(usage: string, options: Readonly<Record<string, Option>>): string {
  return [`Usage: ${usage}`, '', ...Object.values(options).map(({ help }) => `  ${help}`), ''].join('\n')
}

export function settingFrom(values: Values<typeof shared>, names: readonly string[], places: Places): Setting {
  const only = values.only?.split(',') ?? []
  const unknown = only.filter((name) => !names.includes(name))
  if (unknown.length > 0)
    throw new UsageError(`--only: no workload ${unknown.join(', ')}; there are ${names.join(', ')}`)
  const mode = values.mode ?? (process.env.DFDT_MODE || undefined)
  if (mode !== undefined && !isMode(mode)) throw new UsageError(`--mode must be 256, fma or plain, got ${mode}`)
  return {
    node: nodeBinary(values.node, places.node26),
    threads: count('--threads', values.threads ?? (process.env.DFDT_THREADS || cores)),
    mode,
    eager: values.eager ?? false,
    only,
    rounds: count('--rounds', values.rounds ?? 7),
    budget: count('--budget', values.budget ?? 250),
  }
}

function count(name: string, value: string | number): number {
  const number = Number(value)
  if (!Number.isInteger(number) || number < 1)
    throw new UsageError(`${name} must be a whole number from 1, got ${value}`)
  return number
}

function nodeBinary(asked: string | undefined, node26: string): string {
  if (asked === undefined) return process.execPath
  if (asked === '26') {
    if (existsSync(node26)) return node26
    throw new UsageError('--node 26: it is not here yet; fetch it with: node tools/node26.mjs')
  }
  if (existsSync(asked)) return asked
  throw new UsageError(`--node must be 26 or the path of a Node binary, got ${asked}`)
}
