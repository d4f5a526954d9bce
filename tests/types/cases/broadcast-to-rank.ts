import { zeros } from '../prelude.js'

zeros([2, 3]).broadcastTo([3])
