import { type ChildProcess, spawn } from 'node:child_process'
import { existsSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { rolldown } from 'rolldown'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { writeTinyMnist } from './tiny-mnist.js'

const root = fileURLToPath(new URL('../..', import.meta.url))
// Two levels below the root, as dist/cli is: the program finds its package.json from there.
const program = join(root, '.cache', 'cli-test', 'main.mjs')
let scratch = ''

beforeAll(async () => {
  scratch = mkdtempSync(join(tmpdir(), 'dfdt-cli-'))
  mkdirSync(join(scratch, 'data'))
  writeTinyMnist(join(scratch, 'data'))
  const input = fileURLToPath(new URL('fake-main.ts', import.meta.url))
  const bundle = await rolldown({ input, platform: 'node', external: /^(node:|[a-z@])/ })
  await bundle.write({ file: program, format: 'esm', codeSplitting: false })
  await bundle.close()
})
afterAll(() => rmSync(scratch, { recursive: true, force: true }))

interface Ended {
  readonly exitCode: number | null
  readonly signal: NodeJS.Signals | null
  readonly stdout: string
  readonly stderr: string
}

/** Runs the program in the scratch directory; `during` may send it signals. */
async function run(
  argv: string[],
  during: (child: ChildProcess, stdout: () => string) => Promise<void>,
  env: Record<string, string> = {},
): Promise<Ended> {
  const child = spawn(process.execPath, [program, ...argv, '--data', 'data'], {
    cwd: scratch,
    env: { ...process.env, ...env },
  })
  const text = { stdout: '', stderr: '' }
  child.stdout.on('data', (chunk) => {
    text.stdout += chunk
  })
  child.stderr.on('data', (chunk) => {
    text.stderr += chunk
  })
  const ended = new Promise<Ended>((resolve) => {
    child.on('close', (exitCode, signal) => resolve({ exitCode, signal, ...text }))
  })
  await during(child, () => text.stdout)
  return ended
}

async function until(condition: () => boolean): Promise<void> {
  while (!condition()) await new Promise((resolve) => setTimeout(resolve, 10))
}

describe('Ctrl-C', () => {
  it('after the first epoch ends the run, keeps its files and exits with 130', async () => {
    const out = join(scratch, 'kept')
    const ended = await run(['--epochs', '500', '--out', out], async (child, stdout) => {
      await until(() => /^ +1\/500 /m.test(stdout()))
      child.kill('SIGINT')
    })
    expect(ended).toMatchObject({ exitCode: 130, signal: null })
    expect(ended.stderr).toMatch(
      /^Stopping after this step[^\n]*\nStopped after \d+ of 10,000 steps\.\nSaved after epoch \d+:\n/,
    )
    const files = ['metrics.jsonl', 'student.safetensors', 'teacher.safetensors']
    expect(readdirSync(out).sort()).toEqual(files)
    for (const file of files) expect(ended.stderr).toContain(join(out, file))
    const lines = readFileSync(join(out, 'metrics.jsonl'), 'utf8').trimEnd().split('\n')
    expect(JSON.parse(lines.at(-1) ?? '')).toMatchObject({ epoch: expect.any(Number) })
  })

  it('in the first epoch says that nothing was saved, and leaves no empty directory', async () => {
    const ended = await run(['--epochs', '500', '--batch', '2'], async (child, stdout) => {
      await until(() => stdout().includes('accuracy'))
      child.kill('SIGINT')
    })
    expect(ended).toMatchObject({ exitCode: 130, signal: null })
    expect(ended.stderr).toContain('Nothing was saved')
    expect(existsSync(join(scratch, 'runs')) ? readdirSync(join(scratch, 'runs')) : []).toEqual([])
  })

  it('that arrives twice, as under npm, still ends the run cleanly', async () => {
    const ended = await run(['--epochs', '500', '--out', join(scratch, 'twice')], async (child, stdout) => {
      await until(() => /^ +1\/500 /m.test(stdout()))
      child.kill('SIGINT')
      await new Promise((resolve) => setTimeout(resolve, 2))
      child.kill('SIGINT')
    })
    expect(ended).toMatchObject({ exitCode: 130, signal: null })
    expect(ended.stderr).toContain('Saved after epoch')
  })

  it('pressed again while a step takes long ends at once', async () => {
    const begin = performance.now()
    const ended = await run(
      ['--epochs', '500'],
      async (child, stdout) => {
        await until(() => stdout().includes('accuracy'))
        child.kill('SIGINT')
        await new Promise((resolve) => setTimeout(resolve, 700))
        child.kill('SIGINT')
      },
      { FAKE_STEP: '60000' },
    )
    expect(ended).toMatchObject({ exitCode: 130, signal: null })
    expect(ended.stderr).toBe('Stopping after this step; Ctrl-C again ends at once.\n')
    expect(performance.now() - begin).toBeLessThan(20_000)
    expect(existsSync(join(scratch, 'runs')) ? readdirSync(join(scratch, 'runs')) : []).toEqual([])
  })

  it('writes no JSON for a run that did not end', async () => {
    const ended = await run(['--epochs', '500', '--out', join(scratch, 'json'), '--json'], async (child) => {
      await until(() => existsSync(join(scratch, 'json', 'metrics.jsonl')))
      child.kill('SIGINT')
    })
    expect(ended).toMatchObject({ exitCode: 130, stdout: '' })
  })

  it('and a request to terminate ends it likewise, with 143', async () => {
    const ended = await run(['--epochs', '500', '--out', join(scratch, 'term')], async (child, stdout) => {
      await until(() => stdout().includes('accuracy'))
      child.kill('SIGTERM')
    })
    expect(ended).toMatchObject({ exitCode: 143, signal: null })
  })
})

describe('the process', () => {
  it('ends by itself with exit code 0 after a run, and names a new directory after the time', async () => {
    const ended = await run(['--epochs', '1'], async () => undefined)
    expect(ended).toMatchObject({ exitCode: 0, stderr: '' })
    const [directory = ''] = readdirSync(join(scratch, 'runs'))
    expect(directory).toMatch(/^\d{4}-\d\d-\d\d-\d{6}$/)
    expect(ended.stdout).toContain(join('runs', directory, 'report.html'))
  })

  it('goes on when nobody reads its output any more', async () => {
    const out = join(scratch, 'pipe')
    const ended = await run(['--epochs', '2', '--out', out], async (child) => {
      child.stdout?.destroy()
    })
    expect(ended).toMatchObject({ exitCode: 0, stderr: '' })
    expect(existsSync(join(out, 'report.html'))).toBe(true)
  })
})
