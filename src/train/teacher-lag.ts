/**
 * A sentence for runs that are too short for their decay, or `undefined` when at most a tenth of the random start is
 * left: the share after `steps` updates is `decay^steps`.
 *
 * A teacher that still carries its random start scores below its student, which is arithmetic and not a defect.
 */
export function teacherLag(decay: number, steps: number): string | undefined {
  const share = decay ** steps
  if (share <= 0.1) return undefined
  const left = `The teacher lags: after ${steps} steps it still carries ${percent(share)} of its random start (decay ${decay}).`
  if (decay >= 1) return `${left} With decay 1 it never moves; take a decay below 1.`
  const fitting = fittingDecay(steps)
  const steadier = `Train for ${Math.ceil(Math.log(0.1) / Math.log(decay))} steps or more`
  return `${left} ${steadier}${fitting > 0 ? `, or take a decay of ${fitting} or less` : ''}.`
}

/** The largest of 0.9, 0.99, 0.999, … that leaves at most a tenth of the start after `steps`; 0 when none does. */
function fittingDecay(steps: number): number {
  const digits = Math.floor(-Math.log10(1 - 0.1 ** (1 / steps)))
  return digits < 1 ? 0 : Number((1 - 10 ** -digits).toFixed(digits))
}

function percent(share: number): string {
  return `${(100 * share).toFixed(share > 0.995 ? 1 : 0)} %`
}
