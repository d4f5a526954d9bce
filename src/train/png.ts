/** CRC-32 of PNG chunks (reflected polynomial 0xEDB88320), a bit at a time: a digit is under 900 bytes. */
function crc32(bytes: Uint8Array): number {
  let crc = 0xffffffff
  for (const byte of bytes) {
    crc ^= byte
    for (let bit = 0; bit < 8; bit++) crc = crc & 1 ? (crc >>> 1) ^ 0xedb88320 : crc >>> 1
  }
  return (crc ^ 0xffffffff) >>> 0
}

function adler32(bytes: Uint8Array): number {
  let low = 1
  let high = 0
  for (const byte of bytes) {
    low = (low + byte) % 65521
    high = (high + low) % 65521
  }
  return ((high << 16) | low) >>> 0
}

function bigEndian(value: number): number[] {
  return [value >>> 24, (value >>> 16) & 255, (value >>> 8) & 255, value & 255]
}

function chunk(type: string, body: readonly number[]): number[] {
  const typed = [...type].map((letter) => letter.charCodeAt(0)).concat(body)
  return [...bigEndian(body.length), ...typed, ...bigEndian(crc32(Uint8Array.from(typed)))]
}

/** Bytes in the zlib format, stored as they are: blocks of at most 65 535. */
function stored(bytes: readonly number[]): number[] {
  const out = [0x78, 0x01]
  for (let start = 0; start < bytes.length; start += 65535) {
    const block = bytes.slice(start, start + 65535)
    const last = start + block.length === bytes.length ? 1 : 0
    const length = block.length
    out.push(last, length & 255, length >>> 8, ~length & 255, (~length >>> 8) & 255)
    for (const byte of block) out.push(byte)
  }
  return out.concat(bigEndian(adler32(Uint8Array.from(bytes))))
}

/**
 * An 8-bit grey picture as a PNG data URI. The pixels are stored, not compressed: a 28x28 digit takes 880 bytes, and
 * no compressor is needed where there is none.
 *
 * @param pixels `height * width` grey values, row by row.
 */
export function greyPng(pixels: Uint8Array, height: number, width: number): string {
  const rows: number[] = []
  for (let row = 0; row < height; row++) {
    rows.push(0) // every row begins with its filter type, 0: none
    for (const pixel of pixels.subarray(row * width, (row + 1) * width)) rows.push(pixel)
  }
  const bytes = [
    ...[0x89, 0x50, 0x4e, 0x47, 0x0d, 0x0a, 0x1a, 0x0a],
    ...chunk('IHDR', [...bigEndian(width), ...bigEndian(height), 8, 0, 0, 0, 0]),
    ...chunk('IDAT', stored(rows)),
    ...chunk('IEND', []),
  ]
  return `data:image/png;base64,${btoa(bytes.map((byte) => String.fromCharCode(byte)).join(''))}`
}
