import { zeros } from '../prelude.js'

zeros([2, 3]).permute(0, 0)
