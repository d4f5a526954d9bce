import { zeros } from '../prelude.js'

zeros([2, 3]).concat(zeros([3, 4]), 1)
