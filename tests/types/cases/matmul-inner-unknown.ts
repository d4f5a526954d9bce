import { zeros } from '../prelude.js'

declare const n: number
zeros([2, n]).matmul(zeros([2, 3]))
