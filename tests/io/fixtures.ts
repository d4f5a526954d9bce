import { readdirSync, readFileSync } from 'node:fs'

/** What tools/golden/io.py wrote: files from the Python packages and the values in them. */
const directory = new URL('./fixtures/', import.meta.url)

export interface ExpectedArray {
  readonly shape: number[]
  /** Text stands for what JSON has no number for. */
  readonly values: (number | string)[]
}

interface Expected {
  readonly versions: Record<string, string>
  readonly safetensors: Record<string, { metadata: Record<string, string>; tensors: Record<string, ExpectedArray> }>
  readonly npy: Record<string, ExpectedArray>
}

export const expected: Expected = JSON.parse(readFileSync(new URL('expected.json', directory), 'utf8'))

export function fixture(name: string): Uint8Array {
  return readFileSync(new URL(name, directory))
}

export function fixtureNames(extension: string): string[] {
  return readdirSync(directory).filter((name) => name.endsWith(extension))
}
