import * as fs from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { gzipSync } from 'node:zlib'
import { afterEach, beforeEach, describe, expect, test, vi } from 'vitest'
import { readBytes, writeFileAtomic } from '../../src/io/node-files.js'
import { FormatError } from '../../src/tensor/errors.js'
import { thrownBy } from './format-error.js'

/** System calls that fail, by name, to act as a full disk or one without permission does (tests may run as root). */
const failing = vi.hoisted(() => new Map<string, { code: string; onCall: number }>())
const calls = vi.hoisted((): string[] => [])

vi.mock('node:fs', async (importOriginal) => {
  const original = await importOriginal<typeof fs>()
  const watched =
    <A extends unknown[], R>(name: string, call: (...args: A) => R) =>
    (...args: A): R => {
      calls.push(name)
      const fault = failing.get(name)
      if (fault !== undefined && calls.filter((each) => each === name).length === fault.onCall) {
        throw Object.assign(new Error(`${fault.code}: injected, ${name}`), { code: fault.code })
      }
      return call(...args)
    }
  return {
    ...original,
    openSync: watched('open', original.openSync),
    writeSync: watched('write', (file: number, bytes: Uint8Array, offset: number, length: number) =>
      // Short writes, as on a pipe or a nearly full disk.
      original.writeSync(file, bytes, offset, Math.min(length, 3)),
    ),
    readSync: watched('read', (file: number, bytes: Uint8Array, offset: number, length: number, position: number) =>
      original.readSync(file, bytes, offset, Math.min(length, 5), position),
    ),
    fsyncSync: watched('fsync', original.fsyncSync),
    closeSync: watched('close', original.closeSync),
    renameSync: watched('rename', original.renameSync),
  }
})

let directory = ''

beforeEach(() => {
  directory = fs.mkdtempSync(join(tmpdir(), 'dfdt-files-'))
})

afterEach(() => {
  failing.clear()
  fs.rmSync(directory, { recursive: true })
})

function fail(name: string, code: string, onCall = 1): void {
  calls.length = 0
  failing.clear()
  failing.set(name, { code, onCall })
}

function refusal(run: () => unknown, path: string): string {
  const error = thrownBy(run)
  expect(error).toBeInstanceOf(FormatError)
  expect(error).toMatchObject({ path })
  return error instanceof FormatError ? error.message.replaceAll(directory, 'DIR') : ''
}

const old = Uint8Array.of(1, 2, 3)
const next = Uint8Array.from({ length: 100 }, (_, i) => i)

describe('readBytes', () => {
  test('reads a file, empty or not, and unpacks gzip by its first bytes', () => {
    const plain = join(directory, 'plain')
    for (const bytes of [next, new Uint8Array(), Uint8Array.of(0x1f)]) {
      fs.writeFileSync(plain, bytes)
      expect(readBytes(plain)).toEqual(bytes)
    }
    for (const name of ['packed.gz', 'packed']) {
      const path = join(directory, name)
      fs.writeFileSync(path, gzipSync(next))
      const bytes = readBytes(path)
      expect(bytes).toEqual(next)
      expect(bytes.constructor).toBe(Uint8Array)
    }
  })

  test('says what is wrong and what to do', () => {
    const path = join(directory, 'file')
    expect(refusal(() => readBytes(path), path)).toBe('DIR/file: there is no such file; check the path')
    fs.writeFileSync(path, next)
    const below = join(path, 'x')
    expect(refusal(() => readBytes(below), below)).toBe('DIR/file/x: there is no such file; check the path')
    expect(refusal(() => readBytes(directory), directory)).toBe(
      'DIR: it is a directory, expected a file; name a file in it',
    )
    expect(refusal(() => readBytes('/dev/null'), '/dev/null')).toBe(
      '/dev/null: it is a device or pipe, expected a file; copy it to a file first',
    )
    expect(refusal(() => readBytes(path, 99), path)).toBe(
      'DIR/file: it has 100 bytes, expected at most 99; it is another file or must be split',
    )
    fail('open', 'EACCES')
    expect(refusal(() => readBytes(path), path)).toBe(
      'DIR/file: there is no permission to read it; change its permissions or copy it',
    )
    fail('read', 'EIO')
    expect(refusal(() => readBytes(path), path)).toBe(
      'DIR/file: it could not be read (EIO: injected, read); check the path and the disk',
    )
    expect(calls.at(-1)).toBe('close')
  })

  test('refuses damaged gzip, and gzip that unpacks to more than allowed', () => {
    const path = join(directory, 'file.gz')
    fs.writeFileSync(path, next)
    expect(refusal(() => readBytes(path), path)).toBe(
      'DIR/file.gz: its name ends in .gz, but it is not gzip; rename it without .gz or download it again',
    )
    fs.writeFileSync(path, gzipSync(next).subarray(0, 30))
    expect(refusal(() => readBytes(path), path)).toBe(
      'DIR/file.gz: its gzip data is damaged or cut short (unexpected end of file); download it again',
    )
    fs.writeFileSync(path, gzipSync(new Uint8Array(1e6)))
    expect(refusal(() => readBytes(path, 5000), path)).toBe(
      'DIR/file.gz: it unpacks to more than the 5000 bytes allowed; unpack it yourself if it is what you expect',
    )
  })
})

