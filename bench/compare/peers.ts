import { spawnSync } from 'node:child_process'
import { existsSync } from 'node:fs'
import { join } from 'node:path'
import type { Entrant } from '../harness/interleave.js'
import { type Setting, UsageError } from '../harness/options.js'
import type { Workload } from '../workloads/index.js'

/** Somebody else's library on our workloads. */
export interface Peer {
  readonly name: string
  /** Undefined for workloads it has no program for. */
  entrant(workload: Workload): Entrant | undefined
}

export const peerNames = ['torch', 'tfjs', 'jax'] as const
export type PeerName = (typeof peerNames)[number]

/** What the peers in JavaScript play; PyTorch plays everything. */
const inJavaScript = /^(ema|gemm|mlp|tiny)-/

interface Surroundings {
  /** This folder. */
  readonly folder: string
  readonly python: string
  /** The bundle of harness/serve.ts, which the peers' programs import. */
  readonly serve: string
  readonly setting: Setting
}

/** Throws `UsageError` with what to do when the peer is not installed. */
export function peerNamed(name: PeerName, { folder, python, serve, setting }: Surroundings): Peer {
  const { threads, node } = setting
  if (name === 'torch') {
    const found = spawnSync(python, ['-c', 'import torch'], { encoding: 'utf8' })
    if (found.status !== 0) {
      const why = found.error?.message ?? found.stderr.trim().split('\n').at(-1)
      throw new UsageError(
        `torch: ${python} cannot import torch (${why}); name a Python that can with --python or PYTHON`,
      )
    }
    const program = join(folder, 'torch.py')
    const entrant = ({ name: workload, fresh }: Workload): Entrant => {
      const command = [python, program, '--workload', workload, '--threads', String(threads)] as const
      return { workload, fresh: fresh === true, command }
    }
    return { name, entrant }
  }
  if (!installed(folder, name)) {
    throw new UsageError(
      `${name}: it is not installed; run: npm install --prefix bench/compare --no-save --ignore-scripts`,
    )
  }
  const entrant = ({ name: workload }: Workload): Entrant | undefined => {
    if (!inJavaScript.test(workload)) return undefined
    return { workload, fresh: false, command: [node, join(folder, `${name}.mjs`), workload, serve] }
  }
  return { name, entrant }
}

export function installed(folder: string, name: PeerName): boolean {
  const packages = { torch: [], tfjs: ['@tensorflow/tfjs', '@tensorflow/tfjs-backend-wasm'], jax: ['@jax-js/jax'] }
  return packages[name].every((path) => existsSync(join(folder, 'node_modules', path)))
}
