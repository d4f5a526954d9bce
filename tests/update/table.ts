import { copy, ema, lerp, type UpdateRule } from 'dfdt/update'

/** Every stateless update rule: a row here gives it the tests that all share. `weight` is that of the source. */
export const rules: Record<string, { rule: () => UpdateRule<'stateless'>; weight: number }> = {
  copy: { rule: copy, weight: 1 },
  ema: { rule: () => ema({ decay: 0.75 }), weight: 0.25 },
  lerp: { rule: () => lerp(0.7), weight: 0.7 },
}
