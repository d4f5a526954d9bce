/**
 * Builds dist/ from src/ with tsc. The new dist replaces the old one only when it is complete, so files of deleted
 * sources do not stay and a failed build leaves the last good one. `--if-stale` does nothing when dist is up to date.
 */
import { spawnSync } from 'node:child_process'
import { createHash } from 'node:crypto'
import { existsSync, mkdirSync, readdirSync, readFileSync, renameSync, rmSync, statSync, writeFileSync } from 'node:fs'
import { join, relative } from 'node:path'
import { fileURLToPath, pathToFileURL } from 'node:url'

const root = fileURLToPath(new URL('..', import.meta.url))
const cache = join(root, '.cache')
const stamp = join(cache, 'build-stamp')
const lock = join(cache, 'build-lock')

/** Builds when dist is missing or was built from other sources. Returns the compiler's output if it failed, else ''. */
export function build({ ifStale }) {
  mkdirSync(cache, { recursive: true })
  takeLock()
  try {
    const fingerprint = fingerprintOfSources()
    const upToDate = existsSync(join(root, 'dist')) && existsSync(stamp) && readFileSync(stamp, 'utf8') === fingerprint
    if (ifStale && upToDate) return ''
    return compile(fingerprint)
  } finally {
    rmSync(lock, { force: true })
  }
}

function compile(fingerprint) {
  const out = join(cache, `build-${process.pid}`)
  const tsc = join(root, 'node_modules', 'typescript', 'bin', 'tsc')
  const run = spawnSync(process.execPath, [tsc, '-p', 'tsconfig.build.json', '--outDir', out], {
    cwd: root,
    encoding: 'utf8',
  })
  if (run.status !== 0) {
    rmSync(out, { recursive: true, force: true })
    return `${run.stdout}${run.stderr}${run.error ?? ''}` || `tsc ended with ${run.signal ?? run.status}\n`
  }
  excuseDeclarations(out)
  const old = `${out}-old`
  if (existsSync(join(root, 'dist'))) renameSync(join(root, 'dist'), old)
  renameSync(out, join(root, 'dist'))
  rmSync(old, { recursive: true, force: true })
  writeFileSync(stamp, fingerprint)
  return ''
}

/**
 * The type engine's few `@ts-ignore` do not reach its declarations, because the compiler drops such comments; users who
 * check declarations (`skipLibCheck: false`) would get errors that the sources have excused with a reason.
 */
function excuseDeclarations(out) {
  for (const file of filesIn(join(root, 'src'))) {
    if (!readFileSync(file, 'utf8').includes('@ts-ignore')) continue
    const declaration = join(out, relative(join(root, 'src'), file).replace(/\.ts$/, '.d.ts'))
    const reason = 'checked with its source, whose @ts-ignore comments do not reach this file'
    writeFileSync(declaration, `// @ts-nocheck: ${reason}\n${readFileSync(declaration, 'utf8')}`)
  }
}

/** Path, size and time of everything the build reads: a change, a new file and a deleted one all show. */
function fingerprintOfSources() {
  const hash = createHash('sha256')
  const settings = ['tsconfig.json', 'tsconfig.build.json', 'tools/build.mjs'].map((file) => join(root, file))
  for (const file of [...filesIn(join(root, 'src')).sort(), ...settings]) {
    const { size, mtimeMs } = statSync(file)
    hash.update(`${file} ${size} ${mtimeMs}\n`)
  }
  return hash.digest('hex')
}

function filesIn(folder) {
  return readdirSync(folder, { recursive: true, withFileTypes: true })
    .filter((entry) => entry.isFile())
    .map((entry) => join(entry.parentPath ?? entry.path, entry.name))
}

/** One build at a time: tests in several processes may ask for one together. A lock whose owner is gone is taken over. */
function takeLock() {
  for (;;) {
    try {
      return writeFileSync(lock, String(process.pid), { flag: 'wx' })
    } catch (error) {
      if (error.code !== 'EEXIST') throw error
    }
    if (!ownerIsAlive()) rmSync(lock, { force: true })
    else Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, 50)
  }
}

function ownerIsAlive() {
  try {
    const pid = Number(readFileSync(lock, 'utf8'))
    // An empty file belongs to someone who is just writing it.
    if (pid !== 0) process.kill(pid, 0)
    return true
  } catch (error) {
    return error.code === 'EPERM' || error.code === 'ENOENT'
  }
}

if (process.argv[1] !== undefined && import.meta.url === pathToFileURL(process.argv[1]).href) {
  const failure = build({ ifStale: process.argv.includes('--if-stale') })
  if (failure !== '') {
    process.stderr.write(failure)
    process.exitCode = 1
  }
}
