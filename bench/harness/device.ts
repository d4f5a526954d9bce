import { type Device, DeviceError, wasmDevice } from 'dfdt'

const modes = ['256', 'fma', 'plain'] as const
export type Mode = (typeof modes)[number]
export const isMode = (text: string): text is Mode => (modes as readonly string[]).includes(text)

/** The device in the mode asked for, or in the best one: the process is ours, so 256-bit vectors may be switched on. */
export function openDevice(threads: number, asked: Mode | undefined): { device: Device; mode: Mode } {
  if (asked) return { device: wasmDevice({ threads, mode: asked }), mode: asked }
  for (const mode of ['256', 'fma'] as const) {
    try {
      return { device: wasmDevice({ threads, mode }), mode }
    } catch (error) {
      if (!(error instanceof DeviceError)) throw error
    }
  }
  return { device: wasmDevice({ threads, mode: 'plain' }), mode: 'plain' }
}
