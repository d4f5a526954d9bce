import { DeviceError } from '../../shapes/errors.js'

/** Throws: `DeviceError` when the memory under a view of `length` bytes has moved: others use its device, and it grew. */
export function requireInPlace(op: string, view: Uint8Array, length: number): void {
  if (view.length === length) return
  const remedy = 'give this one a device that nothing else uses meanwhile, or none'
  throw new DeviceError(`${op}: the device's memory grew while files were read into it; ${remedy}.`, { op })
}
