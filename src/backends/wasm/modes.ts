import { DeviceError, OptionError } from '../../tensor/errors.js'
import { f32x4, ModuleBuilder } from './assembler.js'

/**
 * What the engine can do with vectors. `256`: V8 fuses pairs of 128-bit operations into AVX2 ones, with FMA;
 * `fma`: 128-bit vectors with fused multiply-add; `plain`: 128-bit, multiply and add apart.
 * `256` and `fma` give the same bits.
 */
export type ModeName = '256' | 'fma' | 'plain'

export interface Mode {
  readonly name: ModeName
  /** Whether `relaxed_madd` may be emitted. */
  readonly fma: boolean
  /** Whether pairs of vectors are fused: kernels then want wider tiles and more vectors in flight. */
  readonly wide: boolean
}

export const modes: Readonly<Record<ModeName, Mode>> = {
  256: { name: '256', fma: true, wide: true },
  fma: { name: 'fma', fma: true, wide: false },
  plain: { name: 'plain', fma: false, wide: false },
}

let relaxedSimd: boolean | undefined

/** Whether the engine accepts `f32x4.relaxed_madd`. */
export function hasRelaxedSimd(): boolean {
  if (relaxedSimd === undefined) {
    const m = new ModuleBuilder()
    const f = m.function('probe', [])
    const x = f.local('v128')
    f.set(x, f32x4.relaxed_madd(x, x, x))
    relaxedSimd = WebAssembly.validate(m.build())
  }
  return relaxedSimd
}

/** Switches the engine's 256-bit fusion on for good, or says in a sentence why that is impossible. */
export type WideSwitch = () => string | undefined

/**
 * The mode to use: the one asked for, else `fma` where the engine has it, else `plain`. `256` is never chosen
 * unasked, because it switches an experimental flag of the whole process.
 *
 * @throws DeviceError when the mode asked for is impossible here; OptionError when there is none of that name
 */
export function chooseMode(asked: string | undefined, enableWide: WideSwitch): Mode {
  if (asked === undefined || asked === '') return hasRelaxedSimd() ? modes.fma : modes.plain
  if (asked !== '256' && asked !== 'fma' && asked !== 'plain') {
    throw new OptionError(
      `mode (or DFDT_MODE) is "${asked}", expected '256', 'fma' or 'plain'. Leave it out to have it chosen.`,
    )
  }
  if (asked !== 'plain' && !hasRelaxedSimd()) {
    throw new DeviceError(
      `mode '${asked}' needs relaxed SIMD, which this engine lacks (Node 24 and current browsers have it). ` +
        "Use mode 'plain' or leave it out.",
    )
  }
  const refused = asked === '256' ? enableWide() : undefined
  if (refused !== undefined) throw new DeviceError(`mode '256' ${refused} Use mode 'fma' or leave it out.`)
  return modes[asked]
}

/** Why a mode is in use, as `doctor` says it. */
export function reasonFor({ name }: Mode, asked: ModeName | undefined): string {
  if (asked !== undefined)
    return name === '256' ? 'asked for, and switched on in the engine for this process' : 'asked for'
  return name === 'plain'
    ? 'this engine has no relaxed SIMD, so no fused multiply-add; Node 24 and newer have it'
    : "the fastest that needs no switch of the whole process; mode '256' does"
}
