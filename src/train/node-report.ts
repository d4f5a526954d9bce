import { readFile } from 'node:fs/promises'
import { createRequire } from 'node:module'
import { dirname, join } from 'node:path'
import type { ReportAssets } from './report.js'

/** Reads the chart library's script and style sheet from the installed package, for `renderReport`. */
export async function readReportAssets(): Promise<ReportAssets> {
  const folder = dirname(createRequire(import.meta.url).resolve('uplot'))
  const [chartScript, chartStyle] = await Promise.all([
    readFile(join(folder, 'uPlot.iife.min.js'), 'utf8'),
    readFile(join(folder, 'uPlot.min.css'), 'utf8'),
  ])
  return { chartScript, chartStyle }
}
