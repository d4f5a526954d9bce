import { availableParallelism } from 'node:os'
import { env } from 'node:process'
import type { WasmBackendOptions } from './backend.js'
import { WasmBackend } from './backend.js'
import type { ModeName } from './modes.js'
import { nodeThreadPool } from './node-threads.js'
import { enableWide } from './node-wide.js'

/**
 * The wasm backend with all cores of this machine. `DFDT_MODE` and `DFDT_THREADS` in the environment speak for options
 * that are left out.
 *
 * @throws DeviceError when the mode asked for is impossible here
 */
export function createWasmBackend(options: WasmBackendOptions = {}): WasmBackend {
  const { DFDT_MODE: mode, DFDT_THREADS: threads } = env
  const asked = {
    ...(mode ? { mode: mode as ModeName } : {}),
    ...(threads ? { threads: Number(threads) } : {}),
    ...options,
  }
  return new WasmBackend(asked, { threadPool: nodeThreadPool, cores: availableParallelism(), enableWide })
}
