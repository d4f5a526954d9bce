import { mkdtempSync, rmSync, statSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, expect, test } from 'vitest'
import { makeRunDirectory } from '../../src/cli/run-directory.js'
import { FormatError } from '../../src/tensor/errors.js'

const folder = mkdtempSync(join(tmpdir(), 'dfdt-runs-'))
afterAll(() => rmSync(folder, { recursive: true }))

test('makes a directory with its parents, and takes one that is there', () => {
  const path = join(folder, 'a/b/c')
  expect(makeRunDirectory(path)).toBe(path)
  expect(statSync(path).isDirectory()).toBe(true)
  writeFileSync(join(path, 'kept'), 'x')
  expect(makeRunDirectory(path)).toBe(path)
  expect(statSync(join(path, 'kept')).size).toBe(1)
})

test('a file in the way is an error that names it', () => {
  const file = join(folder, 'file')
  writeFileSync(file, '')
  for (const path of [file, join(file, 'below'), join(file, 'far/below')]) {
    expect(() => makeRunDirectory(path)).toThrow(FormatError)
    expect(() => makeRunDirectory(path)).toThrow(/file.*a file is in the way; choose another --out/)
  }
})

// mkdir's own `recursive` never returns there on Node 20.
test.runIf(process.platform === 'linux')('where nothing can be made, the error comes at once', () => {
  expect(() => makeRunDirectory('/proc/dfdt/run')).toThrow(/\/proc\/dfdt: .* cannot be made/)
})
