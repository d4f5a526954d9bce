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

/** A rule in the tests that all rules share: compiled is eager bit for bit, and so is a resumed shadow. */
interface Row {
  readonly rule: () => UpdateRule
  /** How a shadow is tested with it. */
  readonly options?: ShadowOptions<never>
}

/** Every update rule. */
export const rules: Readonly<Record<string, Row>> = {
  copy: { rule: copy, options: { every: 4 } },
  elastic: { rule: () => elastic({ alpha: 0.2 }) },
  ema: { rule: () => ema({ decay: 0.9 }) },
  lerp: { rule: () => lerp(0.25) },
  lookahead: { rule: () => lookahead({ alpha: 0.5 }), options: { every: 3 } },
  outerNesterov: { rule: () => outerNesterov(), options: { every: 4 } },
  powerEma: { rule: () => powerEma({ sigmaRel: 0.15 }), options: { every: 2 } },
  slerp: { rule: () => slerp(0.25) },
  swa: { rule: swa },
  switchEma: { rule: () => switchEma({ decay: 0.8, period: 4 }) },
}

/** Those that blend at a constant weight of the source. */
export const blends: Readonly<Record<string, { rule: () => UpdateRule<'stateless'>; weight: number }>> = {
  copy: { rule: copy, weight: 1 },
  ema: { rule: () => ema({ decay: 0.75 }), weight: 0.25 },
  lerp: { rule: () => lerp(0.75), weight: 0.75 },
}
