import { zeros } from '../prelude.js'

zeros([2, 3]).reshape([4, 2])
