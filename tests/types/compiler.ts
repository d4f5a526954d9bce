import { execFile } from 'node:child_process'
import { mkdirSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { join, relative } from 'node:path'
import { promisify } from 'node:util'
import { buildLibrary, root } from '../meta/built-library.js'
import { budgetFiles } from './budget-files.js'

const here = join(root, 'tests/types')
const built = join(root, '.cache/types')

/** The compilers whose users the types must serve, by the name they are installed under. */
export const compilers = { 'TypeScript 7': 'typescript', 'TypeScript 6': 'ts6', 'TypeScript 5.9': 'ts59' }
export type Compiler = (typeof compilers)[keyof typeof compilers]

/** Where the tests find the library: in the sources, or in the declarations that users get. */
export const places = { sources: here, declarations: built }
export type Place = keyof typeof places

/** `accepted` compiles, `refused` has a @ts-expect-error per line, `cases` holds one error a file. */
const folders = ['accepted', 'refused', 'cases']

const compilerOptions = {
  noEmit: true,
  ...{ strict: true, exactOptionalPropertyTypes: true, noUncheckedIndexedAccess: true, skipLibCheck: true },
  ...{ target: 'es2022', lib: ['es2022', 'dom'], module: 'nodenext', types: ['node'] },
  noErrorTruncation: true,
}

async function tsc(compiler: Compiler, args: readonly string[]): Promise<string> {
  const script = join(root, 'node_modules', compiler, 'bin/tsc')
  try {
    return (await promisify(execFile)(process.execPath, [script, ...args], { cwd: root, maxBuffer: 1 << 26 })).stdout
  } catch (error) {
    // Exit code 1 or 2 means diagnostics, which are what the caller wants; anything else has no output.
    const output = (error as { stdout?: string }).stdout
    if (output) return output
    throw error
  }
}

/** Builds the library and puts the same tests where the prelude takes it from what was built. */
export async function buildDeclarations(): Promise<void> {
  await buildLibrary()
  rmSync(built, { recursive: true, force: true })
  for (const folder of folders) {
    mkdirSync(join(built, folder), { recursive: true })
    for (const name of readdirSync(join(here, folder))) {
      writeFileSync(join(built, folder, name), readFileSync(join(here, folder, name)))
    }
  }
  const prelude = readFileSync(join(here, 'prelude.ts'), 'utf8')
  writeFileSync(join(built, 'prelude.ts'), prelude.replaceAll('../../src/', '../../dist/'))
  for (const [name, text] of Object.entries(budgetFiles)) writeFileSync(join(built, `${name}.ts`), text)
}

/** One error of the compiler: where it is, and all that was said about it. */
export interface Diagnostic {
  readonly file: string
  readonly at: string
  readonly text: string
}

/** All errors in the test files, in the examples and in what they import, in one compilation. */
export async function diagnose(compiler: Compiler, place: Place): Promise<Diagnostic[]> {
  const base = places[place]
  const project = join(built, `${place}-${compiler}.json`)
  const [from, end] = place === 'sources' ? ['src', 'ts'] : ['dist', 'd.ts']
  const paths = {
    dfdt: [join(root, from, `entry/index.${end}`)],
    'dfdt/*': [join(root, from, `entry/*.${end}`)],
    '#wasm': [join(root, from, `backends/wasm/node.${end}`)],
  }
  const all = [...folders.map((folder) => join(base, folder)), join(root, 'examples')]
  const files = all.flatMap((folder) =>
    readdirSync(folder).flatMap((name) => (name.endsWith('.ts') ? join(folder, name) : [])),
  )
  writeFileSync(project, JSON.stringify({ compilerOptions: { ...compilerOptions, paths }, files }))
  const output = await tsc(compiler, ['-p', project, '--pretty', 'false'])
  const found: { file: string; at: string; text: string }[] = []
  for (const line of output.split('\n')) {
    const head = /^(\S[^(]*)\((\d+),(\d+)\): error (.*)$/.exec(line)
    if (head) {
      const [, file = '', row, column, text = ''] = head
      found.push({ file: relative(base, join(root, file)), at: `${row}:${column}`, text })
    } else if (/^\s/.test(line)) {
      const last = found.at(-1)
      if (last) last.text += `\n${line}`
    } else if (/error/.test(line)) {
      throw new Error(line)
    }
  }
  return found
}

/** Our own sentences in a diagnostic: its quoted string literals that have a space in them, sorted. */
export function sentences(diagnostic: Diagnostic): string[] {
  const literals = [...diagnostic.text.matchAll(/"((?:[^"\\]|\\.)*)"/g)].map((match) => match[1] ?? '')
  const own = literals.filter((literal) => literal.includes(' ')).map((literal) => literal.replaceAll('\\"', '"'))
  return [...new Set(own)].sort()
}

/** How often the compiler instantiated a type while it checked one file against the built declarations. */
export async function instantiations(file: keyof typeof budgetFiles): Promise<number> {
  // The flags that the prototype's numbers were measured with; @types/node would add 356 to the 50 layers.
  const flags = ['--ignoreConfig', '--noEmit', '--strict', '--skipLibCheck', '--pretty', 'false', '--target', 'es2022']
  flags.push('--lib', 'es2022', '--module', 'nodenext', '--singleThreaded', '--extendedDiagnostics')
  const output = await tsc('typescript', [...flags, join(built, `${file}.ts`)])
  const errors = output.split('\n').filter((line) => line.includes('error TS'))
  if (errors.length > 0) throw new Error(errors.join('\n'))
  const count = /Instantiations:\s+(\d+)/.exec(output)?.[1]
  if (count === undefined) throw new Error(`No count of instantiations in:\n${output}`)
  return Number(count)
}
