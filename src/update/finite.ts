import { DeviceError, NonFiniteError } from '../shapes/errors.js'
import { fillTensor } from '../tensor/fill.js'
import type { Prepared } from './prepare.js'

/**
 * After an update under the policy `error`, which has then changed nothing.
 *
 * Throws: `NonFiniteError` naming the tensors of the source that hold NaN or infinity.
 */
export function requireFinite(op: string, { finite, scanned }: Prepared): void {
  const wrong = finite.flatMap((flags, scan) => {
    const bytes = flags.storage.readSync(4 * flags.offset, 4 * flags.size)
    if (!bytes) {
      const remedy = "use nonFinite: 'skipAll', and look at metrics()"
      throw new DeviceError(
        `${op}: nonFinite: 'error' needs a device that can block, ${flags.device.name} cannot; ${remedy}.`,
      )
    }
    const words = new Uint32Array(bytes.buffer, bytes.byteOffset, flags.size)
    // Else an update that does not happen next time would be taken for one that failed.
    if (words.includes(0)) fillTensor(flags, 1)
    return (scanned[scan] ?? []).filter((_, i) => words[i] === 0)
  })
  if (wrong.length === 0) return
  const shown = wrong.length > 8 ? [...wrong.slice(0, 8), `… (${wrong.length} in all)`] : wrong
  const remedy = "find where it comes from, or choose nonFinite: 'skipElement' to keep it out"
  throw new NonFiniteError(
    `${op}: the source has NaN or infinity in ${shown.join(', ')}; the target was not changed: ${remedy}.`,
    { op },
  )
}
