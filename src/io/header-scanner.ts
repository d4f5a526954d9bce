import type { FormatError } from '../tensor/errors.js'
import { type Malformed, quoted } from './malformed.js'

const spaces = ' \t\n\r'

/**
 * Reads a short text header token by token and knows at which byte of the file it stands. It never recurses, so nested
 * input cannot exhaust the stack, and uses no regular expression that could.
 */
export class HeaderScanner {
  /** Index of the next character of the text. */
  position = 0

  constructor(
    private readonly text: string,
    private readonly firstByte: number,
    private readonly malformed: Malformed,
  ) {}

  /** An error at this position of the text, its offset counted in bytes of the file. */
  error(problem: string, position = this.position): FormatError {
    return this.malformed(problem, this.firstByte + new TextEncoder().encode(this.text.slice(0, position)).length)
  }

  /** An error that names what stands at the current position. */
  expected(what: string): FormatError {
    const rest = this.text.slice(this.position, this.position + 12)
    return this.error(
      `expected ${what}, found ${rest === '' ? 'the end of the header' : quoted(rest)}; the header is damaged`,
    )
  }

  skipSpaces(): void {
    while (this.position < this.text.length && spaces.includes(this.text.charAt(this.position))) this.position++
  }

  /** Consumes `token` if it comes next after spaces. */
  take(token: string): boolean {
    this.skipSpaces()
    if (!this.text.startsWith(token, this.position)) return false
    this.position += token.length
    return true
  }

  expect(token: string): void {
    if (!this.take(token)) throw this.expected(`"${token}"`)
  }

  expectEnd(): void {
    this.skipSpaces()
    if (this.position < this.text.length) throw this.expected('the end of the header')
  }

  /** A non-negative integer that a number holds exactly, without sign, point, exponent or leading zero. */
  integer(): number {
    this.skipSpaces()
    const start = this.position
    while (isDigit(this.text.charCodeAt(this.position))) this.position++
    const digits = this.text.slice(start, this.position)
    const value = Number(digits)
    if (digits === '' || (digits.length > 1 && digits.startsWith('0')) || !Number.isSafeInteger(value)) {
      this.position = start
      throw this.expected('a non-negative integer below 2^53')
    }
    return value
  }

  /** A string in JSON's notation. */
  jsonString(): string {
    this.skipSpaces()
    const start = this.position
    if (this.text.charAt(start) !== '"') throw this.expected('a string')
    let end = start + 1
    let escaped = false
    for (; ; end++) {
      const code = this.text.charCodeAt(end)
      // NaN, past the end, fails this comparison too.
      if (!(code >= 0x20)) throw this.error('a string in the header does not end; the header is damaged', start)
      if (code === 0x22) break
      if (code === 0x5c) {
        escaped = true
        end++
      }
    }
    this.position = end + 1
    if (!escaped) return this.text.slice(start + 1, end)
    const value = parseJsonString(this.text.slice(start, end + 1))
    if (value === undefined) throw this.error('a string in the header has a wrong escape; the header is damaged', start)
    return value
  }

  /** A string in Python's notation, without escapes. */
  pythonString(): string {
    this.skipSpaces()
    const start = this.position
    const quote = this.text.charAt(start)
    const end = quote === "'" || quote === '"' ? this.text.indexOf(quote, start + 1) : -1
    if (end < 0) throw this.expected('a string')
    this.position = end + 1
    return this.text.slice(start + 1, end)
  }
}

function isDigit(code: number): boolean {
  return code >= 0x30 && code <= 0x39
}

/** Undefined for escapes JSON does not know and for half of a surrogate pair, which no UTF-8 file can hold. */
function parseJsonString(literal: string): string | undefined {
  try {
    const value: unknown = JSON.parse(literal)
    return typeof value === 'string' && isWellFormed(value) ? value : undefined
  } catch {
    return undefined
  }
}

/** Whether a string survives being written as UTF-8. */
export function isWellFormed(text: string): boolean {
  return !/\p{Surrogate}/u.test(text)
}
