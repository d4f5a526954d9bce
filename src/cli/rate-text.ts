import type { Rate } from '../model/rate.js'

/** `decay 0.999` */
export function rateText({ decay, tau, halfLife }: Rate): string {
  if (decay !== undefined) return `decay ${decay}`
  return tau === undefined ? `half-life ${halfLife}` : `tau ${tau}`
}
