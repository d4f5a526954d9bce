import { zeros } from '../prelude.js'

zeros([2, 3]).matmul(zeros([2, 3]))
