import { type Device, setDefaultDevice, wasmDevice } from '../entry/index.js'
import { mnistJob } from '../entry/train.js'
import { DeviceError } from '../tensor/errors.js'
import type { Host } from './host.js'

/** The MNIST job on the fastest device of this process. */
export const loadJob: Host['loadJob'] = async ({ threads }) => {
  setDefaultDevice(fastestDevice(threads === undefined ? {} : { threads }))
  return mnistJob
}

/**
 * The process is ours, so we may set the engine's switch for 256-bit vectors, where it has one. `DFDT_MODE` in the
 * environment goes before our choice.
 */
function fastestDevice(options: { readonly threads?: number }): Device {
  if (process.env.DFDT_MODE) return wasmDevice(options)
  try {
    return wasmDevice({ ...options, mode: '256' })
  } catch (error) {
    if (error instanceof DeviceError) return wasmDevice(options)
    throw error
  }
}
