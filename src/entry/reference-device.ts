import { createReferenceBackend } from '../backends/reference/index.js'
import { Device } from '../tensor/device.js'

/**
 * A device of plain loops in f64 and f32, written to be read and trusted, not to be fast: for checking others and for
 * gradient checks in f64.
 * @example const x = tensor([1, 2], { dtype: 'f64', device: referenceDevice() })
 */
export function referenceDevice(): Device {
  return new Device(createReferenceBackend())
}
