import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { runCli } from './run-cli.js'
import { writeTinyMnist } from './tiny-mnist.js'

let data = ''
beforeAll(() => {
  data = mkdtempSync(join(tmpdir(), 'dfdt-cli-'))
  writeTinyMnist(data)
})
afterAll(() => rmSync(data, { recursive: true, force: true }))

describe('a command typed wrongly is one line on stderr, exit code 2, and nothing runs', () => {
  it.each([
    [['--epoch', '3'], "unknown option '--epoch'", 'Did you mean --epochs?'],
    [['train', '--nonsense'], "unknown option '--nonsense'", 'see dfdt --help'],
    [['--epochs'], "option '--epochs <count>' argument missing", 'see dfdt --help'],
    [['--epochs', '0'], "'0' is invalid", 'a whole number from 1'],
    [['--epochs', '2.5'], "'2.5' is invalid", 'a whole number from 1'],
    [['--epochs', 'many'], "'many' is invalid", 'a whole number from 1'],
    [['--epochs', ''], "'' is invalid", 'a whole number from 1'],
    [['--seed', '-1'], "'-1' is invalid", 'a whole number from 0'],
    [['--seed', '4294967296'], "'4294967296' is invalid", 'to 4294967295'],
    [['--batch', '0x20'], "'0x20' is invalid", 'a whole number'],
    [['--limit', '0'], "'0' is invalid", 'a whole number from 1'],
    [['--threads', '257'], "'257' is invalid", 'to 256'],
    [['--lr', '0'], "'0' is invalid", 'above 0'],
    [['--lr', 'Infinity'], "'Infinity' is invalid", 'above 0'],
    [['--decay', '1.1'], "'1.1' is invalid", 'from 0'],
    [['--decay', 'NaN'], "'NaN' is invalid", 'from 0'],
    [['evl'], "no command 'evl'", 'the commands are train, eval, average, ema, diff, inspect, doctor'],
    [['train', 'extra'], "too many arguments for 'train'", 'see dfdt --help'],
    [['eval'], "missing required argument 'file'", 'see dfdt --help'],
    [['eval', 'a', '--epochs', '3'], "unknown option '--epochs'", 'see dfdt --help'],
  ])('%j', async (argv, what, remedy) => {
    const { exitCode, stdout, stderr, jobsLoaded } = await runCli(argv)
    expect(stderr).toMatch(/^dfdt: [^\n]+\n$/)
    expect(stderr).toContain(what)
    expect(stderr).toContain(remedy)
    expect({ exitCode, stdout, jobsLoaded }).toEqual({ exitCode: 2, stdout: '', jobsLoaded: 0 })
  })

  it.each([
    [['--limit', '641'], '--limit 641: there are 640 training images'],
    [['--limit', '10'], '--batch 32: there are 10 training images'],
    [['--batch', '641'], '--batch 641: there are 640 training images'],
  ])('%j against the data', async (argv, what) => {
    const { exitCode, stdout, stderr, jobsLoaded } = await runCli([...argv, '--data', data])
    expect(stderr).toMatch(/^dfdt: [^\n]+\n$/)
    expect(stderr).toContain(what)
    expect({ exitCode, stdout, jobsLoaded }).toEqual({ exitCode: 2, stdout: '', jobsLoaded: 0 })
  })
})

describe('help', () => {
  it.each([
    [['--help'], 'Usage: dfdt [options] [command]', ['train', 'eval', 'default']],
    [['-h'], 'Usage: dfdt [options] [command]', ['train', 'eval']],
    [['help'], 'Usage: dfdt [options] [command]', ['train', 'eval']],
    [
      ['train', '--help'],
      'Usage: dfdt train',
      ['--epochs', '--decay', '(default: 0.999)', '--json', 'runs/<date-time>'],
    ],
    [['eval', '--help'], 'Usage: dfdt eval [options] <file>', ['--data', '--json']],
    [['help', 'eval'], 'Usage: dfdt eval [options] <file>', ['--data']],
  ])('%j', async (argv, usage, words) => {
    const { exitCode, stdout, stderr, jobsLoaded } = await runCli(argv)
    expect(stdout.startsWith(usage)).toBe(true)
    for (const word of words) expect(stdout).toContain(word)
    expect({ exitCode, stderr, jobsLoaded }).toEqual({ exitCode: 0, stderr: '', jobsLoaded: 0 })
  })

  it('--version prints the version of the package', async () => {
    const { exitCode, stdout } = await runCli(['--version'])
    expect(stdout).toMatch(/^\d+\.\d+\.\d+\n$/)
    expect(exitCode).toBe(0)
  })
})
