import type { Workload } from '../workloads/index.js'
import type { Entrant } from './interleave.js'
import type { Setting } from './options.js'

/** Our side of a workload: the bundled player on the Node that was asked for. */
export function ours({ name, fresh }: Workload, setting: Setting, player: string): Entrant {
  const { node, threads, mode, eager } = setting
  const how = [...(mode ? ['--mode', mode] : []), ...(eager ? ['--eager'] : [])]
  return {
    workload: name,
    fresh: fresh === true,
    command: [node, player, '--workload', name, '--threads', String(threads), ...how],
  }
}