describe('writeFileAtomic', () => {
  test('writes, then replaces, and leaves nothing else behind', () => {
    const path = join(directory, 'model.safetensors')
    for (const bytes of [old, next, new Uint8Array()]) {
      writeFileAtomic(path, bytes)
      expect(new Uint8Array(fs.readFileSync(path))).toEqual(bytes)
    }
    expect(fs.readdirSync(directory)).toEqual(['model.safetensors'])
  })

  test('flushes the bytes before the rename and the directory after it', () => {
    calls.length = 0
    writeFileAtomic(join(directory, 'x'), old)
    expect(calls).toEqual(['open', 'write', 'fsync', 'close', 'rename', 'open', 'fsync', 'close'])
  })

  test.each([
    ['open', 'EACCES', 'there is no permission to write in DIR; change its permissions or choose another directory'],
    ['write', 'ENOSPC', 'there is no space left in DIR; free some or choose another disk'],
    ['fsync', 'EIO', 'EIO: injected, fsync; check the path and the disk'],
    ['close', 'EIO', 'EIO: injected, close; check the path and the disk'],
    ['rename', 'EBUSY', 'EBUSY: injected, rename; check the path and the disk'],
  ])('if %s fails the previous file is untouched and the temporary one gone', (call, code, message) => {
    const path = join(directory, 'model')
    fs.writeFileSync(path, old)
    fail(call, code, call === 'write' ? 2 : 1)
    expect(refusal(() => writeFileAtomic(path, next), path)).toBe(`DIR/model: it could not be written: ${message}`)
    expect(calls).toContain(call)
    expect(new Uint8Array(fs.readFileSync(path))).toEqual(old)
    expect(fs.readdirSync(directory)).toEqual(['model'])
  })

  test('a directory that cannot be flushed is an error only if the disk failed', () => {
    const path = join(directory, 'model')
    fail('fsync', 'EINVAL', 2)
    writeFileAtomic(path, next)
    expect(new Uint8Array(fs.readFileSync(path))).toEqual(next)
    fail('fsync', 'EIO', 2)
    expect(refusal(() => writeFileAtomic(path, old), path)).toBe(
      'DIR/model: it is written, but its directory could not be flushed to the disk (EIO: injected, fsync); check the disk',
    )
    expect(new Uint8Array(fs.readFileSync(path))).toEqual(old)
  })

  test('refuses directories, devices and directories that do not exist', () => {
    expect(refusal(() => writeFileAtomic(directory, next), directory)).toBe(
      "DIR: it is a directory, expected a file's path; choose another name",
    )
    expect(refusal(() => writeFileAtomic('/dev/null', next), '/dev/null')).toBe(
      "/dev/null: it is a device or pipe, expected a file's path; choose another name",
    )
    const path = join(directory, 'missing', 'model')
    expect(refusal(() => writeFileAtomic(path, next), path)).toBe(
      'DIR/missing/model: it could not be written: the directory DIR/missing does not exist; create it first',
    )
  })

  test('follows a link and keeps permissions', () => {
    const target = join(directory, 'target')
    const link = join(directory, 'link')
    fs.writeFileSync(target, old)
    fs.chmodSync(target, 0o640)
    fs.symlinkSync(target, link)
    writeFileAtomic(link, next)
    expect(fs.lstatSync(link).isSymbolicLink()).toBe(true)
    expect(new Uint8Array(fs.readFileSync(target))).toEqual(next)
    expect(fs.statSync(target).mode & 0o777).toBe(0o640)
  })
})
