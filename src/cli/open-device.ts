import { wasmDevice } from '../entry/devices.js'
import type { Device } from '../tensor/device.js'
import type { Host } from './host.js'

/** A device for kernels that only stream through memory, to which wider vectors would bring nothing but a flag to set. */
export const openDevice: Host['openDevice'] = async ({ threads }): Promise<Device> =>
  wasmDevice(threads === undefined ? {} : { threads })
