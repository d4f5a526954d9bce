/** 97.61 %, and a dash for what is not a number */
export function percent(share: number, digits = 2): string {
  return Number.isFinite(share) ? `${(100 * share).toFixed(digits)} %` : '–'
}

/** 12.1 s, or 2 min 5 s */
export function duration(seconds: number): string {
  if (seconds < 59.95) return `${seconds.toFixed(1)} s`
  const whole = Math.round(seconds)
  return `${Math.floor(whole / 60)} min ${whole % 60} s`
}

/** 0:05, 1:16 or, from an hour on, 3:07:20 */
export function clock(seconds: number): string {
  const whole = Math.round(seconds)
  const two = (value: number) => String(value).padStart(2, '0')
  const minutes = Math.floor(whole / 60)
  if (minutes < 60) return `${minutes}:${two(whole % 60)}`
  return `${Math.floor(minutes / 60)}:${two(minutes % 60)}:${two(whole % 60)}`
}
