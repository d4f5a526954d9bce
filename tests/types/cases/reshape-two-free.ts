import { zeros } from '../prelude.js'

zeros([2, 3]).reshape([-1, -1])
