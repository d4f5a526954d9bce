import { type Device, referenceDevice, wasmDevice } from 'dfdt'

/** The devices that everything above the kernels is tested on. */
export const devices: readonly {
  readonly name: string
  readonly make: (options?: { readonly limit?: number }) => Device
}[] = [
  { name: 'reference', make: () => referenceDevice() },
  { name: 'wasm', make: () => wasmDevice({ threads: 1 }) },
]
