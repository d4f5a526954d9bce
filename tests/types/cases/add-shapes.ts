import { zeros } from '../prelude.js'

zeros([2, 3]).add(zeros([3, 4]))
