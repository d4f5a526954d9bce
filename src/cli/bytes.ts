const units = ['kB', 'MB', 'GB', 'TB']

/** 512 bytes, 1.2 kB, 13.5 GB: thousands, as disks and downloads count. */
export function bytesText(bytes: number): string {
  if (bytes < 1000) return `${bytes} ${bytes === 1 ? 'byte' : 'bytes'}`
  let value = bytes / 1000
  let unit = 0
  // What would be printed as 1000.0 is 1.0 of the next unit.
  for (; value >= 999.95 && unit < units.length - 1; unit++) value /= 1000
  return `${value.toFixed(1)} ${units[unit]}`
}
