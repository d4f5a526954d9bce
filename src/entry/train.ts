import './default-device.js'

export type * from '../train/events.js'
export { digitNet, mnistJob } from '../train/mnist-job.js'
export { renderReport, type ReportAssets, type ReportData } from '../train/report.js'
