import { arch, versions } from 'node:process'
import { setFlagsFromString } from 'node:v8'

let enabled = false

/**
 * Switches V8's fusion of 128-bit vectors on, for the whole process and for good: a kernel that is optimised after the
 * flag went off again would keep a quarter of the speed for ever. Returns why that is impossible, if it is.
 */
export function enableWide(): string | undefined {
  // An unknown flag only prints to stderr, so the version decides.
  if (Number(versions.node.split('.')[0]) < 24) return `needs Node 24 or newer, this is Node ${versions.node}.`
  if (arch !== 'x64') return `needs an x64 processor, this is ${arch}.`
  if (!enabled) setFlagsFromString('--experimental-wasm-revectorize')
  enabled = true
  return undefined
}
