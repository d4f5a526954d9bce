/**
 * The house rules on imports, without exceptions (docs/ARCHITECTURE.md):
 * - a file imports from its own layer or an earlier one; a backend only from shapes, kernels, tensor and itself;
 * - only entry points, src/native, tests, benches and examples import a backend;
 * - `node:` only in src/cli and in files named node.ts or node-….ts; packages only where a program needs them;
 * - no cycles of values (`import type` vanishes in the output, so it may close a circle).
 */
import { existsSync, readdirSync, readFileSync } from 'node:fs'
import { dirname, join, relative, resolve, sep } from 'node:path'
import { fileURLToPath } from 'node:url'
import { parseSync, Visitor } from 'vite'

const LAYERS = [
  ...['shapes', 'kernels', 'tensor', 'native', 'model', 'ops', 'autodiff', 'program', 'nn'],
  ...['optim', 'update', 'io', 'data', 'train', 'cli'],
]
const upTo = (last) => LAYERS.slice(0, LAYERS.indexOf(last) + 1)

/** What each folder may import besides itself. */
const ALLOWED = new Map([
  ...LAYERS.map((layer) => [layer, upTo(layer)]),
  // Binds kinds of kernels to what backends have for them, so that ops which need them bring it along.
  ['native', [...upTo('tensor'), 'backends/reference', 'backends/wasm']],
  // The command line is a program over the public entry points, which also choose the device.
  ['cli', [...LAYERS, 'entry']],
  ['testing', [...upTo('autodiff'), 'nn']],
  ['backends/reference', upTo('tensor')],
  ['backends/wasm', upTo('tensor')],
  ['entry', [...LAYERS.filter((layer) => layer !== 'cli'), 'testing', 'backends/reference', 'backends/wasm']],
])
const MAY_IMPORT_PACKAGES = new Set(['io', 'data', 'train', 'cli'])

const root = resolve(process.argv[2] ?? fileURLToPath(new URL('..', import.meta.url)))
const src = join(root, 'src')
const problems = []
/** Value imports between files of src, for the cycle check. */
const edges = new Map()

const files = readdirSync(src, { recursive: true })
  .map(String)
  .filter((file) => file.endsWith('.ts'))
  .map((file) => file.split(sep).join('/'))
  .sort()
for (const file of files) checkFile(file)
reportCycles()

if (problems.length > 0) {
  console.error(problems.join('\n'))
  console.error(`\n${problems.length} import${problems.length === 1 ? '' : 's'} against the house rules`)
  process.exit(1)
}
console.log(`${files.length} files in order`)

function checkFile(file) {
  const text = readFileSync(join(src, file), 'utf8')
  const folder = folderOf(file)
  if (!ALLOWED.has(folder)) {
    problems.push(
      `src/${file}: "${folder}" is not a layer; move the file into one of ${[...ALLOWED.keys()].join(', ')}`,
    )
    return
  }
  edges.set(file, [])
  for (const { specifier, line, isType } of importsOf(file, text)) {
    const report = (sentence) => problems.push(`src/${file}:${line}: ${sentence}`)
    const target = targetOf(file, specifier)
    if (target === 'node') {
      if (!mayUseNode(file)) report(`imports ${specifier}; only src/cli and files named node.ts or node-….ts may`)
    } else if (target === 'package') {
      if (!MAY_IMPORT_PACKAGES.has(folder)) report(`imports the package ${specifier}; the core imports none`)
    } else if (target.startsWith('..')) {
      report(`imports ${specifier}, which is outside src`)
    } else {
      const layer = folderOf(target)
      if (layer !== folder && !ALLOWED.get(folder).includes(layer))
        report(`${folder} may not import ${layer} (${specifier})`)
      else if (!existsSync(join(src, target))) report(`imports ${specifier}, which does not exist`)
      if (!isType) edges.get(file).push(target)
    }
  }
}

function folderOf(file) {
  const [first, second, third] = file.split('/')
  if (first === 'backends' && third !== undefined) return `backends/${second}`
  return second === undefined ? '.' : first
}

function mayUseNode(file) {
  return file.startsWith('cli/') || /(^|\/)node(-[^/]*)?\.ts$/.test(file)
}

/** The imported file relative to src, or 'node', or 'package'. */
function targetOf(file, specifier) {
  if (specifier.startsWith('node:')) return 'node'
  if (specifier === '#wasm') return 'backends/wasm/node.ts'
  const self = /^dfdt(?:\/(.+))?$/.exec(specifier)
  if (self !== null) return `entry/${self[1] ?? 'index'}.ts`
  if (!specifier.startsWith('.')) return 'package'
  const path = relative(src, resolve(src, dirname(file), specifier))
    .split(sep)
    .join('/')
  return path.replace(/\.js$/, '.ts')
}

function importsOf(file, text) {
  const { module, program, errors } = parseSync(file, text)
  if (errors.length > 0) {
    problems.push(`src/${file}: ${errors[0].message}`)
    return []
  }
  const found = []
  const add = (start, specifier, isType) => {
    found.push({ specifier, line: text.slice(0, start).split('\n').length, isType })
  }
  for (const { start, moduleRequest } of module.staticImports) {
    add(start, moduleRequest.value, /^import\s+type\b/.test(text.slice(start)))
  }
  for (const { start, entries } of module.staticExports) {
    const from = entries.find((entry) => entry.moduleRequest !== null)?.moduleRequest
    if (from) add(start, from.value, /^export\s+type\b/.test(text.slice(start)))
  }
  new Visitor({
    ImportExpression(node) {
      if (typeof node.source.value === 'string') add(node.start, node.source.value, false)
    },
    TSImportType(node) {
      const source = node.source ?? node.argument
      const value = source?.value ?? source?.literal?.value
      if (typeof value === 'string') add(node.start, value, true)
    },
  }).visit(program)
  return found
}

/** Depth-first search; a file met again while it is still open closes a cycle. */
function reportCycles() {
  const state = new Map()
  const path = []
  const visit = (file) => {
    state.set(file, 'open')
    path.push(file)
    for (const target of edges.get(file) ?? []) {
      if (state.get(target) === 'open') {
        problems.push(`cycle: ${[...path.slice(path.indexOf(target)), target].map((f) => `src/${f}`).join(' -> ')}`)
      } else if (!state.has(target)) visit(target)
    }
    path.pop()
    state.set(file, 'done')
  }
  for (const file of edges.keys()) if (!state.has(file)) visit(file)
}
