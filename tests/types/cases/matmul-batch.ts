import { zeros } from '../prelude.js'

zeros([8, 2, 3]).matmul(zeros([4, 3, 5]))
