import {
  copy,
  elastic,
  ema,
  lerp,
  lookahead,
  outerNesterov,
  powerEma,
  type ShadowOptions,
  slerp,
  swa,
  switchEma,
  type UpdateRule,
} from 'dfdt/update'

/** One rule as the shared tests make it: compiled = eager, and a resumed shadow goes on, bit for bit. */
export interface RuleRow {
  readonly rule: () => UpdateRule
  readonly options?: ShadowOptions<never>
}

/** Every rule: a row here gives it the tests that all share. */
export const rules: Readonly<Record<string, RuleRow>> = {
  copy: { rule: copy, options: { every: 4 } },
  elastic: { rule: () => elastic({ alpha: 0.2 }) },
  ema: { rule: () => ema({ decay: 0.9 }) },
  lerp: { rule: () => lerp(0.25) },
  lookahead: { rule: () => lookahead({ alpha: 0.5 }), options: { every: 3 } },
  outerNesterov: { rule: () => outerNesterov(), options: { every: 4 } },
  powerEma: { rule: () => powerEma({ sigmaRel: 0.15 }), options: { every: 2 } },
  slerp: { rule: () => slerp(0.25) },
  swa: { rule: () => swa() },
  switchEma: { rule: () => switchEma({ decay: 0.8, period: 4 }) },
}

/** Rules that mix target and source by fixed weights: tests of structure and buffers. `weight` is that of the source. */
export const blends: Readonly<Record<string, { rule: () => UpdateRule<'stateless'>; weight: number }>> = {
  copy: { rule: copy, weight: 1 },
  ema: { rule: () => ema({ decay: 0.75 }), weight: 0.25 },
  lerp: { rule: () => lerp(0.625), weight: 0.625 },
}
