import { zeros } from '../prelude.js'

zeros([2, 3]).matmul(zeros([8, 3, 5]))
