import { zeros } from '../prelude.js'

zeros([2]).broadcastTo([2, 3])
