import { execFileSync } from 'node:child_process'
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { describe, expect, it } from 'vitest'
import { root } from './built-library.js'

const tracked = execFileSync('git', ['ls-files', '-z', '--cached', '--others', '--exclude-standard'], { cwd: root })
  .toString()
  .split('\0')
  .filter((file) => /\.(ts|mjs|js|json|jsonc|md|py|html|txt|sh|yml|yaml)$|^\.ci\/run$/.test(file))

/** Lines of tracked text files that match, as `file:line: text`. */
function linesMatching(pattern: RegExp, files: readonly string[]): string[] {
  return files.flatMap((file) => {
    const text = readOrEmpty(join(root, file))
    return text
      .split('\n')
      .flatMap((line, i) => (pattern.test(line) ? [`${file}:${i + 1}: ${line.trim().slice(0, 160)}`] : []))
  })
}

/** A file may be listed by git and just have been deleted. */
function readOrEmpty(file: string): string {
  try {
    return readFileSync(file, 'utf8')
  } catch {
    return ''
  }
}

const sources = tracked.filter((file) => file.startsWith('src/'))
const { packages: locked } = JSON.parse(readFileSync(join(root, 'package-lock.json'), 'utf8')) as {
  packages: Record<string, { hasInstallScript?: boolean; optionalDependencies?: Record<string, string> }>
}
const self = 'tests/meta/repository.test.ts'

describe('the repository', () => {
  it('has files to look at', () => {
    expect(tracked.length).toBeGreaterThan(20)
    expect(sources.length).toBeGreaterThan(5)
    expect(linesMatching(/describe\('the repository'/, [self])).toHaveLength(1)
  })

  it('names no path of the machine it was written on', () => {
    const files = tracked.filter((file) => file !== self)
    expect(linesMatching(/(^|[\s"'`(=:])(\/work\/|\/root\/|\/home\/\w+\/|\/Users\/\w+\/)/, files)).toEqual([])
  })

  it('names no package registry', () => {
    expect(linesMatching(/"resolved": "http|registry\s*=\s*http/, ['package-lock.json', '.npmrc'])).toEqual([])
  })

  it('has no dependency with an install script, but one that only macOS installs', () => {
    const scripted = Object.entries(locked).filter(([, { hasInstallScript }]) => hasInstallScript)
    expect(scripted.map(([name]) => name).filter((name) => name !== 'node_modules/fsevents')).toEqual([])
  })

  // Without them `npm ci` refuses the lock, or leaves another platform without its native tools.
  it('locks the optional packages of every platform (node tools/lock-platforms.mjs)', () => {
    const missing = Object.values(locked).flatMap(({ optionalDependencies = {} }) =>
      Object.keys(optionalDependencies).filter((name) => !(`node_modules/${name}` in locked)),
    )
    expect(missing).toEqual([])
  })
})

describe('the sources', () => {
  it('leave nothing for later', () => {
    expect(linesMatching(/\b(TODO|FIXME|XXX|HACK)\b|not (yet )?implemented/i, sources)).toEqual([])
  })

  it('throw only errors of our own classes', () => {
    expect(linesMatching(/\bnew (Error|TypeError|RangeError)\(|throw ['"`]/, sources)).toEqual([])
  })

  it('silence a checker only with a reason, and the compiler only in the type engine', () => {
    const silenced = linesMatching(
      /@ts-ignore|@ts-expect-error|@ts-nocheck|biome-ignore|oxlint-disable|eslint-disable/,
      sources,
    )
    const reasoned = /(@ts-ignore|@ts-expect-error) \S.{9,}|biome-ignore(-all)? [\w/]+: \S.{9,}/
    const typeEngine = /^src\/(tensor\/tensor|shapes\/[\w-]+|nn\/types\/[\w-]+)\.ts:/
    const wrong = silenced.filter((line) => !reasoned.test(line) || (line.includes('@ts-') && !typeEngine.test(line)))
    expect(wrong).toEqual([])
  })
})
