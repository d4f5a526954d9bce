import { Device, wasmDevice } from 'dfdt'
import { createReferenceBackend } from '../src/backends/reference/index.js'

export interface TestDevice {
  readonly name: string
  /** A new device, with at most `limit` bytes of memory. */
  readonly make: (limit?: number) => Device
}

/** The devices that everything above the kernels is tested on. */
export const devices: readonly TestDevice[] = [
  { name: 'reference', make: (limit) => new Device(createReferenceBackend(limit === undefined ? {} : { limit })) },
  { name: 'wasm', make: (limit) => wasmDevice({ threads: 1, ...(limit !== undefined && { maxBytes: limit }) }) },
]

/** The default device, with all cores: for tests that make few devices and close them. */
export const threaded: TestDevice = {
  name: 'wasm on all cores',
  make: (limit) => wasmDevice(limit === undefined ? {} : { maxBytes: limit }),
}
