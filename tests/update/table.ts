import { copy, ema, type UpdateRule } from 'dfdt/update'

/** Every update rule: a row here gives it the tests that all share. `weight` is that of the source. */
export const rules: Record<
  string,
  { rule: (options?: { buffers?: 'copy' | 'blend' | 'skip' }) => UpdateRule; weight: number }
> = {
  copy: { rule: (options) => copy(options), weight: 1 },
  ema: { rule: (options) => ema({ decay: 0.75, ...options }), weight: 0.25 },
}
