import type { Storage } from '../../tensor/storage.js'
import { accesses, type Node } from '../node.js'
import { fuseEpilogues } from './epilogues.js'
import { fuseForeach } from './foreach.js'
import { fuseRows } from './rows.js'
import { fuseSweeps } from './sweeps.js'

/**
 * Rewrites the kernels of a program into fewer that give the same bits. Products first, while the map behind each is the
 * only reader of its result; then maps into what reads them; then what is computed row by row; whole-model passes.
 */
export function fuse(program: readonly Node[], results: ReadonlySet<Storage>): Node[] {
  return [fuseEpilogues, fuseSweeps, fuseRows, fuseForeach].reduce<Node[]>(
    (nodes, pass) => withoutDead(pass(nodes, results), results),
    withoutDead(program, results),
  )
}

/** Leaves out kernels that write nothing anybody reads. */
function withoutDead(program: readonly Node[], results: ReadonlySet<Storage>): Node[] {
  const live = new Set(results)
  const kept: Node[] = []
  for (const node of [...program].reverse()) {
    const touched = accesses(node)
    if (!touched.some(({ storage, write }) => write && (!storage.captured || live.has(storage)))) continue
    for (const { storage, write } of touched) if (!write) live.add(storage)
    kept.push(node)
  }
  return kept.reverse()
}
