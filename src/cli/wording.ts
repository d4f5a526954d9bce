/** 60,000 */
export function count(value: number): string {
  return value.toLocaleString('en-US')
}

/** 97.61 % */
export function percent(share: number): string {
  return `${(100 * share).toFixed(2)} %`
}

/** 12.1 s, or 2 min 5 s */
export function duration(seconds: number): string {
  if (seconds < 59.95) return `${seconds.toFixed(1)} s`
  const whole = Math.round(seconds)
  return `${Math.floor(whole / 60)} min ${whole % 60} s`
}

/** 3 epochs, 1 epoch */
export function plural(value: number, noun: string): string {
  return `${count(value)} ${noun}${value === 1 ? '' : 's'}`
}
