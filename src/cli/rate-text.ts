import type { ConstantRate } from '../update/rate.js'

/** `decay 0.999` */
export function rateText({ decay, tau, halfLife }: ConstantRate): string {
  if (decay !== undefined) return `decay ${decay}`
  return tau === undefined ? `half-life ${halfLife}` : `tau ${tau}`
}
