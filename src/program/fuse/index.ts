import type { Storage } from '../../tensor/storage.js'
import { checksFirst, checkOf } from '../checks-first.js'
import { accesses, type Node } from '../node.js'
import { fuseEpilogues } from './epilogues.js'
import { fuseForeach } from './foreach.js'
import { fuseRows } from './rows.js'
import { fuseSweeps } from './sweeps.js'

/**
 * Rewrites the kernels of a program into fewer that give the same bits. Products first, while the map behind each is the
 * only reader of its result; then maps into what reads them; then what is computed row by row; whole-model passes.
 * Before all that, indices are checked ahead of lasting writes; no pass makes a lookup wait for one.
 */
export function fuse(program: readonly Node[], results: ReadonlySet<Storage>): Node[] {
  return [fuseEpilogues, fuseSweeps, fuseRows, fuseForeach].reduce<Node[]>(
    (nodes, pass) => withoutDead(pass(nodes, results), results),
    checksFirst(withoutDead(program, results)),
  )
}

/** Leaves out kernels that write nothing anybody reads; their indices are checked all the same. */
function withoutDead(program: readonly Node[], results: ReadonlySet<Storage>): Node[] {
  const live = new Set(results)
  const kept: Node[] = []
  for (const node of [...program].reverse()) {
    const touched = accesses(node)
    const needed = touched.some(({ storage, write }) => write && (!storage.captured || live.has(storage)))
    const left = needed ? node : checkOf(node)
    if (!left) continue
    for (const { storage, write } of accesses(left)) if (!write) live.add(storage)
    kept.push(left)
  }
  return kept.reverse()
}
