/**
 * Runs the programs in README.md and the pages of docs/ that have some (or the Markdown files given) against the built library, so that no page shows what is not so.
 *
 * - A ```ts block is a complete program: it must compile and run. A ```text or ```console block right after it is its
 *   output, line by line; `…` stands for any text in a line, and a line of `…` alone for any lines (times differ).
 * - A ```ts shared block is the beginning of every later program of its page.
 * - A ```ts error block must not compile, and the compiler must say every line of the ```text block after it.
 */
import { spawnSync } from 'node:child_process'
import { mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { basename, join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { transformWithOxc } from 'vite'
import { build } from './build.mjs'

const root = fileURLToPath(new URL('..', import.meta.url))
/** Inside the package, so that `dfdt` means the package itself, as built. */
const folder = join(root, '.cache', 'readme')
const TIMEOUT = 180_000

const pages = ['README.md', 'docs/UPDATES.md', 'docs/MIGRATION.md']
const documents = process.argv.length > 2 ? process.argv.slice(2) : pages
const programs = documents.flatMap((document) => programsOf(document))
const failure = build({ ifStale: true })
if (failure !== '') {
  process.stderr.write(failure)
  process.exit(1)
}
rmSync(folder, { recursive: true, force: true })
mkdirSync(folder, { recursive: true })

const messages = compile(programs)
let failed = 0
for (const program of programs) {
  const problem = await check(program, messages.get(program.file) ?? '')
  console.log(
    `${problem === '' ? 'ok  ' : 'FAIL'} ${program.where}${program.mustFail ? ' (does not compile, as it says)' : ''}`,
  )
  if (problem === '') continue
  failed++
  console.error(problem.replace(/^/gm, '     '))
}
if (failed > 0) process.exit(1)
console.log(`${programs.length} programs in ${documents.join(', ')}`)

function programsOf(document) {
  const lines = readFileSync(join(root, document), 'utf8').split('\n')
  const blocks = []
  for (let i = 0; i < lines.length; i++) {
    const fence = /^```(\w+)\s*(.*)$/.exec(lines[i])
    if (fence === null) continue
    const start = i + 1
    while (++i < lines.length && lines[i] !== '```');
    blocks.push({ language: fence[1], tag: fence[2].trim(), start, end: i, text: lines.slice(start, i).join('\n') })
  }
  const prose = (from, to) => lines.slice(from, to).filter((line) => line.trim() !== '').length
  let shared = ''
  return blocks.flatMap((block, i) => {
    if (block.language !== 'ts') return []
    const code = shared + block.text
    if (block.tag === 'shared') shared = `${code}\n`
    const next = blocks[i + 1]
    // One sentence may introduce the output: "prints", "the editor says".
    const follows =
      next !== undefined && /^(text|console)$/.test(next.language) && prose(block.end + 1, next.start - 1) <= 1
    return {
      where: `${document}:${block.start}`,
      file: `${basename(document, '.md').toLowerCase()}-${block.start}.ts`,
      code,
      mustFail: block.tag === 'error',
      expected: follows ? next.text : undefined,
    }
  })
}

/** One compiler run over all programs; its messages by file. */
function compile(programs) {
  for (const { file, code } of programs) writeFileSync(join(folder, file), `${code}\nexport {}\n`)
  const config = { extends: '../../tsconfig.json', compilerOptions: { paths: {} }, include: ['*.ts'], exclude: [] }
  writeFileSync(join(folder, 'tsconfig.json'), JSON.stringify(config))
  const tsc = join(root, 'node_modules', 'typescript', 'bin', 'tsc')
  const run = spawnSync(process.execPath, [tsc, '-p', folder, '--noEmit', '--pretty', 'false'], {
    cwd: folder,
    encoding: 'utf8',
  })
  const byFile = new Map()
  let file = ''
  for (const line of run.stdout.split('\n')) {
    file = /^([^\s(]+\.ts)\(\d+,\d+\): error/.exec(line)?.[1] ?? file
    byFile.set(file, `${byFile.get(file) ?? ''}${line}\n`)
  }
  return byFile
}

async function check({ file, code, mustFail, expected }, messages) {
  if (mustFail) {
    if (messages === '') return 'compiles, but says it must not'
    if (expected === undefined) return "shows no message; put the compiler's words in a ```text block after it"
    const missing = expected.split('\n').filter((line) => line.trim() !== '' && !pattern(line.trim()).test(messages))
    return missing.length === 0 ? '' : `the compiler does not say:\n${missing.join('\n')}\nbut:\n${messages}`
  }
  if (messages !== '') return messages
  const script = join(folder, file.replace(/\.ts$/, '.mjs'))
  writeFileSync(script, (await transformWithOxc(code, file, { target: 'es2022', sourcemap: false })).code)
  const run = spawnSync(process.execPath, [script], { cwd: root, encoding: 'utf8', timeout: TIMEOUT })
  if (run.status !== 0) return `${run.stderr}ended with ${run.signal ?? run.status}`
  if (expected === undefined) return ''
  const body = expected
    .trimEnd()
    .split('\n')
    .map((line) => (line.trim() === '…' ? '[^]*?' : pattern(line).source))
  if (new RegExp(`^${body.join('\n')}\n*$`).test(run.stdout)) return ''
  return `prints:\n${run.stdout}instead of:\n${expected}`
}

/** The line as a pattern in which `…` is any text. */
function pattern(line) {
  return new RegExp(
    line
      .trimEnd()
      .split('…')
      .map((part) => part.replace(/[\\^$.*+?()[\]{}|]/g, '\\$&'))
      .join('.*'),
  )
}
