import type { Kernel } from '../kernels/kernel.js'
import { slotCount } from '../kernels/expr.js'
import { CaptureError } from '../shapes/errors.js'
import type { Device } from '../tensor/device.js'
import type { Recorder, Scalars } from '../tensor/recorder.js'
import { scope } from '../tensor/scope.js'
import type { Storage } from '../tensor/storage.js'
import type { Node } from './node.js'

/** What running a function once has told: kernels and host work, in order. */
export class Capture implements Recorder {
  readonly nodes: Node[] = []
  /** Run by the host before the kernels, in order, with every run. */
  readonly effects: (() => void)[] = []
  /** Contents that the function made from host numbers. */
  readonly constants: Storage[] = []

  run(kernel: Kernel, storages: readonly Storage[], scalars: Scalars): void {
    const exprs = 'exprs' in kernel ? kernel.exprs : kernel.kind === 'reduce' ? [kernel.expr] : []
    const count = slotCount(exprs, 'scalar')
    const refs = Array.from({ length: count }, (_, index) => ({ source: scalars, index }))
    this.nodes.push({ kernel, storages, scalars: refs })
  }

  onHost(effect: () => void): void {
    this.effects.push(effect)
  }

  keep(storage: Storage): void {
    this.constants.push(storage.retain())
  }
}

/** Runs `fn` with everything it would compute on `device` noted instead. */
export function capture<R>(device: Device, fn: () => R): { readonly result: R; readonly captured: Capture } {
  if (device.recorder) throw new CaptureError('compile: a compiled function was called inside another; call the plain function there.')
  const captured = new Capture()
  device.recorder = captured
  try {
    return { result: scope(fn), captured }
  } catch (error) {
    for (const storage of captured.constants) storage.release()
    throw error
  } finally {
    device.recorder = undefined
  }
}
