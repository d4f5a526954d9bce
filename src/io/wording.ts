/** 60,000 */
export function count(value: number): string {
  return value.toLocaleString('en-US')
}

/** 3 epochs, 1 epoch */
export function plural(value: number, noun: string): string {
  return `${count(value)} ${noun}${value === 1 ? '' : 's'}`
}
