import { availableParallelism } from 'node:os'
import { arch, env } from 'node:process'
import { OptionError } from '../../shapes/errors.js'
import type { Host, WasmBackendOptions } from './backend.js'
import { WasmBackend } from './backend.js'
import type { ModeName } from './modes.js'
import { nodeThreadPool } from './node-threads.js'
import { nodeTrials } from './node-trials.js'
import { enableWide } from './node-wide.js'

/** This machine, except that tiles are not tried out in the background. */
export const nodeHost: Host = {
  threadPool: nodeThreadPool,
  cores: availableParallelism(),
  enableWide,
  registers: arch === 'arm64' ? 32 : 16,
}

/**
 * The wasm backend with all cores of this machine. `DFDT_MODE`, `DFDT_TILE` and `DFDT_THREADS` in the environment speak
 * for options that are left out.
 *
 * @throws DeviceError when the mode asked for is impossible here; OptionError for other values than the known ones
 */
export function createWasmBackend(options: WasmBackendOptions = {}): WasmBackend {
  const { DFDT_MODE: mode, DFDT_TILE: tile, DFDT_THREADS: threads } = env
  const asked = {
    ...(mode ? { mode: mode as ModeName } : {}),
    ...(tile ? { tile } : {}),
    ...(threads ? { threads: threadsOf(threads) } : {}),
    ...options,
  }
  // A mode from outside is for comparing: nothing changes then on the way.
  return new WasmBackend(asked, mode ? nodeHost : { ...nodeHost, trials: nodeTrials })
}

function threadsOf(text: string): number {
  const threads = Number(text)
  if (Number.isSafeInteger(threads) && threads >= 1) return threads
  throw new OptionError(`DFDT_THREADS is "${text}", expected a whole number from 1. Leave it unset to use every core.`)
}
