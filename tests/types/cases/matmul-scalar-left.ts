import { zeros } from '../prelude.js'

zeros([]).matmul(zeros([3, 5]))
